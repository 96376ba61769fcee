"""Outlines of a class mask's regions as polygons, by GDAL."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA
from terrainlib.mask.postprocess import valid_bytes

Bytes = NDArray[np.uint8]
Transform = tuple[float, float, float, float, float, float]

_STRIP_PX: Final = 1 << 20
_CHUNK: Final = 1000  # polygons that are taken over from GDAL together


def count_corners(mask: Bytes) -> int:
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


def _corners(strip: Bytes) -> int:
    """Return the corners of the pixels within the rim of a strip."""
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


def _shifted(strip: Bytes, down: int, right: int) -> Bytes:
    """Return a strip within its rim, moved by one pixel."""
    height, width = strip.shape
    return strip[1 + down : height - 1 + down, 1 + right : width - 1 + right]


def outlines(
    mask: Bytes, transform: Transform
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
    """Return polygons of lists of rings, which are lists of places."""
    import shapely

    rings = [ring for shape in shapes for ring in shape]
    places = np.concatenate([np.array(ring) for ring in rings])
    ring_ends = np.cumsum([0, *(len(ring) for ring in rings)])
    polygon_ends = np.cumsum([0, *(len(shape) for shape in shapes)])
    polygons: NDArray[np.object_] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, places, (ring_ends, polygon_ends)
    )
    return polygons
