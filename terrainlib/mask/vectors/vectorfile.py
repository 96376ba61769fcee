"""Polygons of a class mask as files: GeoPackage with its colours, and GeoJSON."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import Classes, hex_color
from terrainlib.errors import ImageError, StorageError, ignored_warnings
from terrainlib.files import atomic_path, require_free_space, scratch_folder
from terrainlib.gdal import OGR_LOCK, load_ogr, ogr_errors
from terrainlib.mask.rasters.gdalwork import write_failure
from terrainlib.mask.vectors.polygons import TerrainPolygons, with_places_between


def _write_layer(
    path: Path,
    geometry: NDArray[np.object_],
    fields: Mapping[str, NDArray[Any]],
    **options: Any,
) -> None:
    """Write polygons with their attributes as a file of one layer."""
    ogr = load_ogr()
    try:
        with OGR_LOCK, ignored_warnings(".*'crs' was not provided"):
            ogr.raw.write(
                path,
                geometry,
                list(fields.values()),
                list(fields),
                geometry_type="Polygon",
                **options,
            )
    except ogr_errors() as error:
        raise write_failure(path) from error


# The table that QGIS makes and looks for.
STYLE_TABLE: Final = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256),
    f_table_schema TEXT(256),
    f_table_name TEXT(256),
    f_geometry_column TEXT(256),
    styleName TEXT(30),
    styleQML TEXT,
    styleSLD TEXT,
    useAsDefault BOOLEAN,
    description TEXT,
    owner TEXT(30),
    ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""
_HEAD: Final = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


def qml_style(classes: Classes) -> str:
    """Return a QGIS style that fills polygons by their attribute `class`."""
    root = ElementTree.Element("qgis", version="3.22", styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr="class", symbollevels="0"
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, item in enumerate(classes):
        ElementTree.SubElement(
            categories,
            "category",
            value=item.name,
            label=item.name,
            symbol=str(number),
            render="true",
            type="string",
        )
        _add_fill(symbols, number, item.color)
    return _HEAD + ElementTree.tostring(root, encoding="unicode")


def _add_fill(
    symbols: ElementTree.Element, number: int, color: tuple[int, int, int]
) -> None:
    """Add a plain fill without an outline, in both spellings that QGIS has had."""
    symbol = ElementTree.SubElement(
        symbols, "symbol", type="fill", name=str(number), alpha="1", clip_to_extent="1"
    )
    layer = ElementTree.SubElement(
        symbol, "layer", {"class": "SimpleFill"}, enabled="1", locked="0"
    )
    settings = {
        "color": ",".join(map(str, (*color, 255))),
        "style": "solid",
        "outline_style": "no",
        "joinstyle": "miter",
    }
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for name, value in settings.items():
        ElementTree.SubElement(
            options, "Option", name=name, type="QString", value=value
        )
    for name, value in settings.items():
        ElementTree.SubElement(layer, "prop", k=name, v=value)


LAYER: Final = "terrain"
GEOMETRY: Final = "geom"
_VERSION: Final = "1.2"  # of GeoPackage: also older programs read it without a warning
_DECIMALS: Final = 7  # of a degree: a centimetre
_BYTES_A_POLYGON: Final = 300
_BYTES_A_CORNER: Final = 40


def write_geopackage(path: Path, polygons: TerrainPolygons) -> None:
    """Write polygons as a GeoPackage with the layer `terrain` and its QGIS style.

    The attributes are `class` (name), `index`, `color` (#rrggbb), `area_m2` (square
    metres on the ellipsoid; `area_px` where the image lies nowhere) and `share` (of all
    polygons, 0 to 1). The style in the table `layer_styles`, the layer's default, shows
    the classes in their colours. Coordinates and reference system are the image's;
    without one it is undefined, and y is minus the row.

    Args:
        path: The file. An older one is replaced when the new one is complete.
        polygons: What to write.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    import shapely

    with _replacing(path, "terrain.gpkg", polygons) as made:
        _write_layer(
            made,
            shapely.to_wkb(polygons.geometry),
            _fields(polygons),
            driver="GPKG",
            layer=LAYER,
            crs=polygons.crs_wkt or None,
            dataset_options={"VERSION": _VERSION},
            layer_options={"GEOMETRY_NAME": GEOMETRY},
        )
        try:
            _add_style(made, qml_style(polygons.classes))
        except sqlite3.Error as error:
            raise write_failure(Path(path)) from error


def write_geojson(path: Path, polygons: TerrainPolygons) -> None:
    """Write polygons as GeoJSON in WGS 84 (RFC 7946).

    Longitude before latitude with seven decimals (a centimetre), outer rings counter-
    clockwise, polygons across the 180th meridian cut there. Long edges get places in
    between, so that neighbours fit. The attributes are those of the GeoPackage.

    Args:
        path: The file. An older one is replaced when the new one is complete.
        polygons: What to write.

    Raises:
        ImageError: If the image lies nowhere, or not on the Earth.
        StorageError: If the disk is full, read-only or failing.

    References:
        The GeoJSON Format, RFC 7946, doi:10.17487/RFC7946.
    """
    import shapely

    path = Path(path)
    if not polygons.crs_wkt:
        raise ImageError(
            "the image has no coordinate reference system, and GeoJSON is in longitude "
            "and latitude. Write a GeoPackage instead.",
            file=path.name,
        )
    _check_on_earth(path, polygons)
    geometry = with_places_between(polygons.geometry, polygons.edge)
    with _replacing(path, "terrain.geojson", polygons) as made:
        _write_layer(
            made,
            shapely.to_wkb(geometry),
            _fields(polygons),
            driver="GeoJSON",
            layer=LAYER,
            crs=polygons.crs_wkt,
            layer_options={"RFC7946": "YES", "COORDINATE_PRECISION": str(_DECIMALS)},
        )


def _check_on_earth(path: Path, polygons: TerrainPolygons) -> None:
    """Refuse what has no longitude and latitude in WGS 84."""
    from pyproj import CRS, Transformer
    from pyproj.exceptions import ProjError

    try:
        Transformer.from_crs(CRS.from_wkt(polygons.crs_wkt), 4326)
        placed = not np.isnan(polygons.area).any()
    except ProjError:
        placed = False
    if not placed:
        raise ImageError(
            "parts of the image lie off the Earth, and GeoJSON is in longitude and "
            "latitude. Write a GeoPackage instead.",
            file=path.name,
        )


def _fields(polygons: TerrainPolygons) -> dict[str, NDArray[Any]]:
    names = np.array([item.name for item in polygons.classes], np.object_)
    colors = np.array([hex_color(item.color) for item in polygons.classes], np.object_)
    return {
        "class": names[polygons.index],
        "index": polygons.index.astype(np.int32),
        "color": colors[polygons.index],
        f"area_{polygons.unit}": polygons.area,
        "share": polygons.share,
    }


@contextmanager
def _replacing(path: Path, name: str, polygons: TerrainPolygons) -> Iterator[Path]:
    """Yield a file of some name in a scratch folder that takes its place in the end."""
    import shapely

    path = Path(path)
    corners = int(shapely.get_num_coordinates(polygons.geometry).sum())
    needed = _BYTES_A_POLYGON * len(polygons.index) + _BYTES_A_CORNER * corners
    require_free_space(path.parent, needed)
    with scratch_folder(path.parent) as folder:
        made = folder / name
        try:
            yield made
        except StorageError as error:
            raise StorageError(error.message, file=path.name) from error
        with atomic_path(path) as temporary:
            made.replace(temporary)


def _add_style(path: Path, style: str) -> None:
    """Add the table of styles, as QGIS itself does, with one that is the default."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(STYLE_TABLE)
        connection.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
            "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, "
            "description, owner) VALUES ('', '', ?, ?, ?, ?, '', 1, ?, '')",
            (LAYER, GEOMETRY, LAYER, style, "Terrain classes in their colours"),
        )
        connection.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description)"
            " VALUES ('layer_styles', 'attributes', 'layer_styles', '')"
        )
