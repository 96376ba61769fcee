"""The plane on which polygons are measured: areas on it are those on the ellipsoid.

Coordinates in degrees go to the cylindrical equal-area plane by its closed formula,
which keeps the pixels' edges straight. All others go through the Lambert azimuthal one
around the image's middle, or the cylindrical one where the image spans half the globe.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.raster import Georeference

if TYPE_CHECKING:
    from pyproj import CRS, Transformer

Coordinates = NDArray[np.float64]
Plane = Callable[[Coordinates, Coordinates], tuple[Coordinates, Coordinates]]

_FAR_DEGREES: Final = 100.0
_SHRINK: Final = 1 - 1e-9  # keeps the edge of a world map on its own side of the globe


class _Angles(NamedTuple):
    """The angles of a reference system: radians in a unit, and its ellipsoid's axes."""

    unit: float
    semi_major_m: float
    semi_minor_m: float

    @classmethod
    def of(cls, crs: "CRS") -> Self:
        """Return those of longitude and latitude; WGS 84's axes where none are told."""
        unit = crs.axis_info[0].unit_conversion_factor
        ellipsoid = crs.ellipsoid
        if ellipsoid is None:
            return cls(unit, 6378137.0, 6356752.314245179)
        return cls(unit, ellipsoid.semi_major_metre, ellipsoid.semi_minor_metre)


def is_degrees(crs: "CRS") -> bool:
    """Whether the coordinates are longitude and latitude themselves."""
    return crs.is_geographic and "Derived" not in crs.type_name


def read_crs(georeference: Georeference | None) -> "CRS | None":
    """Return the coordinate reference system, None where it places nothing on Earth."""
    if georeference is None or not georeference.crs_wkt:
        return None
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        crs = CRS.from_wkt(georeference.crs_wkt)
    except CRSError:
        return None
    while crs.is_bound and crs.source_crs is not None:
        crs = crs.source_crs
    usable = crs.is_geographic or crs.is_projected
    return crs if usable else None


def corner_places(
    georeference: Georeference, rows: Coordinates, columns: Coordinates
) -> tuple[Coordinates, Coordinates]:
    """Return x and y of pixel corners given by row and column, in the image's CRS."""
    a, b, c, d, e, f = georeference.transform
    return a * columns + b * rows + c, d * columns + e * rows + f


def equal_area_plane(
    georeference: Georeference | None, rows: slice, width: int
) -> Plane | None:
    """Return the map from the image's coordinates to metres on an equal-area plane.

    Args:
        georeference: Where the image's pixels lie.
        rows: The rows that are measured; they say where the plane touches the Earth.
        width: Columns of the image.

    Returns:
        A function of x and y, any shape, that gives both in metres, NaN where a
        point lies off the Earth; None where there is no usable reference system.

    References:
        Snyder, Map Projections: A Working Manual (1987), doi:10.3133/pp1395, chapters
        10 and 24.
    """
    crs = read_crs(georeference)
    if crs is None or georeference is None:
        return None
    if is_degrees(crs):
        return partial(_cylindrical, _Angles.of(crs))
    steps = np.linspace(0, 1, 9)
    row, column = np.meshgrid(
        rows.start + steps * (rows.stop - rows.start), steps * width, indexing="ij"
    )
    x, y = corner_places(georeference, row, column)
    return _around(crs, x, y)


def _around(crs: "CRS", x: Coordinates, y: Coordinates) -> Plane | None:
    """Return the plane that suits a (9, 9) lattice of places all over the image."""
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    ground = crs.geodetic_crs
    if ground is not None and not is_degrees(ground):
        ground = ground.source_crs
    if ground is None:
        return None
    ground = ground.to_2d()
    try:
        to_ground = Transformer.from_crs(crs, ground, always_xy=True)
    except ProjError:
        return None
    lon, lat = _places(to_ground, x, y)
    angles = _Angles.of(ground)
    unit = angles.unit
    seen = ~np.isnan(lon)
    if not seen.any():
        return None
    middle = np.unravel_index(np.argmin(_from_middle(seen)), seen.shape)
    start = (float(lon[middle]), float(lat[middle]))
    if _is_far(unit * lon[seen], unit * lat[seen], *np.multiply(unit, start)):
        center = (float(x[middle]), float(y[middle]))
        return partial(_cylindrical_around, to_ground, angles, center, start[0])
    return _azimuthal(crs, ground, *np.degrees(np.multiply(unit, start)))


def _places(
    to_ground: "Transformer", x: Coordinates, y: Coordinates
) -> tuple[Coordinates, Coordinates]:
    """Return longitude and latitude, NaN where a point lies off the Earth."""
    lon, lat = (_known(part) for part in to_ground.transform(x, y))
    # Some projections give an answer there too; the way back tells.
    back_x, back_y = to_ground.transform(lon, lat, direction="INVERSE")
    reach = 1e-6 * (np.abs(x).max() + np.abs(y).max() + 1)
    same = (np.abs(_known(back_x) - x) < reach) & (np.abs(_known(back_y) - y) < reach)
    return np.where(same, lon, np.nan), np.where(same, lat, np.nan)


def _is_far(lon: Coordinates, lat: Coordinates, lon_0: float, lat_0: float) -> bool:
    cosine = np.sin(lat_0) * np.sin(lat)
    cosine += np.cos(lat_0) * np.cos(lat) * np.cos(lon - lon_0)
    return bool(cosine.min() < np.cos(np.radians(_FAR_DEGREES)))


def _cylindrical_around(
    to_ground: "Transformer",
    angles: _Angles,
    center: tuple[float, float],
    lon_0: float,
    x: Coordinates,
    y: Coordinates,
) -> tuple[Coordinates, Coordinates]:
    lon, lat = _places(to_ground, center[0] + (x - center[0]) * _SHRINK, y)
    turn = 2 * np.pi / angles.unit
    return _cylindrical(angles, (lon - lon_0 + turn / 2) % turn - turn / 2, lat)


def _from_middle(seen: NDArray[np.bool_]) -> Coordinates:
    """Return how far each seen place of a lattice is from its middle; others: inf."""
    row, column = np.indices(seen.shape)
    distance = np.hypot(row - seen.shape[0] // 2, column - seen.shape[1] // 2)
    return np.where(seen, distance, np.inf)


def _azimuthal(crs: "CRS", ground: Any, lon_0: float, lat_0: float) -> Plane:
    from pyproj import Transformer
    from pyproj.crs import ProjectedCRS
    from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion

    conversion = LambertAzimuthalEqualAreaConversion(lat_0, lon_0)
    target = ProjectedCRS(conversion, geodetic_crs=ground)
    transformer = Transformer.from_crs(crs, target, always_xy=True)

    def azimuthal(x: Coordinates, y: Coordinates) -> tuple[Coordinates, Coordinates]:
        moved_x, moved_y = transformer.transform(x, y)
        return _known(moved_x), _known(moved_y)

    return azimuthal


def _known(part: Any) -> Coordinates:
    values = np.asarray(part, np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _cylindrical(
    angles: _Angles, lon: Coordinates, lat: Coordinates
) -> tuple[Coordinates, Coordinates]:
    """Return metres on the cylindrical equal-area plane, in the angles of a CRS.

    With the eccentricity e and the polar radius b, ``x = b lon`` and ``y = b / 2
    (sin(lat) / (1 - e^2 sin(lat)^2) + artanh(e sin(lat)) / e)``: the area between two
    parallels and two meridians is that of the rectangle, exactly.
    """
    unit, a, b = angles
    sine = np.sin(np.clip(unit * lat, -np.pi / 2, np.pi / 2))
    square = 1 - (b / a) ** 2
    if square <= 0:  # a sphere
        return b * unit * lon, b * sine
    e = np.sqrt(square)
    y = b / 2 * (sine / (1 - square * sine**2) + np.arctanh(e * sine) / e)
    return b * unit * lon, y


_PIECES: Final = 64  # a row of pixels is measured in so many pieces at most


def row_areas(
    georeference: Georeference | None, rows: slice, width: int
) -> NDArray[np.float64] | None:
    """Return the area that one pixel of each row covers on the ground.

    Exact where the coordinates are degrees. For other reference systems the row is
    divided into at most 64 pieces that are measured on an equal-area plane.

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
    """Return the mean ground area of a pixel of the image in square metres, or None."""
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
    down_x, down_y = x[1:, 1:] - x[:-1, :-1], y[1:, 1:] - y[:-1, :-1]
    up_x, up_y = x[:-1, 1:] - x[1:, :-1], y[:-1, 1:] - y[1:, :-1]
    areas: NDArray[np.float64] = np.abs(down_x * up_y - down_y * up_x) / 2
    return areas
