"""Pixels as a file stores them, before any choice of range; shared by the decoders."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import ConfigError
from terrainlib.types import Window

Triple = tuple[int, int, int]

# A sample is 256 windows of 64 px, about a million pixels. Their origins lie on
# multiples of 64, so that each lies within one tile where tiles have 128, 256 ... px.
_SAMPLE_PX: Final = 64
_SAMPLE_WINDOWS: Final = 256
_SMALL_PIXELS: Final = 4_000_000


def whole(height: int, width: int) -> Window:
    """Return the window that is all of an image."""
    return slice(0, height), slice(0, width)


def check_window(window: Window, height: int, width: int) -> None:
    """Refuse a window that is empty or reaches over the image's edge.

    Raises:
        ConfigError: If it does.
    """
    for part, length, what in zip(
        window, (height, width), ("rows", "columns"), strict=True
    ):
        if not 0 <= part.start < part.stop <= length or part.step not in (None, 1):
            raise ConfigError(
                f"a window's {what} must lie within 0 to {length}, not {part.start} to "
                f"{part.stop}. Cut it at the image's edge."
            )


def spread(total: int, count: int) -> list[int]:
    """Return `count` of the numbers from 0 to `total` - 1, evenly spread."""
    return [int((number + 0.5) * total / count) for number in range(count)]


def sample_windows(height: int, width: int) -> list[Window]:
    """Return windows whose pixels stand for the image's.

    They depend on its size alone, so that every way to read an image samples the same
    pixels: all of a small one, else about a million in evenly spread windows.

    Args:
        height: Rows, px.
        width: Columns, px.
    """
    if height * width <= _SMALL_PIXELS:
        return [whole(height, width)]
    down, across = -(-height // _SAMPLE_PX), -(-width // _SAMPLE_PX)
    columns = min(across, max(int(_SAMPLE_WINDOWS**0.5), _SAMPLE_WINDOWS // down))
    rows = min(down, _SAMPLE_WINDOWS // columns)
    return [
        (_cell(row, height), _cell(column, width))
        for row in spread(down, rows)
        for column in spread(across, columns)
    ]


def _cell(number: int, length: int) -> slice:
    start = number * _SAMPLE_PX
    return slice(start, min(length, start + _SAMPLE_PX))


ALPHA_NOTE: Final = "alpha dropped; fully transparent pixels have no data"


Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Georeference:
    """Where pixels lie on the Earth.

    Attributes:
        crs_wkt: Coordinate reference system as WKT; empty where the file names none.
        transform: (a, b, c, d, e, f): x = a column + b row + c, y = d column + e row +
            f, for the pixels' corners, in units of the coordinate reference system.
        nodata: Value that marks pixels without data in the file, if one is declared.
    """

    crs_wkt: str
    transform: Transform
    nodata: float | None


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the pixels of a file lie.

    Attributes:
        height: Rows, px.
        width: Columns, px.
        place: Where they lie on the Earth; None where the file does not say.
    """

    height: int
    width: int
    place: Georeference | None = None


SIDEWAYS: Final = frozenset({5, 6, 7, 8})  # orientations with rows and columns swapped


def upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return an (H, W, ...) array turned and mirrored as an orientation asks.

    Args:
        array: Pixels as stored.
        orientation: 1 to 8, as in EXIF; 1 changes nothing.
    """
    if orientation == 1:
        return array
    if orientation in SIDEWAYS:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def stored_window(window: Window, orientation: int, size: tuple[int, int]) -> Window:
    """Return where the pixels under a window of the upright picture are stored.

    Args:
        window: Rows and columns of the upright picture.
        orientation: 1 to 8, as in EXIF.
        size: (H, W) of the upright picture, px.
    """
    rows, columns = window
    if orientation in (3, 4, 7, 8):
        rows = slice(size[0] - rows.stop, size[0] - rows.start)
    if orientation in (2, 3, 6, 7):
        columns = slice(size[1] - columns.stop, size[1] - columns.start)
    return (columns, rows) if orientation in SIDEWAYS else (rows, columns)


@dataclass(frozen=True, slots=True)
class Raster:
    """Decoded pixels with what the file says about them.

    Attributes:
        pixels: (H, W, B) of the file's own type, B = 1 or 3 (RGB).
        valid: (H, W) bool, False where alpha is 0 or the file says no data.
        maximum: Full scale that the file declares (255 for 8 bit); None for floats.
        palette: (n, 3) uint8 colours that the pixels index, if it is a palette image.
        notes: What was done to the pixels, for people.
        georeference: Where they lie, if the file says so.
        file_bands: Bands of the file without alpha, where that is more than B.
        nodata: Value that the file declares as no data, None without one.
    """

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    maximum: int | None
    palette: NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()
    georeference: Georeference | None = None
    file_bands: int = 0
    nodata: float | None = None

    @property
    def bands(self) -> int:
        """Bands of the file, without alpha."""
        return max(self.file_bands, int(self.pixels.shape[2]))

    def part(self, window: Window) -> "Raster":
        """Return the pixels under a window, as views."""
        return replace(self, pixels=self.pixels[window], valid=self.valid[window])

    def colors(self) -> NDArray[Any]:
        """Return the pixels with a palette applied: (H, W, B)."""
        if self.palette is None:
            return self.pixels
        table = np.zeros((np.iinfo(self.pixels.dtype).max + 1, 3), np.uint8)
        table[: len(self.palette)] = self.palette
        colors: NDArray[Any] = table[self.pixels[..., 0]]
        return colors


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
