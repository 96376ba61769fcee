"""One large scene in strips, predicted apart from each other and put together.

A strip is some whole rows of the tiles that one pass over the scene has. Its pixels are
therefore those of that pass, and what is made of all strips is the same to the byte.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from terrainlib.data.scene import Scene
from terrainlib.errors import StoppedError
from terrainlib.mask.products.making import Pass
from terrainlib.mask.products.records import Wanted
from terrainlib.mask.products.task import Task
from terrainlib.mask.rasters.gdalwork import reopened
from terrainlib.mask.rasters.rasterfile import Layout, RasterSink
from terrainlib.mask.tiles.bands import Band, Plane, Sink
from terrainlib.mask.tiles.feeding import geometry_of
from terrainlib.mask.tiles.finishing import empty_bands
from terrainlib.mask.tiles.streaming import (
    StreamOptions,
    StreamReport,
    grid_of,
    predict_scene,
    rows_of,
)
from terrainlib.types import ByteArray, Count, PathText, Seconds, ShouldStop, Size

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

_FORM: Final = {
    "compress": "deflate",
    "zlevel": 1,
    "tiled": True,
    "blockxsize": 512,
    "blockysize": 128,
    "interleave": "pixel",
    "bigtiff": "if_safer",
}


@dataclass(frozen=True, slots=True)
class Strip:
    """A strip that is predicted.

    Attributes:
        path: The file that holds it.
        cuts: Rows of the scene at which its bands begin, and the one after the last.
        counts: Pixels of each class.
        no_data: Pixels without data.
        unsure: Pixels that the model is unsure of.
        tiles: How many it took.
        seconds: That it took.
        network_seconds: Of these, in the network.
    """

    path: PathText
    cuts: tuple[Count, ...]
    counts: tuple[Count, ...]
    no_data: Count
    unsure: Count
    tiles: Count
    seconds: Seconds
    network_seconds: Seconds

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        listed = {"cuts": list(self.cuts), "counts": list(self.counts)}
        return asdict(self) | listed


def cut(
    model: "TerrainModel", size: Size, wanted: Wanted, count: int
) -> list[tuple[int, int]]:
    """Return the strips of a scene: the first row of tiles, and the one after the last.

    Args:
        model: The model.
        size: (H, W) of the scene, px.
        wanted: What is made of it.
        count: How many strips at most.

    Raises:
        InputError: If the scene is too wide.
    """
    geometry = geometry_of(model, size, wanted.scale)
    rows = len(grid_of(model, geometry, wants=wanted.planes, name="image").rows)
    step = -(-rows // max(1, count))
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


def predict_strip(
    task: Task, part: tuple[int, int], path: Path, *, should_stop: ShouldStop
) -> Strip:
    """Predict a strip of a scene and write it.

    Args:
        task: The scene and what to make of it.
        part: First row of tiles, and the one after the last.
        path: The file to write.
        should_stop: Asked before each batch of tiles.

    Raises:
        StoppedError: If it was asked to stop; nothing is written.
        TerrainError: As `predict_scene`.
    """
    model, wanted = task.model, task.wanted
    geometry = geometry_of(model, task.size, wanted.scale)
    grid = grid_of(model, geometry, wants=wanted.planes, name=task.scene.name)
    tile_rows = slice(*part)
    rows = rows_of(geometry, replace(grid, rows=grid.rows[tile_rows]))
    options = StreamOptions(
        heights=task.heights,
        scale=wanted.scale,
        tile_rows=tile_rows,
        should_stop=should_stop,
    )
    with _StripSink(path, task, rows) as sink:
        report = predict_scene(model, task.scene, sink, options=options)
        if report.stopped:
            raise StoppedError("stopped within a strip.")
    return Strip(
        str(path),
        (*sink.begun, rows.stop),
        tuple(report.counts.tolist()),
        report.no_data,
        report.unsure,
        report.tiles,
        report.seconds,
        report.network_seconds,
    )


class _StripSink(RasterSink):
    """Writes all planes of a strip's bands side by side."""

    def __init__(self, path: Path, task: Task, rows: slice) -> None:
        self.planes = _planes(task.wanted, len(task.model.classes))
        self.begun: list[int] = []
        self._top = rows.start
        super().__init__(
            path,
            height=rows.stop - rows.start,
            width=task.size[1],
            classes=task.model.classes,
        )

    @property
    def wants(self) -> tuple[Plane, ...]:  # type: ignore[override] # those of a task
        return tuple(self.planes)

    def write(self, band: Band) -> None:
        self.begun.append(band.rows.start)
        rows = slice(band.rows.start - self._top, band.rows.stop - self._top)
        super().write(Band(rows, band.classes, band.soft, band.weights))

    def _layout(self, height: int, width: int) -> Layout:
        depth = 1 + sum(self.planes.values())
        profile = {"photometric": "MINISBLACK"}
        return Layout(height, width, depth, "GTiff", _FORM, profile)

    def _describe(self, data: Any) -> None:
        pass

    def _pixels(self, band: Band) -> ByteArray:
        shape = band.classes.shape
        parts = [band.classes[..., None]]
        for name, depth in self.planes.items():
            plane: ByteArray | None = getattr(band, name)
            empty = np.zeros((*shape, depth), np.uint8)
            parts.append(empty if plane is None else plane)
        return np.concatenate(parts, axis=-1)


def _planes(wanted: Wanted, classes: int) -> dict[Plane, int]:
    """Return the planes beside the classes that are made, and their depths."""
    depths: dict[Plane, int] = {"soft": 3, "weights": classes}
    return {name: depth for name, depth in depths.items() if name in wanted.planes}


def joined(strips: Sequence[Strip], wanted: Wanted) -> Pass:
    """Return the pass over a scene that takes its bands from strips.

    Args:
        strips: All of the scene, from the top.
        wanted: What they were made for.
    """
    return partial(_join, strips, wanted)


def _join(
    strips: Sequence[Strip],
    wanted: Wanted,
    model: "TerrainModel",
    scene: Scene,
    sink: Sequence[Sink],
    *,
    options: StreamOptions,
) -> StreamReport:
    """Hand the bands of strips to sinks in their order."""
    asked = options.should_stop or (lambda: False)
    row = 0
    for band in _bands(strips, _planes(wanted, len(model.classes))):
        if asked():
            break
        _hand_on(band, sink)
        row = band.rows.stop
    for band in empty_bands(slice(row, scene.height), scene.width):
        _hand_on(band, sink)
    seconds = sum(strip.seconds for strip in strips)
    return StreamReport(
        counts=np.sum([strip.counts for strip in strips], axis=0),
        no_data=sum(strip.no_data for strip in strips),
        unsure=sum(strip.unsure for strip in strips),
        rows=row,
        stopped=row < scene.height,
        seconds=seconds,
        network_seconds=sum(strip.network_seconds for strip in strips),
        tiles=sum(strip.tiles for strip in strips),
        megapixels_per_second=row * scene.width / 1e6 / seconds,
    )


def _hand_on(band: Band, sinks: Sequence[Sink]) -> None:
    for sink in sinks:
        sink.write(band)


def _bands(strips: Sequence[Strip], planes: dict[Plane, int]) -> Iterator[Band]:
    """Yield the bands that were written, from the top."""
    from rasterio.windows import Window

    ends = np.cumsum([1, *planes.values()])
    for strip in strips:
        with reopened(Path(strip.path), "GTiff") as data:
            for start, stop in pairwise(strip.cuts):
                window = Window(0, start - strip.cuts[0], data.width, stop - start)
                pixels = np.moveaxis(data.read(window=window), 0, -1)
                parts = np.split(pixels, ends[:-1], axis=-1)
                held = dict(zip(planes, parts[1:], strict=True))
                yield Band(slice(start, stop), parts[0][..., 0], **held)
