"""Ways through a large raster, and a worker that goes one of them.

The options it is told at its start:

- `way`: `terrainlib`, which predicts all of it by `predict_file`, or `predict`, which
  predicts the tiles of a part one by one with Keras' own loop, as a notebook would, or
  `seams`, which predicts again where the tiles of the first way met, and compares;
- `model`, `image`, `folder`: what to predict with, what, and where the mask goes;
- `part` and `tile`: sides in px of the part, from the upper left corner, and of its
  tiles, which have no margins.

It says when the model is loaded. Then, on each request, it goes its way, tells of tiles
that are done, and at the end what was measured: seconds, seconds of processor cores,
megapixels, seconds in the network, and the peak of the resident set above that with the
model loaded.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks._inference_ways import peak_memory
from benchmarks._worker import Channel
from terrainlib.data.scene import open_scene
from terrainlib.mask.prediction import predict_image
from terrainlib.mask.products.making import predict_file
from terrainlib.mask.products.records import Wanted
from terrainlib.mask.tiles.feeding import geometry_of
from terrainlib.mask.tiles.streaming import grid_of
from terrainlib.model.modelfile import TerrainModel, load_model
from terrainlib.model.tiling import round_up

_EVERY_S = 2.0  # between two messages
_WINDOWS = 8  # that are predicted again
_HALF_PX = 32  # of the square around a corner of tiles that is compared

Tell = Callable[[int, int], None]


def terrainlib(
    model: TerrainModel, options: dict[str, Any], tell: Tell
) -> dict[str, Any]:
    """Predict all of the raster."""
    image, folder = Path(options["image"]), Path(options["folder"])
    made = predict_file(model, image, folder, "large", Wanted(), progress=tell)
    return {
        "megapixels": made.height * made.width / 1e6,
        "network": made.network_seconds,
    }


def seams(model: TerrainModel, options: dict[str, Any], _tell: Tell) -> dict[str, Any]:
    """Predict again across corners of tiles, and compare with what was written.

    Each window has a corner of four tiles in its middle and is predicted in one pass;
    what lies nearer to its edge than the model sees is not compared.
    """
    image, mask = Path(options["image"]), Path(options["folder"]) / "large_mask.tif"
    windows = pixels = differing = 0
    with open_scene(image) as scene, rasterio.open(mask) as written:
        size = (scene.height, scene.width)
        geometry = geometry_of(model, size, None)
        grid = grid_of(model, geometry, wants=(), name=image.name)
        half = round_up(grid.margin + _HALF_PX, grid.multiple)
        corners = [
            (row, column)
            for row in (span.core.start for span in grid.rows[1:])
            for column in (span.core.start for span in grid.columns[1:])
            if half <= min(row, column)
            and row + half <= size[0]
            and column + half <= size[1]
        ]
        chosen = np.linspace(0, len(corners) - 1, min(_WINDOWS, len(corners)))
        for row, column in (corners[round(number)] for number in chosen):
            place = (
                slice(row - half, row + half),
                slice(column - half, column + half),
            )
            again = predict_image(model, scene.read(place)[0], tiling="whole").classes
            inner = slice(half - _HALF_PX, half + _HALF_PX)
            side = 2 * _HALF_PX
            corner = Window(column - _HALF_PX, row - _HALF_PX, side, side)
            seen = written.read(1, window=corner)
            windows += 1
            pixels += seen.size
            differing += int(np.count_nonzero(again[inner, inner] != seen))
    return {"windows": windows, "compared": pixels, "differing": differing}


def predict(model: TerrainModel, options: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Predict the tiles of a part one by one, and keep the classes."""
    side, tile = options["part"], options["tile"]
    classes = np.empty((side, side), np.uint8)
    starts = [
        (row, column) for row in range(0, side, tile) for column in range(0, side, tile)
    ]
    network = 0.0
    with open_scene(Path(options["image"])) as scene:
        for done, (row, column) in enumerate(starts, start=1):
            place = slice(row, row + tile), slice(column, column + tile)
            rgb, _ = scene.read(place)
            begun = time.perf_counter()
            output = model.network.predict(rgb[None], verbose=0)[0]
            network += time.perf_counter() - begun
            classes[place] = output.argmax(axis=-1)
            tell(done, len(starts))
    np.save(Path(options["folder"]) / "part.npy", classes)
    return {"megapixels": side * side / 1e6, "network": network}


WAYS = {way.__name__: way for way in (terrainlib, predict, seams)}


def main() -> None:
    """Load the model, then go the way that is asked for as often as is asked."""
    channel = Channel()
    options = channel.options
    model = load_model(options["model"])
    way = WAYS[options["way"]]
    told = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.perf_counter() - told > _EVERY_S:
            told = time.perf_counter()
            channel.tell(tiles=done, total=total)

    with peak_memory() as peak_mb:
        if way is predict:  # compiles
            model.network.predict(
                np.zeros((1, options["tile"], options["tile"], 3)), verbose=0
            )
        channel.tell(scale=model.scale)
        for _ in channel.requests():
            begun, used = time.perf_counter(), time.process_time()
            result = way(model, options, tell)
            seconds = time.perf_counter() - begun
            used = time.process_time() - used
            memory = peak_mb()
            channel.tell(
                done=True, seconds=seconds, processor=used, memory=memory, **result
            )


if __name__ == "__main__":
    main()
