"""How long a pixel is on the ground, for the scales that a pack's text names."""

import math

import numpy as np

from terrainlib.data.imagery import Georeference
from terrainlib.mask.ground.equal_area import corner_places, read_crs


def pixel_size(
    georeference: Georeference | None, height: int, width: int
) -> tuple[float, float] | None:
    """Return how wide and high the pixel in the image's middle is, in metres.

    Measured along the ellipsoid (geodesics), whatever the units and distortions of the
    reference system.

    Args:
        georeference: Where the image's pixels lie.
        height: Rows of the image.
        width: Columns of the image.

    Returns:
        Metres along a row and along a column, or None where they are not known.
    """
    crs = read_crs(georeference)
    if crs is None or georeference is None or crs.geodetic_crs is None:
        return None
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    rows = height / 2 + np.array([0.0, 0.0, -0.5, 0.5])
    columns = width / 2 + np.array([-0.5, 0.5, 0.0, 0.0])
    x, y = corner_places(georeference, rows, columns)
    ground = crs.geodetic_crs.to_2d()
    try:
        to_ground = Transformer.from_crs(crs, ground, always_xy=True)
    except ProjError:
        return None
    lon, lat = (np.asarray(part) for part in to_ground.transform(x, y))
    unit = math.degrees(ground.axis_info[0].unit_conversion_factor)
    geod = crs.get_geod()
    if geod is None or not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    lon, lat = lon * unit, lat * unit
    _, _, lengths = geod.inv(lon[[0, 2]], lat[[0, 2]], lon[[1, 3]], lat[[1, 3]])
    across, down = (float(length) for length in lengths)
    return (across, down) if across > 0 and down > 0 else None
