"""From stored samples of any type to red, green and blue in [0, 1]."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data._raster import Raster
from terrainlib.data._windows import sample_windows

_LOW_PERCENT: Final = 2
_HIGH_PERCENT: Final = 98
_USED_SHARE: Final = 0.25
_FLOAT_TOLERANCE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Scale:
    """How stored samples become red, green and blue.

    Attributes:
        low: The value that becomes 0.
        high: The value that becomes 1.
        notes: What that does to the pixels, for people.
    """

    low: float
    high: float
    notes: tuple[str, ...] = ()


def to_rgb(raster: Raster) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return a whole picture as RGB with notes of what was done.

    Returns:
        (H, W, 3) float32 in [0, 1], 0 where there is no data; and the notes.
    """
    height, width = raster.valid.shape
    parts = (raster.part(window) for window in sample_windows(height, width))
    scale = find_scale(raster, parts)
    notes = (*raster.notes, *scale.notes, *missing_note(raster.valid))
    return apply_scale(raster, scale), notes


def find_scale(picture: Raster, sample: Iterable[Raster]) -> Scale:
    """Return how to scale a picture, the same for each of its parts.

    8 bits are divided by their full scale. More bits are too if the 98th percentile of
    the pixels with data uses more than a quarter of it; otherwise the 2nd to the 98th
    percentile is stretched, all bands together. Floats in [0, 1] stay as they are, up
    to 255 they are divided by it, all others are stretched.

    Args:
        picture: Any part of it.
        sample: Parts that stand for all of it; looked at only where they matter.
    """
    grey = picture.palette is None and picture.pixels.shape[2] == 1
    last = ("grey, used as red, green and blue",) if grey else ()
    if picture.palette is not None:
        return Scale(0.0, 255.0, ("palette colours converted to RGB",))
    low, high, notes = _value_range(picture, sample)
    return Scale(low, high, notes + last)


def apply_scale(raster: Raster, scale: Scale) -> NDArray[np.float32]:
    """Return pixels as RGB: (H, W, 3) float32 in [0, 1], 0 where there is no data."""
    rgb = _stretch(raster.colors(), scale.low, scale.high)
    if not raster.valid.all():
        rgb[~raster.valid] = 0.0
    return rgb


def to_height(raster: Raster) -> NDArray[np.float32]:
    """Return the first band as metres, (H, W) float32, NaN where there is no data."""
    with np.errstate(over="ignore"):
        height = raster.pixels[..., 0].astype(np.float32)
    height[~raster.valid] = np.nan
    return height


def missing_note(valid: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return a note on the share of pixels without data, none where all have it."""
    if valid.all():
        return ()
    missing = 100 * (1 - float(valid.mean()))
    share = f"{missing:.3g}" if missing >= 0.01 else "less than 0.01"
    return (f"{share} % of the pixels have no data",)


def _stretch(samples: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Return (H, W, 3) float32: 0 for `low` and less, 1 for `high` and more."""
    rgb = np.empty((*samples.shape[:2], 3), np.float32)
    if samples.dtype == np.uint8 and low == 0 and high >= 255:
        np.divide(samples, np.float32(high), out=rgb)  # quick, nothing to clip
        return rgb
    with np.errstate(invalid="ignore", over="ignore"):
        if low:
            np.subtract(samples, low, out=rgb, casting="unsafe")
        else:
            np.copyto(rgb, samples, casting="unsafe")
    rgb /= np.float32(high - low) if high > low else np.float32(1)
    return np.clip(rgb, 0.0, 1.0, out=rgb)


def _value_range(
    picture: Raster, sample: Iterable[Raster]
) -> tuple[float, float, tuple[str, ...]]:
    """Return the values that become 0 and 1, and a note where that was a choice."""
    maximum = picture.maximum
    if maximum is not None and maximum <= 255 and picture.pixels.dtype.kind == "u":
        return 0.0, float(maximum), ()
    parts = [part.pixels[part.valid].ravel() for part in sample]
    values = np.concatenate(parts).astype(np.float64)
    if values.size == 0:
        return 0.0, float(maximum or 1), ()
    low, high = (float(v) for v in np.percentile(values, (_LOW_PERCENT, _HIGH_PERCENT)))
    least, most = float(values.min()), float(values.max())
    if maximum is None:
        return _float_range(least, most, low, high)
    signed = picture.pixels.dtype.kind == "i"
    bits = maximum.bit_length() + signed
    if least >= 0 and high > maximum * _USED_SHARE:
        return 0.0, float(maximum), (f"{bits}-bit scaled from 0..{maximum:,}",)
    return low, high, (_stretched(f"{bits}-bit", low, high),)


def _float_range(
    least: float, most: float, low: float, high: float
) -> tuple[float, float, tuple[str, ...]]:
    """Return the range for floats, whose full scale no file declares."""
    if least >= 0 and most <= 1:
        return 0.0, 1.0, ()
    if least >= -_FLOAT_TOLERANCE and high <= 1 and most <= 4:
        return 0.0, 1.0, ("floating point, values outside 0..1 clipped",)
    if least >= 0 and most <= 255:
        return 0.0, 255.0, ("floating point scaled from 0..255",)
    return low, high, (_stretched("floating point", low, high),)


def _stretched(what: str, low: float, high: float) -> str:
    return (
        f"{what} stretched from {low:,.6g}..{high:,.6g} "
        f"(percentiles {_LOW_PERCENT} to {_HIGH_PERCENT})"
    )
