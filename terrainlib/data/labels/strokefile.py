"""The file in which the strokes of an image stand: a GeoPackage, found by the image.

An image is known by what is in its file, so that one that was opened or uploaded again
finds its strokes. Every change reads the file, adds to it and writes it anew, behind a
lock: tabs and processes do not overwrite each other. A file that cannot be read is put
aside, never written over.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import Field

from terrainlib import files
from terrainlib.data.formats.raster import Georeference, Transform
from terrainlib.data.labels.layers import applied, inverted
from terrainlib.data.labels.strokes import (
    DECIMALS,
    MAX_STROKES,
    Label,
    Painted,
    Stroke,
    geometry,
    labels_of,
    require_few,
)
from terrainlib.data.labels.vectors import WIDTH_FIELD
from terrainlib.data.palette import Classes, hex_color
from terrainlib.errors import DatasetError, ImageError, StorageError, ignored_warnings
from terrainlib.gdal import OGR_LOCK, load_ogr, ogr_errors
from terrainlib.types import Count, Text, checked

FILE_NAME: Final = "strokes.gpkg"
LAYER: Final = "labels"
CLASS_FIELD: Final = "class"
_HASHED_WHOLE: Final = 2**26  # bytes; of a larger file so many evenly spread parts
_HASHED_PARTS: Final = 64
_PART_BYTES: Final = 2**20
_LOCK_SECONDS: Final = 20.0
_FACTS: Final = "terrain_labels"
_MAX_FACTS: Final = 1_000_000  # characters
_BYTES_A_POINT: Final = 64
# Without a place on the Earth: the column, and minus the row, as programs for maps do.
_NOWHERE: Final[Transform] = (1, 0, 0, 0, -1, 0)
_ENVELOPES: Final = (0, 32, 48, 48, 64)  # bytes, by GeoPackage's kinds


def labels_dir() -> Path:
    """Return the folder of what is painted on images (it may not exist yet)."""
    return files.home_dir() / "labels"


def image_digest(path: Path) -> str:
    """Return what an image is known by: 32 hexadecimal digits of what its file holds.

    Raises:
        ImageError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with files.open_regular(path) as file:
            size = file.seek(0, 2)
            digest.update(str(size).encode())
            whole = size <= _HASHED_WHOLE
            last = 0 if whole else size - _PART_BYTES
            for number in range(1 if whole else _HASHED_PARTS):
                file.seek(last * number // (_HASHED_PARTS - 1))
                digest.update(file.read(_HASHED_WHOLE if whole else _PART_BYTES))
    except OSError as error:
        raise ImageError(
            "it cannot be read. Check that the file is still there.", file=path.name
        ) from error
    return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class StrokeFile:
    """Where the strokes of an image stand.

    Attributes:
        path: The GeoPackage.
        place: Where the image lies on the Earth; None for places in px.
    """

    path: Path
    place: Georeference | None

    @classmethod
    def of(cls, digest: str, place: Georeference | None) -> "StrokeFile":
        """Return the file of an image known by a digest."""
        return cls(labels_dir() / digest / FILE_NAME, place)

    def read(self) -> Painted:
        """Return what is painted; nothing where nobody has painted yet.

        Raises:
            DatasetError: If the file is damaged; it was put aside under another name.
            StorageError: If the disk is failing.
        """
        if not files.exists(self.path):
            return Painted()
        with self._locked():
            return self._read()

    def change(self, how: Callable[[Painted], Painted]) -> Painted:
        """Change what is painted, and have it on the disk.

        Args:
            how: Given what stands there now, returns what shall.

        Returns:
            What stands there then; unchanged, nothing was written.

        Raises:
            DatasetError: If the file is damaged (it was put aside), or `how` refuses.
            StorageError: If the disk is full, read-only or failing; the old file is
                intact.
        """
        with self._locked():
            before = self._read()
            after = how(before)
            if replace(after, version=0) == replace(before, version=0):
                return before
            version = max(before.version + 1, time.time_ns() // 1_000_000)
            after = replace(after, version=version)
            _write(self.path, after, self.place)
            return after

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".strokes.lock", timeout=_LOCK_SECONDS):
                yield
        except Timeout as error:
            raise StorageError(
                "another program has held the labels of this image for "
                f"{_LOCK_SECONDS:.0f} seconds. Close it and try again.",
                file=self.path.name,
            ) from error
        except OSError as error:
            raise files.storage_error(self.path, error) from error

    def _read(self) -> Painted:
        if not files.exists(self.path):
            return Painted()
        try:
            return _read(self.path, self.place)
        except (sqlite3.DatabaseError, ValueError) as error:
            files.open_regular(self.path).close()  # else the disk is at fault
            moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
            aside = self.path.with_name(f"strokes-damaged-{moment}.gpkg")
            self.path.rename(aside)
            raise DatasetError(
                f"damaged; it was kept as {aside.name} in the folder {aside.parent} "
                "and nothing is painted now. Paint again, or bring labels from a copy.",
                file=self.path.name,
            ) from error


@dataclass(frozen=True, slots=True)
class _Facts:
    """What stands beside the strokes."""

    classes: Classes
    version: Count
    done: Annotated[tuple[Text, ...], Field(max_length=10_000)] = ()


def _write(path: Path, painted: Painted, place: Georeference | None) -> None:
    points = sum(len(stroke.points) for stroke in painted.strokes)
    files.require_free_space(path.parent, 2**18 + _BYTES_A_POINT * points)
    names = [stroke.class_name for stroke in painted.strokes]
    columns = {
        CLASS_FIELD: np.array(names, np.object_),
        WIDTH_FIELD: np.array([s.width_px for s in painted.strokes], np.float64),
        "kind": np.array([stroke.kind for stroke in painted.strokes], np.object_),
        "stroke": np.array([stroke.id for stroke in painted.strokes], np.object_),
    }
    facts = _Facts(painted.classes, painted.version, painted.done)
    shapes = np.array([geometry(stroke) for stroke in painted.strokes], np.object_)
    with _scratch(path) as made:
        _write_features(made, _on_earth(shapes, place), columns, place)
        with closing(sqlite3.connect(made)) as connection, connection:
            connection.execute(
                f"CREATE TABLE {_FACTS} (id INTEGER PRIMARY KEY, facts TEXT NOT NULL)"
            )
            text = json.dumps(asdict(facts), ensure_ascii=False)
            connection.execute(
                f"INSERT INTO {_FACTS} (facts) VALUES (?)",
                (text,),
            )
            connection.execute(
                "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
                "VALUES (?, 'attributes', ?)",
                (_FACTS, _FACTS),
            )


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Yield a place for a file that takes that of `path` in the end."""
    with files.scratch_folder(path.parent) as folder:
        made = folder / f"labels{path.suffix}"
        yield made
        with files.atomic_path(path) as temporary:
            made.replace(temporary)


def _write_features(
    path: Path,
    shapes: NDArray[np.object_],
    columns: dict[str, NDArray[Any]],
    place: Georeference | None,
    **options: Any,
) -> None:
    import shapely

    ogr = load_ogr()
    driver = {".gpkg": "GPKG", ".geojson": "GeoJSON"}[path.suffix]
    try:
        with OGR_LOCK, ignored_warnings(".*'crs' was not provided"):
            ogr.raw.write(
                path,
                shapely.to_wkb(shapes),
                list(columns.values()),
                list(columns),
                geometry_type="Unknown",
                driver=driver,
                layer=LAYER,
                crs=(place.crs_wkt if place else "") or None,
                **options,
            )
    except ogr_errors() as error:
        raise StorageError(f"cannot be written ({error}).", file=path.name) from error


def _on_earth(
    shapes: NDArray[np.object_], place: Georeference | None
) -> NDArray[np.object_]:
    """Return shapes in px where they lie: in the image's reference system."""
    return _moved(shapes, place.transform if place else _NOWHERE)


def _moved(shapes: NDArray[np.object_], transform: Transform) -> NDArray[np.object_]:
    import shapely

    def move(places: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(applied(transform, places[:, 0], places[:, 1]), axis=1)

    moved: NDArray[np.object_] = shapely.transform(shapes, move)
    return moved


def _read(path: Path, place: Georeference | None) -> Painted:
    """Return what a file of ours holds.

    Raises:
        ValueError: If it does not hold what we write.
        sqlite3.Error: If it is none.
    """
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        rows = connection.execute(
            f"SELECT geom, stroke, kind, {CLASS_FIELD}, {WIDTH_FIELD} FROM {LAYER} "
            "ORDER BY fid"
        ).fetchmany(MAX_STROKES + 1)
        text = connection.execute(f"SELECT facts FROM {_FACTS}").fetchone()[0]
    if not isinstance(text, str) or len(text) > _MAX_FACTS:
        raise ValueError("too much beside the strokes")
    facts = checked(_Facts, files.parse_json(text))
    strokes = tuple(_strokes(rows, place))
    names = {item.name for item in facts.classes}
    if any(s.class_name is not None and s.class_name not in names for s in strokes):
        raise ValueError("a stroke of no class")
    require_few(strokes)
    return Painted(strokes, facts.classes, facts.version, facts.done)


def _strokes(
    rows: Sequence[tuple[Any, ...]], place: Georeference | None
) -> Iterator[Stroke]:
    import shapely

    try:
        shapes = shapely.from_wkb([_plain(row[0]) for row in rows])
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise ValueError(str(error)) from error
    transform = inverted(place.transform if place else _NOWHERE)
    moved = _moved(np.array(shapes, np.object_), transform)
    for shape, (_, *fields) in zip(moved, rows, strict=True):
        places = np.round(shapely.get_coordinates(shape), DECIMALS)
        if fields[1] == "area":
            places = places[:-1]
        points = [[float(x), float(y)] for x, y in places]
        names = ("id", "kind", "class_name", "width_px")
        values = dict(zip(names, fields, strict=True)) | {"points": points}
        yield checked(Stroke, values)


def _plain(blob: bytes) -> bytes:
    """Return the WKB in a geometry of a GeoPackage."""
    if blob[:2] != b"GP":
        raise ValueError("no geometry of a GeoPackage")
    kind = blob[3] >> 1 & 7
    if kind >= len(_ENVELOPES):
        raise ValueError("no geometry of a GeoPackage")
    return bytes(blob[8 + _ENVELOPES[kind] :])


def write_labels(path: Path, painted: Painted, place: Georeference | None) -> None:
    """Write the labels for other programs, what was erased left out.

    Args:
        path: A `.gpkg`, in the image's reference system, or a `.geojson` in longitude
            and latitude.
        painted: What is painted.
        place: Where the image lies; None for places in px, x to the right and y up.

    Raises:
        DatasetError: If nothing is painted.
        StorageError: If the disk is full, read-only or failing.
    """
    labels = list(labels_of(painted.strokes))
    if not labels:
        raise DatasetError("nothing is painted yet. Paint a stroke first.")
    colors = {item.name: hex_color(item.color) for item in painted.classes}
    columns = {
        CLASS_FIELD: _column(labels, lambda label: label.class_name, np.object_),
        WIDTH_FIELD: _column(labels, lambda label: label.width_px, np.float64),
        "color": _column(labels, lambda label: colors[label.class_name], np.object_),
    }
    shapes = np.array([label.shape for label in labels], np.object_)
    options = {} if path.suffix == ".gpkg" else {"layer_options": {"RFC7946": "YES"}}
    with _scratch(path) as made:
        _write_features(made, _on_earth(shapes, place), columns, place, **options)


def _column(
    labels: Sequence[Label], value: Callable[[Label], Any], dtype: Any
) -> NDArray[Any]:
    return np.array([value(label) for label in labels], dtype)
