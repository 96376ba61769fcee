"""Polygons of a class mask: outlines, areas on the ground, and shares.

The regions of a class whose pixels touch at their sides (4-connectivity) become one
polygon each, along the pixels' edges; pixels without data belong to none. Islands below
a stated area are merged into their largest neighbour before. Files are written by
`vectorfile`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import ConfigError, ImageError, require_number
from terrainlib.mask.cleaning import merge_islands, valid_bytes
from terrainlib.mask.ground.equalarea import (
    equal_area_plane,
    is_degrees,
    mean_area,
    read_crs,
)
from terrainlib.mask.rasters.geotiff import read_class_geotiff
from terrainlib.types import ByteArray

Transform = tuple[float, float, float, float, float, float]

_STRIP_PX: Final = 1 << 20
_CHUNK: Final = 1000  # polygons that are taken over from GDAL together


def count_corners(mask: ByteArray) -> int:
    """Return how many corners the outlines of all regions have together.

    A pixel has an outer corner where both neighbours at its sides differ, and an inner
    one where both are alike and the one between them differs.

    Args:
        mask: (H, W) uint8 class indices, 255 = no data.
    """
    height, width = mask.shape
    rows = max(1, _STRIP_PX // width)
    total = 0
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        strip = np.full((stop - start + 2, width + 2), NO_DATA, np.uint8)
        above, below = max(start - 1, 0), min(stop + 1, height)
        first = above - start + 1
        strip[first : first + below - above, 1:-1] = mask[above:below]
        total += _corners(strip)
    return total


def _corners(strip: ByteArray) -> int:
    here = strip[1:-1, 1:-1]
    counted = here != NO_DATA
    same = {
        (down, right): _shifted(strip, down, right) == here
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    }
    total = 0
    for down in (-1, 1):
        for right in (-1, 1):
            side, other = same[down, 0], same[0, right]
            outer = ~(side | other)
            inner = side & other & ~same[down, right]
            total += int(np.count_nonzero((outer | inner) & counted))
    return total


def _shifted(strip: ByteArray, down: int, right: int) -> ByteArray:
    height, width = strip.shape
    return strip[1 + down : height - 1 + down, 1 + right : width - 1 + right]


def outlines(
    mask: ByteArray, transform: Transform
) -> tuple[NDArray[np.object_], NDArray[np.uint8]]:
    """Return the regions of a mask as polygons, and their classes.

    Args:
        mask: (H, W) uint8 class indices, 255 = no data, which makes no polygon.
        transform: Where the pixels' corners lie, as in `Georeference`.

    Returns:
        (n,) shapely polygons in the order in which GDAL finds them, (n,) uint8.
    """
    import rasterio
    from rasterio import features

    shapes: Iterator[tuple[Any, float]] = features.shapes(
        mask,
        mask=valid_bytes(mask),
        connectivity=4,
        transform=rasterio.Affine(*transform),
    )
    geometry = [np.zeros(0, np.object_)]
    classes = [np.zeros(0, np.uint8)]
    while chunk := list(islice(shapes, _CHUNK)):
        geometry.append(_polygons([shape["coordinates"] for shape, _ in chunk]))
        classes.append(np.array([value for _, value in chunk], np.uint8))
    return np.concatenate(geometry), np.concatenate(classes)


def _polygons(shapes: list[Any]) -> NDArray[np.object_]:
    import shapely

    rings = [ring for shape in shapes for ring in shape]
    places = np.concatenate([np.array(ring) for ring in rings])
    ring_ends = np.cumsum([0, *(len(ring) for ring in rings)])
    polygon_ends = np.cumsum([0, *(len(shape) for shape in shapes)])
    polygons: NDArray[np.object_] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, places, (ring_ends, polygon_ends)
    )
    return polygons


MAX_MEGAPIXELS: Final = 1000
MAX_CORNERS: Final = 40_000_000
MAX_SMALLEST: Final = 1e12
_CHUNK_POLYGONS: Final = 2_000  # polygons that are measured together
_EARTH_M: Final = 6_371_000
_BEND: Final = 0.001  # px that an edge may leave the straight line: the Earth is round
_PIXELS: Final = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


@dataclass(frozen=True, slots=True)
class SmallestArea:
    """The smallest area that gets a polygon of its own.

    Attributes:
        value: How large, 0 to 1e12; 0 keeps every pixel.
        unit: `px`, or `m2` for square metres, where the image lies on the Earth; they
            are counted in pixels of mean area then, rounded up.

    Raises:
        ConfigError: If it is out of its bounds.
    """

    value: float = 16
    unit: Literal["px", "m2"] = "px"

    def __post_init__(self) -> None:
        require_number("smallest area", self.value, 0, MAX_SMALLEST)

    def pixels(self, pixel_m2: float | None) -> int:
        """Return it in px.

        Args:
            pixel_m2: Mean area of a pixel, None where it is not known.

        Raises:
            ConfigError: If it is in square metres and the pixels' area is not known.
        """
        if self.unit == "px":
            return math.ceil(self.value)
        if pixel_m2 is None:
            raise ConfigError(
                "the image has no coordinate reference system, so the smallest area "
                "cannot be in square metres. Give it in pixels."
            )
        return math.ceil(self.value / pixel_m2)


@dataclass(frozen=True, slots=True, eq=False)
class TerrainPolygons:
    """The polygons of a class mask, by class, the largest of each class first.

    Attributes:
        geometry: (n,) shapely polygons in coordinates of the image's reference system;
            without one x is the column and y minus the row, as GIS programs show such
            an image.
        index: (n,) uint8, index of the class.
        area: (n,) float64, square metres on the ellipsoid, or px where there is no
            reference system; NaN for polygons that reach off the Earth.
        share: (n,) float64, the area as a share (0 to 1) of all polygons together.
        classes: The K classes.
        crs_wkt: Coordinate reference system; empty where there is none.
        smallest_px: Smaller islands were merged.
        edge: Longest edge, in coordinates, that may stay straight when the polygons
            change to another reference system.
    """

    geometry: NDArray[np.object_]
    index: ByteArray
    area: NDArray[np.float64]
    share: NDArray[np.float64]
    classes: Classes
    crs_wkt: str
    smallest_px: int
    edge: float

    @property
    def unit(self) -> Literal["m2", "px"]:
        """What the areas are counted in."""
        return "m2" if self.crs_wkt else "px"


def trace_mask(
    mask: ByteArray,
    classes: Classes,
    georeference: Georeference | None,
    *,
    smallest: SmallestArea | None = None,
) -> TerrainPolygons:
    """Return the polygons of a class mask in memory.

    Needs two bytes of memory for each pixel and about 50 for each corner of an outline.

    Args:
        mask: (H, W) uint8 class indices, 255 = no data. Not modified.
        classes: The K classes.
        georeference: Where the image's pixels lie, if they lie anywhere.
        smallest: The smallest area that stays; without it 16 px.

    Raises:
        ConfigError: If it is in square metres and the image lies nowhere.
        ImageError: If the outlines have too many corners.
    """
    return _trace(mask.copy(), classes, georeference, smallest or SmallestArea())


def trace_geotiff(
    path: Path, *, smallest: SmallestArea | None = None
) -> TerrainPolygons:
    """Return the polygons of a class mask that `geotiff` wrote.

    Needs two bytes of memory for each pixel and about 50 for each corner of an outline.

    Args:
        path: The file; it names the classes and says where its pixels lie.
        smallest: The smallest area that stays; without it 16 px.

    Raises:
        ConfigError: If it is in square metres and the file lies nowhere.
        ImageError: If the file is none of ours, or it or its outlines are too large.
    """
    mask, classes, georeference = read_class_geotiff(path, MAX_MEGAPIXELS)
    return _trace(mask, classes, georeference, smallest or SmallestArea())


def _trace(
    mask: ByteArray,
    classes: Classes,
    georeference: Georeference | None,
    smallest: SmallestArea,
) -> TerrainPolygons:
    """Return the polygons of a mask, whose small islands are merged in place."""
    height, width = mask.shape
    crs = read_crs(georeference)
    pixel_m2 = mean_area(georeference, height, width)
    smallest_px = smallest.pixels(pixel_m2)
    merge_islands(mask, smallest_px)
    corners = count_corners(mask)
    if corners > MAX_CORNERS:
        raise ImageError(
            f"the outlines have {corners / 1e6:.0f} million corners; the limit is "
            f"{MAX_CORNERS / 1e6:.0f} million. Choose a smallest area above "
            f"{smallest_px} px, or cut the image into parts."
        )
    transform = _PIXELS if georeference is None else georeference.transform
    geometry, index = outlines(mask, transform)
    edge = math.inf
    if crs is not None and not (is_degrees(crs) and transform[1] == transform[3] == 0):
        edge = _longest_edge(transform, pixel_m2)
    area = _areas(geometry, georeference, mask.shape, edge)
    total = float(np.nansum(area))
    order = np.lexsort((-np.nan_to_num(area), index))
    return TerrainPolygons(
        geometry[order],
        index[order],
        area[order],
        area[order] / total if total else np.zeros_like(area),
        classes,
        georeference.crs_wkt if crs is not None and georeference is not None else "",
        smallest_px,
        edge,
    )


def _longest_edge(transform: Transform, pixel_m2: float | None) -> float:
    """Return how long an edge may be, in coordinates, to bend by 0.001 px at most.

    A chord of length s leaves a circle of radius r by s^2 / (8 r).
    """
    pixel_m = math.sqrt(pixel_m2 or 1.0)
    pixels = max(1.0, math.sqrt(8 * _EARTH_M * _BEND / pixel_m))
    return pixels * math.hypot(transform[0], transform[3])


def _areas(
    geometry: NDArray[np.object_],
    georeference: Georeference | None,
    shape: tuple[int, ...],
    edge: float,
) -> NDArray[np.float64]:
    """Return the area of each polygon in square metres, or in px."""
    import shapely

    plane = equal_area_plane(georeference, slice(0, shape[0]), shape[1])
    if plane is None:
        a, b, _, d, e, _ = _PIXELS if georeference is None else georeference.transform
        return np.asarray(shapely.area(geometry) / abs(a * e - b * d), np.float64)

    areas = np.zeros(len(geometry), np.float64)
    for start in range(0, len(geometry), _CHUNK_POLYGONS):
        pieces = with_places_between(
            geometry[start : start + _CHUNK_POLYGONS], edge
        ).copy()
        places, owner = shapely.get_coordinates(pieces, return_index=True)
        moved = np.stack(plane(places[:, 0], places[:, 1]), axis=1)
        lost = np.isnan(moved).any(axis=1)
        shapely.set_coordinates(pieces, np.nan_to_num(moved))
        chunk = shapely.area(pieces)
        chunk[owner[lost]] = np.nan
        areas[start : start + _CHUNK_POLYGONS] = chunk
    return areas


def with_places_between(
    geometry: NDArray[np.object_], edge: float
) -> NDArray[np.object_]:
    """Return polygons whose longer edges have places in between.

    Args:
        geometry: (n,) shapely polygons.
        edge: Longest edge that stays, in coordinates; infinite keeps all.
    """
    import shapely

    if math.isinf(edge):
        return geometry
    return np.asarray(shapely.segmentize(geometry, edge), np.object_)
