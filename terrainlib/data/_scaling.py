"""From stored samples of any type to red, green and blue in [0, 1]."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data._raster import Raster

_LOW_PERCENT: Final = 2
_HIGH_PERCENT: Final = 98
_USED_SHARE: Final = 0.25
_SAMPLED_PIXELS: Final = 1_000_000
_FLOAT_TOLERANCE: Final = 0.05


def to_rgb(raster: Raster) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return the picture as RGB with notes of what was done.

    8 bits are divided by their full scale. More bits are too if the 98th percentile of
    the pixels with data uses more than a quarter of it; otherwise the 2nd to the 98th
    percentile is stretched, all bands together. Floats in [0, 1] stay as they are, up
    to 255 they are divided by it, all others are stretched.

    Returns:
        (H, W, 3) float32 in [0, 1], 0 where there is no data; and the notes.
    """
    samples = raster.colors()
    notes = list(raster.notes)
    if raster.palette is not None:
        notes.append("palette colours converted to RGB")
        low, high = 0.0, 255.0
    else:
        low, high, range_notes = _value_range(raster)
        notes += range_notes
    rgb = _stretch(samples, low, high)
    if not raster.valid.all():
        rgb[~raster.valid] = 0.0
        missing = 100 * (1 - float(raster.valid.mean()))
        share = f"{missing:.3g}" if missing >= 0.01 else "less than 0.01"
        notes.append(f"{share} % of the pixels have no data")
    if samples.shape[2] == 1:
        notes.append("grey, used as red, green and blue")
    return rgb, tuple(notes)


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


def _value_range(raster: Raster) -> tuple[float, float, list[str]]:
    """Return the values that become 0 and 1, and a note where that was a choice."""
    maximum = raster.maximum
    if maximum is not None and maximum <= 255 and raster.pixels.dtype.kind == "u":
        return 0.0, float(maximum), []
    values = _sample(raster)
    if values.size == 0:
        return 0.0, float(maximum or 1), []
    low, high = (float(v) for v in np.percentile(values, (_LOW_PERCENT, _HIGH_PERCENT)))
    least, most = float(values.min()), float(values.max())
    if maximum is None:
        return _float_range(least, most, low, high)
    signed = raster.pixels.dtype.kind == "i"
    bits = maximum.bit_length() + signed
    if least >= 0 and high > maximum * _USED_SHARE:
        return 0.0, float(maximum), [f"{bits}-bit scaled from 0..{maximum:,}"]
    return low, high, [_stretched(f"{bits}-bit", low, high)]


def _float_range(
    least: float, most: float, low: float, high: float
) -> tuple[float, float, list[str]]:
    """Return the range for floats, whose full scale no file declares."""
    if least >= 0 and most <= 1:
        return 0.0, 1.0, []
    if least >= -_FLOAT_TOLERANCE and high <= 1 and most <= 4:
        return 0.0, 1.0, ["floating point, values outside 0..1 clipped"]
    if least >= 0 and most <= 255:
        return 0.0, 255.0, ["floating point scaled from 0..255"]
    return low, high, [_stretched("floating point", low, high)]


def _stretched(what: str, low: float, high: float) -> str:
    return (
        f"{what} stretched from {low:,.6g}..{high:,.6g} "
        f"(percentiles {_LOW_PERCENT} to {_HIGH_PERCENT})"
    )


def _sample(raster: Raster) -> NDArray[Any]:
    """Return values of pixels with data, evenly spread where there are very many."""
    step = max(1, int((raster.valid.size / _SAMPLED_PIXELS) ** 0.5))
    values: NDArray[Any] = raster.pixels[::step, ::step][raster.valid[::step, ::step]]
    return values.astype(np.float64).ravel()
