"""Labelled polygons, lines and points of GeoPackage, GeoJSON and Shapefile.

A file is copied into a folder of its own before it is opened, so that it has nothing
beside it; a coordinate reference system that names other files or addresses is refused
before GDAL sees it. Features are read whole, their number and their bytes are bounded.
"""

import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.data.formats.source import MAX_NAME_CHARACTERS
from terrainlib.errors import DatasetError
from terrainlib.gdal import OGR_LOCK, load_ogr, ogr_errors
from terrainlib.places import require_readable

VECTOR_SUFFIXES: Final = (".gpkg", ".geojson", ".json", ".shp")
MAX_VECTOR_MB: Final = 200
MAX_FEATURES: Final = 200_000
WIDTH_FIELD: Final = "width_px"
_MAX_SYSTEMS: Final = 10_000
_PARTS: Final = {".shp": (".shp", ".shx", ".dbf", ".prj", ".cpg")}
_USUAL: Final = ("class", "classname", "class_name", "label", "landcover", "land_cover")
_NO_CLASS: Final = frozenset({"id", "fid", "ogc_fid", "objectid", WIDTH_FIELD})
_KINDS: Final = ("OFTString", "OFTInteger", "OFTInteger64")
_SYSTEM: Final = re.compile(
    r"(urn:ogc:def:crs:)?[A-Za-z0-9]+:[A-Za-z0-9.]*:?[A-Za-z0-9]+"
)
_NO_SHIFT: Final = "+nadgrids=@null"  # what GDAL writes for Web Mercator: no file
_OUTSIDE: Final = re.compile(
    r"grids\s*=|_grids|parameterfile|proj-based|\b(file|model|init)\s*=|https?:|file:",
    re.IGNORECASE,
)

Shape = Literal["polygon", "line", "point"]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Labelled features in the order of their file.

    Attributes:
        name: Name of the file, without folders.
        geometry: (n,) shapely geometries, two-dimensional.
        classes: (n,) names of their classes.
        widths: (n,) width in px of lines and points; NaN where none is given.
        crs: Coordinate reference system, as text; empty where the file names none.
        unlabelled: Features without a class or a geometry, which were left out.
    """

    name: str
    geometry: NDArray[np.object_]
    classes: tuple[str, ...]
    widths: NDArray[np.float64]
    crs: str
    unlabelled: int = 0


def is_vector(path: Path) -> bool:
    """Return whether a file is named as one of features."""
    return path.suffix.lower() in VECTOR_SUFFIXES


def list_fields(path: Path) -> tuple[str, ...]:
    """Return the fields that could hold the class, the likely one first.

    Raises:
        DatasetError: If the file cannot be read.
    """
    with _opened(path) as place:
        return tuple(
            field for layer in _layers(place, path.name) for field in _fields(layer)
        )


def read_features(path: Path, field: str | None = None) -> Features:
    """Read the features of a file with their classes.

    Args:
        path: GeoPackage, GeoJSON or Shapefile.
        field: The attribute that holds the class; without it the one named `class` or
            `label`, else the only one of text, else the only one of whole numbers.

    Raises:
        DatasetError: If the file is missing, too large, damaged or without features,
            has no such field or geometry, or if the field or layer is not clear.
    """
    ogr = load_ogr()
    with _opened(path) as place:
        layer, chosen = _choose(_layers(place, path.name), field, path.name)
        wanted = [chosen, *([WIDTH_FIELD] if WIDTH_FIELD in layer.fields else [])]
        with _faults(path.name), OGR_LOCK:
            meta, _, found, values = ogr.raw.read(
                place,
                layer=layer.name,
                columns=wanted,
                force_2d=True,
                max_features=MAX_FEATURES + 1,
            )
    if len(found) > MAX_FEATURES:
        raise DatasetError(
            f"more than {MAX_FEATURES:,} features, which is the limit. Split the file.",
            file=path.name,
        )
    columns = dict(zip(meta["fields"], values, strict=True))
    return _features(path.name, found, columns, chosen, str(meta["crs"] or ""))


def _features(
    name: str,
    found: NDArray[Any],
    columns: dict[str, NDArray[Any]],
    chosen: str,
    crs: str,
) -> Features:
    import shapely

    try:
        geometry = shapely.from_wkb(found)
    except shapely.errors.ShapelyError as error:
        raise _damaged(name) from error
    texts = [_text(value) for value in columns[chosen]]
    used = ~(shapely.is_missing(geometry) | shapely.is_empty(geometry))
    used &= np.array([text is not None for text in texts], bool)
    if not used.any():
        raise DatasetError(
            f"none of its {len(found):,} features has a geometry and a value in the "
            f"field {chosen!r}. Label some, or name another field.",
            file=name,
        )
    kinds = shapely.get_type_id(geometry[used])
    odd = np.flatnonzero((kinds == 7) | (kinds < 0))
    if odd.size:
        raise DatasetError(
            "it holds a collection of geometries of several kinds; polygons, lines and "
            "points are understood. Split the collections into these.",
            file=name,
        )
    widths = np.full(len(found), np.nan)
    if WIDTH_FIELD in columns:
        with suppress(TypeError, ValueError):  # a text is no width
            widths = columns[WIDTH_FIELD].astype(np.float64)
    classes = tuple(
        text for text, kept in zip(texts, used, strict=True) if kept and text
    )
    return Features(
        name, geometry[used], classes, widths[used], crs, int((~used).sum())
    )


def _text(value: Any) -> str | None:
    """Return the class that a value of a field names, None where it names none."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return None
    if isinstance(value, float | np.floating | np.integer):
        return f"{value:.0f}"
    text = "".join(c if c.isprintable() else " " for c in str(value)).strip()
    return text[:MAX_NAME_CHARACTERS] or None


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer with geometries: its name, its fields by their kinds."""

    name: str
    fields: dict[str, str]


def _layers(place: Path, name: str) -> list[_Layer]:
    ogr = load_ogr()
    layers = []
    with _faults(name), OGR_LOCK:
        for layer, geometry in ogr.list_layers(place):
            if geometry is not None:
                info = ogr.read_info(place, layer=layer)
                kinds = zip(info["fields"], info["ogr_types"], strict=True)
                layers.append(_Layer(str(layer), dict(kinds)))
    if not layers:
        raise DatasetError(
            "it has no layer of polygons, lines or points. Choose another file.",
            file=name,
        )
    return layers


def _fields(layer: _Layer) -> list[str]:
    """Return the fields that could hold the class, the likely one first."""
    named = {f: kind for f, kind in layer.fields.items() if kind in _KINDS}
    usual = [field for word in _USUAL for field in named if field.lower() == word]
    rest = [field for field in named if field.lower() not in _NO_CLASS]
    return list(dict.fromkeys([*usual, *rest]))


def _guess(layer: _Layer) -> str | None:
    """Return the field that holds the class, None where that is not clear."""
    fields = _fields(layer)
    if fields and fields[0].lower() in _USUAL:
        return fields[0]
    texts = [field for field in fields if layer.fields[field] == _KINDS[0]]
    for candidates in (texts, fields):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            return None
    return None


def _choose(
    layers: Sequence[_Layer], field: str | None, name: str
) -> tuple[_Layer, str]:
    """Return the layer to read and its field of the class."""
    if field is not None:
        having = [layer for layer in layers if field in layer.fields]
        if not having:
            there = [f for layer in layers for f in layer.fields]
            raise DatasetError(
                f"it has no field {field!r}; its fields are {_listed(there)}. Name one "
                "of these.",
                file=name,
            )
        layers = having
    if len(layers) > 1:
        raise DatasetError(
            f"it has {len(layers)} layers ({_listed([x.name for x in layers])}), and "
            "it is not clear which holds the labels. Save that one as a file of its "
            "own.",
            file=name,
        )
    chosen = field or _guess(layers[0])
    if chosen is None:
        fields = _fields(layers[0])
        raise DatasetError(
            f"it is not clear which field holds the class: {_listed(fields)}. Name it "
            "(--field)."
            if fields
            else "it has no field of text or whole numbers that could hold the class. "
            "Add one.",
            file=name,
        )
    return layers[0], chosen


def _listed(names: Sequence[str]) -> str:
    shown = ["".join(c if c.isprintable() else "?" for c in n)[:40] for n in names]
    return ", ".join(shown[:12]) + (", ..." if len(shown) > 12 else "") or "none"


@contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """Yield a copy of a file of features that may be opened."""
    suffix = path.suffix.lower()
    if suffix not in VECTOR_SUFFIXES:
        raise DatasetError(
            "this is not a file of labels. Give a GeoPackage (.gpkg), a GeoJSON "
            "(.geojson), a Shapefile (.shp) or a class raster (.tif, .png).",
            file=path.name,
        )
    with TemporaryDirectory() as folder:
        place = Path(folder) / f"labels{suffix}"
        _copy(path, place)
        for other in _PARTS.get(suffix, ())[1:]:
            _copy_beside(path, place, other)
        _require_closed(place, path.name)
        yield place


def _copy(path: Path, place: Path) -> None:
    try:
        if path.is_symlink():
            raise DatasetError(
                "this is a link; links are not followed. Give the file it points to.",
                file=path.name,
            )
        require_readable(path)
        with files.open_regular(path) as file, place.open("wb") as copy:
            size = file.seek(0, 2)
            file.seek(0)
            if size > MAX_VECTOR_MB * 1_000_000:
                raise DatasetError(
                    f"the file has {size / 1e6:.0f} MB; the limit is {MAX_VECTOR_MB} "
                    "MB. Split it.",
                    file=path.name,
                )
            shutil.copyfileobj(file, copy)
    except (OSError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            "there is no such file, or it may not be read. Check the path.",
            file=path.name,
        ) from error


def _copy_beside(path: Path, place: Path, ending: str) -> None:
    """Copy a further part of a Shapefile, named in small or capital letters."""
    for case in (ending, ending.upper()):
        beside = path.with_suffix(case)
        if files.is_file(beside):
            _copy(beside, place.with_suffix(ending))
            return
    if ending in (".shx", ".dbf"):
        raise DatasetError(
            f"a Shapefile is several files, and {path.stem}{ending} is not beside it. "
            "Copy all of them.",
            file=path.name,
        )


def _require_closed(place: Path, name: str) -> None:
    """Refuse a file whose reference system names others before GDAL follows it."""
    if place.suffix == ".gpkg":
        texts = _geopackage_texts(place, name)
    elif place.suffix == ".shp":
        system = place.with_suffix(".prj")
        texts = [system.read_text("utf-8", "replace")] if system.exists() else []
    else:
        texts = _geojson_texts(place, name)
    if any(_OUTSIDE.search(text.replace(_NO_SHIFT, "")) for text in texts):
        raise DatasetError(
            "its coordinate reference system names a file or an address, and these are "
            "not opened. Save it with a system from the EPSG register.",
            file=name,
        )


def _geopackage_texts(place: Path, name: str) -> list[str]:
    """Return the reference systems of a GeoPackage; views and programs are refused."""
    try:
        with closing(sqlite3.connect(place)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            systems = connection.execute("SELECT * FROM gpkg_spatial_ref_sys")
            names = [column[0] for column in systems.description]
            texts = [
                str(cell)
                for row in systems.fetchmany(_MAX_SYSTEMS)
                for column, cell in zip(names, row, strict=True)
                if column.startswith("definition")
            ]
            views = connection.execute(
                "SELECT 1 FROM sqlite_master WHERE type = 'view' AND name IN "
                "(SELECT table_name FROM gpkg_contents)"
            ).fetchone()
    except sqlite3.Error as error:
        raise _damaged(name) from error
    if views:
        raise DatasetError(
            "a layer is computed by a view, and these are not run. Save it as a table.",
            file=name,
        )
    return texts


def _geojson_texts(place: Path, name: str) -> list[str]:
    try:
        value = files.parse_json(place.read_text("utf-8-sig"), finite=False)
    except (ValueError, OSError) as error:
        raise _damaged(name) from error
    if not isinstance(value, dict) or value.get("type") not in (
        "FeatureCollection",
        "Feature",
    ):
        raise DatasetError(
            "it is not a GeoJSON FeatureCollection. Export it again.",
            file=name,
        )
    system = value.get("crs")
    if system is None:
        return []
    properties = system.get("properties") if isinstance(system, dict) else None
    text = properties.get("name") if isinstance(properties, dict) else None
    plain = isinstance(text, str) and _SYSTEM.fullmatch(text)
    return [] if plain else ["https:"]  # a link, or a program for PROJ


@contextmanager
def _faults(name: str) -> Iterator[None]:
    known: tuple[type[Exception], ...] = (*ogr_errors(), UnicodeDecodeError, ValueError)
    try:
        yield
    except known as error:
        if isinstance(error, DatasetError):
            raise
        raise _damaged(name) from error


def _damaged(name: str) -> DatasetError:
    return DatasetError(
        "damaged, or no GeoPackage, GeoJSON or Shapefile. Export it again.", file=name
    )
