"""What is made of a finished mask: polygons and the world-builder's pack."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.scene import Heights
from terrainlib.errors import InputError
from terrainlib.files import require_free_space, storage_error
from terrainlib.mask.pack.pack import PackContent, write_pack
from terrainlib.mask.products._task import Outputs, Task
from terrainlib.mask.vectors.polygons import TerrainPolygons, trace_geotiff, trace_mask
from terrainlib.mask.vectors.vectorfile import write_geojson, write_geopackage

_ROWS_AT_ONCE_PX: Final = 4 * 2**20
_NO_GEOJSON: Final = (
    "no GeoJSON: the image has no coordinate reference system, and GeoJSON is in "
    "longitude and latitude"
)


@dataclass(slots=True)
class Extras:
    """What came of it.

    Attributes:
        files: What was written.
        notes: What was left out because it makes no sense for the image.
        missing: What could not be made, and why.
        stopped: Whether something was not begun, as asked.
    """

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    stopped: bool = False

    def attempt(self, what: str, make: Callable[[], None]) -> None:
        """Make something; where that is refused, say why and go on."""
        try:
            make()
        except InputError as error:
            self.missing.append(f"{what} could not be made: {error.message}")
        except MemoryError:
            self.missing.append(
                f"{what} could not be made: the memory is not enough. Cut the image "
                "into parts."
            )


def make_extras(
    task: Task, outputs: Outputs, scratch: Path, should_stop: Callable[[], bool]
) -> Extras:
    """Make what is wanted beside the files of the pass, which are finished.

    Args:
        task: The image and what to make of it.
        outputs: What the pass has written.
        scratch: Folder for files that do not stay.
        should_stop: Asked before each of them.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    extras = Extras()
    makers: dict[str, Callable[[], None]] = {}
    if task.wanted.vectors:
        makers["polygons"] = lambda: _write_polygons(task, outputs, extras)
    if task.wanted.pack is not None:
        makers["the pack"] = lambda: _write_pack(task, outputs, scratch, extras)
    for what, make in makers.items():
        if should_stop():
            extras.stopped = True
            break
        extras.attempt(what, make)
    return extras


def _write_polygons(task: Task, outputs: Outputs, extras: Extras) -> None:
    polygons = _trace(task, outputs)
    path = task.path(".gpkg")
    write_geopackage(path, polygons)
    extras.files.append(path)
    if not task.placed:
        return
    if not polygons.crs_wkt:
        extras.notes.append(_NO_GEOJSON)
        return
    path = task.path(".geojson")
    extras.attempt("the GeoJSON", lambda: _write_geojson(path, polygons, extras))


def _write_geojson(path: Path, polygons: TerrainPolygons, extras: Extras) -> None:
    write_geojson(path, polygons)
    extras.files.append(path)


def _trace(task: Task, outputs: Outputs) -> TerrainPolygons:
    smallest = task.wanted.smallest
    if task.placed:
        return trace_geotiff(task.path("_mask.tif"), smallest=smallest)
    mask = outputs.planes["classes"].mapped()
    return trace_mask(mask, task.model.classes, None, smallest=smallest)


def _write_pack(task: Task, outputs: Outputs, scratch: Path, extras: Extras) -> None:
    metres = None
    if task.heights is not None:
        metres = _mapped_heights(task.heights, scratch / "heights")
    content = PackContent(
        outputs.planes["weights"].mapped(),
        task.model.classes,
        mask=outputs.planes["classes"].mapped(),
        height=metres,
        georeference=task.scene.georeference,
        name=task.scene.name,
    )
    path = task.path("_pack.zip")
    write_pack(path, content, task.wanted.pack)
    extras.files.append(path)


def _mapped_heights(heights: Heights, path: Path) -> NDArray[np.float32]:
    """Return heights of any size as an array, mapped from a scratch file."""
    shape = (heights.height, heights.width)
    require_free_space(path.parent, 4 * shape[0] * shape[1])
    step = max(1, _ROWS_AT_ONCE_PX // heights.width)
    try:
        with path.open("wb") as stream:
            for start in range(0, heights.height, step):
                rows = slice(start, min(start + step, heights.height))
                part = heights.read((rows, slice(0, heights.width)))
                stream.write(np.ascontiguousarray(part, np.float32).data)
    except OSError as error:
        raise storage_error(path, error) from error
    return np.memmap(path, np.float32, mode="r", shape=shape)
