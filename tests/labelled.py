"""Scenes of a few pixels with labels on them, for the tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import Affine

from terrainlib.gdal import load_ogr
from tests.imagefiles import tiff, write

UTM = "EPSG:32632"
# 10 m a pixel, from the middle of zone 32.
GRID = Affine(10, 0, 500_000, 0, -10, 5_200_000)


def scene(folder: Path, size: int = 64, bands: int = 4) -> Path:
    """Write an image of uint16 bands with names on `GRID`; return its path."""
    pixels = np.arange(size * size * bands, dtype=np.uint16).reshape(size, size, bands)
    names = ["red", "green", "blue", *(f"b{n}" for n in range(4, 65))][:bands]
    data = tiff(pixels + 1, crs=UTM, transform=GRID, descriptions=names)
    return write(folder, "scene.tif", data)


def ground(*corners: tuple[float, float]) -> list[tuple[float, float]]:
    """Return places on `GRID` of corners given in px: (column, row)."""
    return [at(*corner) for corner in corners]


def at(column: float, row: float) -> tuple[float, float]:
    """Return the place on `GRID` of a corner given in px."""
    return 500_000 + 10 * column, 5_200_000 - 10 * row


def square(column: float, row: float, side: float) -> Any:
    """Return a square on the ground, placed in px."""
    return shapely.box(*at(column, row + side), *at(column + side, row))


def features(
    path: Path,
    shapes: list[Any],
    fields: dict[str, list[Any]],
    *,
    crs: str = UTM,
    **options: Any,
) -> Path:
    """Write features with fields as a GeoPackage, GeoJSON or Shapefile."""
    drivers = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".shp": "ESRI Shapefile"}
    kinds = {shape.geom_type for shape in shapes}
    columns = [
        np.array(values, np.int64 if isinstance(values[0], int) else object)
        for values in fields.values()
    ]
    load_ogr().raw.write(
        path,
        shapely.to_wkb(np.array(shapes, object)),
        columns,
        list(fields),
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        driver=drivers[path.suffix],
        crs=crs,
        **options,
    )
    return path


def class_raster(folder: Path, codes: NDArray[Any], **profile: Any) -> Path:
    """Write a class raster, by default on `GRID`; return its path."""
    placed = {"crs": UTM, "transform": GRID, **profile}
    return write(folder, "codes.tif", tiff(codes, **placed))


def geojson(path: Path, value: dict[str, Any]) -> Path:
    """Write a GeoJSON by hand; return its path."""
    path.write_text(json.dumps(value))
    return path
