"""How much ground the pixels of an image cover, measured on the ellipsoid.

Only areas: where pixels lie is the business of `data`, their outlines of `vectors`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Georeference
from terrainlib.mask.ground.equal_area import Plane, corner_places, equal_area_plane

_PIECES: Final = 64  # a row of pixels is measured in so many pieces at most


def row_areas(
    georeference: Georeference | None, rows: slice, width: int
) -> NDArray[np.float64] | None:
    """Return the area that one pixel of each row covers on the ground.

    Exact where the coordinates are degrees. For other reference systems the row is
    divided into at most 64 pieces that are measured on an equal-area plane.

    Args:
        georeference: Where the image's pixels lie.
        rows: Which rows, both ends given.
        width: Columns of the image.

    Returns:
        (h,) float64 square metres on the ellipsoid of the reference system, the mean
        over the row; pixels off the Earth are left out, a row without any other is 0.
        None where there is no usable coordinate reference system.

    Example:
        >>> row_areas(None, slice(0, 2), 10) is None
        True
    """
    plane = equal_area_plane(georeference, rows, width)
    if plane is None or georeference is None:
        return None
    edges = np.arange(rows.start, rows.stop + 1, dtype=np.float64)
    areas, _ = _lattice_means(plane, georeference, edges, _edges(width))
    return areas


def mean_area(
    georeference: Georeference | None, height: int, width: int
) -> float | None:
    """Return the mean ground area of a pixel of the image in square metres, or None.

    Args:
        georeference: Where the image's pixels lie.
        height: Rows of the image.
        width: Columns of the image.
    """
    plane = equal_area_plane(georeference, slice(0, height), width)
    if plane is None or georeference is None:
        return None
    areas, pixels = _lattice_means(plane, georeference, _edges(height), _edges(width))
    return float(np.average(areas, weights=pixels)) if pixels.any() else None


def _edges(size: int) -> NDArray[np.float64]:
    """Return where the pieces of a row or a column of pixels begin and end."""
    return np.linspace(0, size, min(size, _PIECES) + 1)


def _lattice_means(
    plane: Plane,
    georeference: Georeference,
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each row of a lattice the mean area of a pixel, and its pixels."""
    row, column = np.meshgrid(rows, columns, indexing="ij")
    areas = _quadrangles(*plane(*corner_places(georeference, row, column)))
    known = ~np.isnan(areas)
    totals = np.where(known, areas, 0.0).sum(axis=1)
    pixels = known.sum(axis=1) * (columns[1] - columns[0]) * (rows[1] - rows[0])
    return np.divide(
        totals, pixels, out=np.zeros_like(totals), where=pixels > 0
    ), pixels


def _quadrangles(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas between neighbouring nodes of a lattice, from the diagonals."""
    down_x, down_y = x[1:, 1:] - x[:-1, :-1], y[1:, 1:] - y[:-1, :-1]
    up_x, up_y = x[:-1, 1:] - x[1:, :-1], y[:-1, 1:] - y[1:, :-1]
    areas: NDArray[np.float64] = np.abs(down_x * up_y - down_y * up_x) / 2
    return areas
