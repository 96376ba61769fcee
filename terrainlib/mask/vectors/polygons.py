"""Polygons of a class mask: outlines, areas on the ground, and shares.

The regions of a class whose pixels touch at their sides (4-connectivity) become one
polygon each, along the pixels' edges; pixels without data belong to none. Islands below
a stated area are merged into their largest neighbour before. Files are written by
`vectorfile`.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Georeference
from terrainlib.data.palette import Classes
from terrainlib.errors import ConfigError, ImageError, require_number
from terrainlib.mask.ground.equal_area import equal_area_plane, is_degrees, read_crs
from terrainlib.mask.ground.pixels import mean_area
from terrainlib.mask.postprocess import merge_islands
from terrainlib.mask.rasters.geotiff import read_class_geotiff
from terrainlib.mask.vectors._outlines import Transform, count_corners, outlines

Bytes = NDArray[np.uint8]

MAX_MEGAPIXELS: Final = 1000
MAX_CORNERS: Final = 40_000_000
MAX_SMALLEST: Final = 1e12
_CHUNK: Final = 2_000  # polygons that are measured together
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
    index: Bytes
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
    mask: Bytes,
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
    mask: Bytes,
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
    for start in range(0, len(geometry), _CHUNK):
        pieces = with_places_between(geometry[start : start + _CHUNK], edge).copy()
        places, owner = shapely.get_coordinates(pieces, return_index=True)
        moved = np.stack(plane(places[:, 0], places[:, 1]), axis=1)
        lost = np.isnan(moved).any(axis=1)
        shapely.set_coordinates(pieces, np.nan_to_num(moved))
        chunk = shapely.area(pieces)
        chunk[owner[lost]] = np.nan
        areas[start : start + _CHUNK] = chunk
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
