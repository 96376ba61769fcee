"""Heights made visible: shaded relief."""

import math

import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import ConfigError, ImageError

_STEEP_PERCENT = 98
_STEEP_SLOPE = 1.0


def shaded_relief(
    height: NDArray[np.float32],
    *,
    pixel_m: float | None = None,
    azimuth: float = 315,
    altitude: float = 45,
) -> NDArray[np.uint8]:
    """Return heights as a grey landscape lit from one side.

    Lambert's cosine law on the surface's normal:
    ``(sin(a) - cos(a) (east sin(z) + north cos(z))) / sqrt(1 + east² + north²)`` with
    the sun's altitude a and azimuth z, and the slopes towards east and north.
    Slopes are exaggerated (or flattened) so that steep ones, the 98th percentile,
    become 45 degrees; with `pixel_m` they are never flattened.

    Args:
        height: (H, W) float32 in metres; NaN is no data. Not modified.
        pixel_m: Metres a pixel; None where that is not known.
        azimuth: Direction that the light comes from, degrees clockwise from north (up).
        altitude: Height of the sun, degrees over the horizon, 0 to 90.

    Returns:
        (H, W) uint8: 0 in the shadow, 255 facing the sun; 0 where there is no data.

    Raises:
        ImageError: If `height` is not (H, W).
        ConfigError: If `pixel_m` or `altitude` is out of its bounds.

    Example:
        >>> int(shaded_relief(np.zeros((4, 4), np.float32))[0, 0])
        180
    """
    if height.ndim != 2 or height.size == 0:
        raise ImageError(
            f"a height array must be (height, width), not {height.shape}. Give one "
            "band."
        )
    if pixel_m is not None and not 0 < pixel_m < math.inf:
        raise ConfigError(f"pixel_m must be more than 0 m, not {pixel_m!r}.")
    if not 0 <= altitude <= 90:
        raise ConfigError(f"altitude must be 0 to 90 degrees, not {altitude!r}.")
    valid = np.isfinite(height)
    east, north = _slopes(np.where(valid, height, np.nan).astype(np.float64))
    factor = _exaggeration(east, north, pixel_m)
    shade = _lambert(east * factor, north * factor, azimuth, altitude)
    return np.where(valid, np.rint(shade * 255), 0).astype(np.uint8)


def _slopes(height: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return the rise per pixel towards east and north, 0 beside missing heights."""
    down, east = (
        np.gradient(height, axis=axis)
        if height.shape[axis] > 1
        else np.zeros_like(height)
        for axis in (0, 1)
    )
    return np.nan_to_num(east), np.nan_to_num(-down)


def _exaggeration(
    east: NDArray[np.float64], north: NDArray[np.float64], pixel_m: float | None
) -> float:
    """Return the factor that turns metres a pixel into slopes to be shown."""
    slope = np.hypot(east, north)
    steep = float(np.percentile(slope, _STEEP_PERCENT)) or float(slope.max())
    fitted = _STEEP_SLOPE / steep if steep > 0 else 1.0
    return fitted if pixel_m is None else max(fitted, 1 / pixel_m)


def _lambert(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    azimuth: float,
    altitude: float,
) -> NDArray[np.float64]:
    """Return the share of light, 0 to 1, that slopes throw back."""
    sun, direction = math.radians(altitude), math.radians(azimuth)
    towards = east * math.sin(direction) + north * math.cos(direction)
    light = math.sin(sun) - math.cos(sun) * towards
    return np.clip(light / np.sqrt(1 + east**2 + north**2), 0.0, 1.0)
