"""Where the patches of a data set lie in their scenes: `patches.csv`.

A row for each patch: its id, its scene, the row and column of its first pixel, its size
in px, and the scene's coordinate reference system and transform, both empty where it
lies nowhere. Which patches share ground is then known exactly.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.data.formats.raster import Georeference, Transform
from terrainlib.types import Finite, PathText, Text, checked

PATCHES_FILE: Final = "patches.csv"
BUFFER_SHARE: Final = 0.5  # of a patch's shorter side: nearer ones count as neighbours
_SQUARE: Final = 1 << 30
_Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a patch lies.

    Attributes:
        id: Its id within the data set.
        scene: Name of the scene it was cut from, one for each scene.
        row: Row of its first pixel in the scene.
        column: Column of that.
        height: Rows, px.
        width: Columns, px.
        crs: The scene's coordinate reference system, `EPSG:3035` or WKT; may be empty.
        transform: The scene's transform; None where it lies nowhere.
    """

    id: PathText
    scene: Text
    row: int
    column: int
    height: int
    width: int
    crs: str = ""
    transform: tuple[Finite, Finite, Finite, Finite, Finite, Finite] | None = None


_COLUMNS: Final = tuple(Place.__dataclass_fields__)


def crs_name(georeference: Georeference | None) -> str:
    """Return a short name of a reference system where it has one, else its WKT."""
    if georeference is None or not georeference.crs_wkt:
        return ""
    from pyproj import CRS
    from pyproj.exceptions import ProjError

    try:
        known = CRS.from_wkt(georeference.crs_wkt).to_authority(min_confidence=100)
    except ProjError:
        known = None
    return ":".join(known) if known else georeference.crs_wkt


def write_places(path: Path, places: Iterable[Place]) -> None:
    """Write `patches.csv`."""
    rows = [
        [
            json.dumps(value) if isinstance(value, tuple) else value
            for value in asdict(place).values()
        ]
        for place in places
    ]
    files.write_bytes(path, files.csv_bytes(_COLUMNS, rows))


def read_places(folder: Path) -> dict[str, Place] | None:
    """Return where the patches of a data set lie, by id; None where nothing says so.

    A table that is no such one, or is damaged, says nothing.
    """
    try:
        data = files.read_bytes(folder / PATCHES_FILE, files.MAX_JSON_BYTES)
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        return {place.id: place for place in map(_place, rows)}
    except (OSError, ValueError, csv.Error):
        return None


def _place(row: dict[str, Any]) -> Place:
    numbers = ("row", "column", "height", "width")
    values: dict[str, Any] = {name: row.get(name) for name in _COLUMNS}
    values |= {name: int(values[name] or "") for name in numbers}
    values["transform"] = json.loads(values["transform"] or "null")
    place = checked(Place, values)
    size = min(place.height, place.width)
    if size < 1 or max(abs(place.row), abs(place.column)) > _SQUARE:
        raise ValueError("no place of a patch")
    return place


@dataclass(frozen=True, slots=True)
class Shared:
    """Two patches that share ground, or lie near each other.

    Attributes:
        first: Index of the one.
        second: Index of the other, greater.
        share: Intersection over the larger patch; 0 for those that are only near.
        matrix: (2, 3) float64, from px of the first to px of the second.
    """

    first: int
    second: int
    share: float
    matrix: _Rows


def shared_ground(places: Sequence[Place]) -> Iterator[Shared]:
    """Yield the patches that share ground or lie near each other.

    Near is less than half the shorter side of the patch. Patches of one scene are
    compared by their pixels; those of two scenes by their places on the Earth, where
    both have one.

    Args:
        places: Where each patch lies.
    """
    scenes: dict[str, list[int]] = {}
    for index, place in enumerate(places):
        scenes.setdefault(place.scene, []).append(index)
    names = list(scenes)
    for number, name in enumerate(names):
        for other in names[number:]:
            firsts, seconds = scenes[name], scenes[other]
            moved = _between(places[firsts[0]], places[seconds[0]])
            if moved is not None:
                yield from _compared(places, firsts, seconds, moved)


def _compared(
    places: Sequence[Place], firsts: list[int], seconds: list[int], moved: _Rows
) -> Iterator[Shared]:
    """Compare patches of two scenes, or of one, in the pixels of the second."""
    import shapely

    ground = shapely.transform(
        _squares([places[i] for i in firsts]),
        lambda xy: xy @ moved[:, :2].T + moved[:, 2],
    )
    others = _squares([places[i] for i in seconds])
    scale = math.sqrt(abs(np.linalg.det(moved[:, :2])))
    side = min(min(places[i].height, places[i].width) for i in firsts) * scale
    tree = shapely.STRtree(others)
    here, there = tree.query(
        ground, predicate="dwithin", distance=BUFFER_SHARE * side * (1 - 1e-9)
    )
    for one, two in zip(here.tolist(), there.tolist(), strict=True):
        first, second = firsts[one], seconds[two]
        if first == second or (firsts is seconds and first > second):
            continue
        area = shapely.intersection(ground[one], others[two]).area
        largest = max(ground[one].area, others[two].area)
        matrix = _matrix(places[first], places[second], moved)
        if first > second:
            first, second = second, first
            matrix = np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))[:2]
        yield Shared(first, second, min(1.0, float(area / largest)), matrix)


def _squares(places: Sequence[Place]) -> NDArray[np.object_]:
    import shapely

    found: NDArray[np.object_] = shapely.box(
        [p.column for p in places],
        [p.row for p in places],
        [p.column + p.width for p in places],
        [p.row + p.height for p in places],
    )
    return found


def _matrix(first: Place, second: Place, moved: _Rows) -> _Rows:
    """Return the map from px of one patch to px of another."""
    start = moved[:, :2] @ (first.column, first.row) + moved[:, 2]
    return np.column_stack([moved[:, :2], start - (second.column, second.row)])


def _between(first: Place, second: Place) -> _Rows | None:
    """Return the map from px of one scene to those of another, None where unknown."""
    if first.scene == second.scene:
        return np.array([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)])
    if first.transform is None or second.transform is None:
        return None
    here, there = _square(first.transform), _square(second.transform)
    if first.crs == second.crs:
        return np.asarray((np.linalg.inv(there) @ here)[:2])
    return _fitted(first, second, here, there)


def _square(transform: Transform) -> _Rows:
    a, b, c, d, e, f = transform
    return np.array([(a, b, c), (d, e, f), (0.0, 0.0, 1.0)])


def _fitted(first: Place, second: Place, here: _Rows, there: _Rows) -> _Rows | None:
    """Return the straight map that fits best about the first patch of one scene."""
    from pyproj import CRS, Transformer
    from pyproj.exceptions import ProjError

    left, top = first.column, first.row
    right, bottom = left + first.width, top + first.height
    corners = [(left, top, 1), (right, top, 1), (left, bottom, 1), (right, bottom, 1)]
    places = np.array(corners, np.float64)
    try:
        systems = CRS.from_user_input(first.crs), CRS.from_user_input(second.crs)
        mapped = Transformer.from_crs(*systems, always_xy=True).transform(
            *(places @ here.T)[:, :2].T
        )
    except ProjError:
        return None
    found = np.column_stack([*mapped, np.ones(4)]) @ np.linalg.inv(there).T
    if not np.isfinite(found).all():
        return None
    solved: _Rows = np.linalg.lstsq(places, found[:, :2], rcond=None)[0]
    return solved.T
