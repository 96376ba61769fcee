"""A raster far larger than memory: what its mask takes, beside Keras' `predict`.

Run from the project's folder: `python -m benchmarks.large_raster --side 20000`. It
needs about 3 bytes of free disk a pixel, in a folder that goes with the run.

The scenes of the sample, mirrored side by side, make a GeoTIFF of the size asked for,
tiled and compressed. One process predicts all of it as the command line does. Another
predicts the tiles of a part with Keras' `predict`, called for each tile as a notebook
would, before the large one and after it: on a machine that others use as well that
shows how steady it was. Both read, decode and keep the classes; only the first one
gives tiles a margin, writes a file and checks it. What Keras compiles for its first
tile is not timed, what the library builds is. In the end a third one predicts again
where tiles met, and compares with the file.

Memory is the peak of the resident set above that of the same process with the model
loaded, sampled 50 times a second.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._worker import Worker, stop_in_order
from terrainlib import files
from terrainlib.data.imagery import read_image
from terrainlib.data.sample import example_scenes
from terrainlib.mask.tiles.bands import to_bytes

_BLOCK = 512
_BYTES_A_PIXEL = 3  # the image, compressed, its mask and what is written on the way
_MAX_SIDE = 60_000
_CORES = os.cpu_count() or 1


def main() -> None:
    """Make the raster, predict it, and print what that took."""
    options = _parse()
    stop_in_order()
    files.require_free_space(Path(options.folder), _BYTES_A_PIXEL * options.side**2)
    with (
        tempfile.TemporaryDirectory(prefix="large-", dir=options.folder) as name,
        ExitStack() as stack,
    ):
        folder = Path(name)
        image = folder / "large.tif"
        write_raster(image, options.side)
        _say(f"{image.stat().st_size / 1e6:.0f} MB of image")
        told = {
            "model": options.model,
            "image": str(image),
            "folder": name,
            "part": options.part,
            "tile": options.tile,
        }
        keras = stack.enter_context(_worker({**told, "way": "predict"}))
        ours = stack.enter_context(_worker({**told, "way": "terrainlib"}))
        scale = keras.hear()["scale"]
        if scale != 1:
            raise SystemExit(f"the model works at the scale {scale}; it must be 1.")
        ours.hear()
        before = _measured(keras, "Keras' predict")
        large = _measured(ours, "terrainlib")
        after = _measured(keras, "Keras' predict")
        agreement = _agreement(folder, options.part)
        again = stack.enter_context(_worker({**told, "way": "seams"}))
        again.hear()
        seams = _measured(again, "where tiles met")
    print_results(options, large, [before, after], agreement)
    print(
        f"Predicted again across {seams['windows']} corners of its tiles: of "
        f"{seams['compared']:,} pixels {seams['differing']:,} have another class."
    )
    if options.json:
        values = {"side": options.side, "cores": _CORES, "agreement": agreement}
        files.write_json(
            options.json,
            {**values, "large": large, "predict": [before, after], "seams": seams},
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--side", type=int, default=20_000, help="of the raster in px")
    parser.add_argument("--part", type=int, default=4096, help="for Keras, in px")
    parser.add_argument("--tile", type=int, default=1024, help="for Keras, in px")
    parser.add_argument("--model", default="default", help="a model at the scale 1")
    parser.add_argument(
        "--folder", default=tempfile.gettempdir(), help="where the files may lie"
    )
    parser.add_argument("--json", type=Path, help="write everything measured here")
    options = parser.parse_args()
    options.part = min(options.part, options.side // options.tile * options.tile)
    if not options.tile <= options.side <= _MAX_SIDE:
        parser.error(f"the side must be {options.tile} to {_MAX_SIDE} px")
    if options.tile % 64 or options.part % options.tile:
        parser.error("the tile must be a multiple of 64, and the part one of the tile")
    return options


def write_raster(path: Path, side: int) -> None:
    """Write a square GeoTIFF of the sample's scenes, mirrored side by side.

    Args:
        path: The file.
        side: Height and width, px.
    """
    import rasterio
    from rasterio.windows import Window

    pattern = _pattern()
    columns = np.arange(side) % pattern.shape[1]
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=side,
        width=side,
        count=3,
        dtype="uint8",
        photometric="RGB",
        tiled=True,
        blockxsize=_BLOCK,
        blockysize=_BLOCK,
        compress="deflate",
        zlevel=1,
        predictor=2,
        bigtiff="if_safer",
        num_threads="all_cpus",
        crs="EPSG:32633",
        transform=rasterio.Affine(10, 0, 300_000, 0, -10, 5_500_000),
    ) as data:
        for rows in _strips(side):
            lines = pattern[np.arange(rows.start, rows.stop) % len(pattern)]
            window = Window(0, rows.start, side, rows.stop - rows.start)
            data.write(np.moveaxis(lines[:, columns], -1, 0), window=window)


def _pattern() -> NDArray[np.uint8]:
    """Return the scenes and their mirror images, whose opposite sides fit together."""
    scenes = [to_bytes(read_image(scene.image).rgb) for scene in example_scenes()]
    height = min(len(scene) for scene in scenes)
    row = np.concatenate([scene[:height] for scene in scenes], axis=1)
    row = np.concatenate([row, row[:, ::-1]], axis=1)
    return np.concatenate([row, row[::-1]])


def _strips(side: int) -> Iterator[slice]:
    for start in range(0, side, _BLOCK):
        yield slice(start, min(start + _BLOCK, side))


def _worker(options: dict[str, Any]) -> Worker:
    return Worker("benchmarks._large_raster_ways", options)


def _measured(worker: Worker, name: str) -> dict[str, Any]:
    """Let a worker go its way once; return what it measured."""
    worker.tell({})
    message: dict[str, Any] = {}
    for message in worker.events():
        if "tiles" in message:
            _say(f"{name}: {message['tiles']} of {message['total']} tiles", end="\r")
    _say(f"{name}: {message['seconds']:.1f} s" + 20 * " ")
    return message


def _agreement(folder: Path, part: int) -> float:
    """Return the share of pixels on which both ways agree; borders of tiles differ."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(folder / "large_mask.tif") as data:
        ours = data.read(1, window=Window(0, 0, part, part))
    return float(np.mean(ours == np.load(folder / "part.npy")))


def print_results(
    options: argparse.Namespace,
    large: dict[str, Any],
    keras: list[dict[str, Any]],
    agreement: float,
) -> None:
    """Print what both ways gave, and how they compare."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"\nModel {options.model}, {options.side:,} x {options.side:,} px, {_CORES} "
        f"cores, load {load:.1f}"
    )
    head = ("MP", "s", "MP / s", "core s / MP", "network", "peak MB")
    print(f"{'':34}" + "".join(f"{name:>13}" for name in head))
    _print_row("terrainlib, the whole raster", large)
    for values, when in zip(keras, ("before", "after"), strict=True):
        _print_row(f"Keras predict, a part, {when}", values)
    seconds, cores = _a_megapixel(keras, "seconds"), _a_megapixel(keras, "processor")
    print(
        f"\nterrainlib is {seconds * large['megapixels'] / large['seconds']:.2f} times "
        f"as fast, and takes {large['processor'] / large['megapixels'] / cores:.2f} "
        "times the processor time a pixel.\n"
        f"All of it takes {large['seconds'] / large['network']:.2f} times the time in "
        "the network.\n"
        f"The classes of the part agree on {agreement:.2%} of the pixels; without a "
        "margin tiles err at their borders."
    )


def _print_row(name: str, values: dict[str, Any]) -> None:
    megapixels, seconds = values["megapixels"], values["seconds"]
    print(
        f"{name:34}{megapixels:13.1f}{seconds:13.1f}{megapixels / seconds:13.2f}"
        f"{values['processor'] / megapixels:13.2f}"
        f"{values['network'] / seconds:13.1%}{values['memory']:13.0f}"
    )


def _a_megapixel(values: list[dict[str, Any]], name: str) -> float:
    """Return the mean of what a megapixel took."""
    return float(np.mean([one[name] / one["megapixels"] for one in values]))


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("stopped; nothing was kept.") from None
