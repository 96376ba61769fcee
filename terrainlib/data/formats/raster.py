"""Pixels as a file stores them, before any choice of range; shared by the decoders."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from terrainlib.errors import ConfigError
from terrainlib.types import Finite, Window

Triple = tuple[int, int, int]
BandKey = int | str  # a band's number, from 1, or its name
Samples = Literal["8-bit", "integer", "floating point"]
MAX_BANDS: Final = 64
_Place = Annotated[int, Field(ge=0, lt=MAX_BANDS)]

# A sample is 256 windows of 64 px, about a million pixels. Their origins lie on
# multiples of 64, so that each lies within one tile where tiles have 128, 256 ... px.
_SAMPLE_PX: Final = 64
_SAMPLE_WINDOWS: Final = 256
_SMALL_PIXELS: Final = 4_000_000
_FEW: Final = 4  # in each direction


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


def few_windows(height: int, width: int) -> list[Window]:
    """Return at most 16 windows of 64 px, evenly spread over an image."""
    down, across = -(-height // _SAMPLE_PX), -(-width // _SAMPLE_PX)
    return [
        (_cell(row, height), _cell(column, width))
        for row in spread(down, min(down, _FEW))
        for column in spread(across, min(across, _FEW))
    ]


def _cell(number: int, length: int) -> slice:
    start = number * _SAMPLE_PX
    return slice(start, min(length, start + _SAMPLE_PX))


ALPHA_NOTE: Final = "alpha dropped; fully transparent pixels have no data"


Transform = tuple[float, float, float, float, float, float]


def moved_transform(transform: Transform, window: Window) -> Transform:
    """Return the transform of a window of a grid, by that of the whole."""
    a, b, c, d, e, f = transform
    y, x = (part.start for part in window)
    return a, b, a * x + b * y + c, d, e, d * x + e * y + f


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
class UsedBand:
    """A band that images are read with.

    Attributes:
        name: What the files call it; empty where they do not.
        number: Its number in them, from 1.
        low: The value that becomes 0.
        high: The value that becomes 1.
    """

    name: Annotated[str, Field(max_length=200)]
    number: Annotated[int, Field(ge=1, le=2**16)]
    low: Finite
    high: Finite


@dataclass(frozen=True, slots=True)
class BandSet:
    """The bands that the images of a data set are read with, and a model is fed.

    Attributes:
        bands: The bands, in the order of the network's channels.
        samples: What kind of values their scaling is for.
        file_bands: Bands that the files of the data set have, without alpha.
        shown: Which of the bands, from 0, people see as red, green and blue.
        asked: Bands to take instead of those of these names, for a single file.
    """

    bands: Annotated[tuple[UsedBand, ...], Field(min_length=1, max_length=MAX_BANDS)]
    samples: Samples
    file_bands: Annotated[int, Field(ge=1, le=2**16)]
    shown: tuple[_Place, _Place, _Place]
    asked: tuple[BandKey, ...] | None = None

    def __post_init__(self) -> None:
        if max(self.shown) >= len(self.bands):
            raise ValueError("`shown` names a band that is not used")

    @property
    def names(self) -> tuple[str, ...]:
        """What to call each band."""
        return tuple(band.name or f"band {band.number}" for band in self.bands)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form, without what was asked for a single file."""
        return {
            "bands": [
                {"name": b.name, "number": b.number, "low": b.low, "high": b.high}
                for b in self.bands
            ],
            "samples": self.samples,
            "file_bands": self.file_bands,
            "shown": list(self.shown),
        }


def samples_of(dtype: Any, maximum: int | None) -> Samples:
    """Return what kind of values a file holds.

    Args:
        dtype: Type of its samples.
        maximum: Their full scale, None for floats.
    """
    if maximum is None:
        return "floating point"
    return "8-bit" if maximum <= 255 and np.dtype(dtype).kind == "u" else "integer"


def composite_of(bands: int) -> Triple:
    """Return which of so many bands, from 0, people are shown as red, green, blue."""
    return (0, min(1, bands - 1), min(2, bands - 1))


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
        pixels: (H, W, B) of the file's own type; B is 1 or 3 (RGB), or the bands of
            `used`.
        valid: (H, W) bool, False where alpha is 0 or the file says no data.
        maximum: Full scale that the file declares (255 for 8 bit); None for floats.
        palette: (n, 3) uint8 colours that the pixels index, if it is a palette image.
        notes: What was done to the pixels, for people.
        georeference: Where they lie, if the file says so.
        file_bands: Bands of the file without alpha, where that is more than B.
        used: The set that the bands are; None for grey or RGB.
        nodata: Value that the file declares as no data, None without one.
    """

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    maximum: int | None
    palette: NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()
    georeference: Georeference | None = None
    file_bands: int = 0
    used: BandSet | None = None
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
    """How stored samples become values from 0 to 1.

    Attributes:
        low: The value that becomes 0, or (B,) of each band.
        high: The value that becomes 1, or (B,) of each band.
        notes: What that does to the pixels, for people.
        bands: Bands of the result; grey is repeated for three.
    """

    low: float | NDArray[np.float32]
    high: float | NDArray[np.float32]
    notes: tuple[str, ...] = ()
    bands: int = 3


def to_unit(raster: Raster) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return a whole picture with values from 0 to 1, and notes of what was done.

    Returns:
        (H, W, B) float32 in [0, 1], 0 where there is no data, B being 3 (RGB) or the
        bands of the raster's set; and the notes.
    """
    height, width = raster.valid.shape
    parts = (raster.part(window) for window in sample_windows(height, width))
    scale = find_scale(raster, parts)
    notes = (*raster.notes, *scale.notes, *missing_note(raster.valid))
    return apply_scale(raster, scale), notes


def find_scale(picture: Raster, sample: Iterable[Raster]) -> Scale:
    """Return how to scale a picture, the same for each of its parts.

    A set of bands brings its own scaling, for values of the kind it was made for.
    Else 8 bits are divided by their full scale. More bits are too if the 98th
    percentile of the pixels with data uses more than a quarter of it; otherwise the 2nd
    to the 98th percentile is stretched, all bands of RGB together. Floats in [0, 1]
    stay as they are, up to 255 they are divided by it, all others are stretched.

    Args:
        picture: Any part of it.
        sample: Parts that stand for all of it; looked at only where they matter.
    """
    if picture.palette is not None:
        return Scale(0.0, 255.0, ("palette colours converted to RGB",))
    dtype, maximum = picture.pixels.dtype, picture.maximum
    kind = samples_of(dtype, maximum)
    if picture.used is not None:
        return _scale_of_set(picture.used, kind, picture, sample)
    grey = picture.pixels.shape[2] == 1
    last = ("grey, used as red, green and blue",) if grey else ()
    if kind == "8-bit":
        return Scale(0.0, float(maximum or 255), last)
    values = np.concatenate([part.pixels[part.valid].ravel() for part in sample])
    low, high, notes = value_range(values, maximum)
    return Scale(low, high, notes + last)


def _scale_of_set(
    used: BandSet, kind: Samples, picture: Raster, sample: Iterable[Raster]
) -> Scale:
    count = len(used.bands)
    if kind == used.samples:
        low, high = ([getattr(b, end) for b in used.bands] for end in ("low", "high"))
        return Scale(_array(low), _array(high), bands=count)
    note = f"{kind} values, where the training images have {used.samples} ones: scaled"
    if kind == "8-bit":
        note += f" from 0..{picture.maximum}"
        return Scale(0.0, float(picture.maximum or 255), (note,), count)
    values = np.concatenate([part.pixels[part.valid] for part in sample])
    ranges = [value_range(column, picture.maximum)[:2] for column in values.T]
    low, high = zip(*ranges, strict=True)
    return Scale(_array(low), _array(high), (f"{note} by their own range",), count)


def _array(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def apply_scale(raster: Raster, scale: Scale) -> NDArray[np.float32]:
    """Return pixels as (H, W, B) float32 in [0, 1], 0 where there is no data."""
    values = _stretch(raster.colors(), scale)
    if not raster.valid.all():
        values[~raster.valid] = 0.0
    return values


def missing_note(valid: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return a note on the share of pixels without data, none where all have it."""
    if valid.all():
        return ()
    missing = 100 * (1 - float(valid.mean()))
    share = f"{missing:.3g}" if missing >= 0.01 else "less than 0.01"
    return (f"{share} % of the pixels have no data",)


def _stretch(samples: NDArray[Any], scale: Scale) -> NDArray[np.float32]:
    """Return (H, W, B) float32: 0 for `low` and less, 1 for `high` and more."""
    low, high = scale.low, scale.high
    values = np.empty((*samples.shape[:2], scale.bands), np.float32)
    full = samples.dtype == np.uint8 and np.all(low == 0) and np.all(high >= 255)
    if full:
        np.divide(samples, np.float32(high), out=values)  # quick, nothing to clip
        return values
    with np.errstate(invalid="ignore", over="ignore"):
        if np.any(low):
            np.subtract(samples, low, out=values, casting="unsafe")
        else:
            np.copyto(values, samples, casting="unsafe")
    spread = np.float32(high - low)
    values /= np.where(spread > 0, spread, np.float32(1))
    return np.clip(values, 0.0, 1.0, out=values)


def value_range(
    values: NDArray[Any], maximum: int | None
) -> tuple[float, float, tuple[str, ...]]:
    """Return the values that become 0 and 1, and a note where that was a choice.

    Args:
        values: (N,) of the file's own type, of more than 8 bits.
        maximum: Full scale that the file declares; None for floats.
    """
    if values.size == 0:
        return 0.0, float(maximum or 1), ()
    signed = values.dtype.kind == "i"
    values = values.astype(np.float64)
    low, high = (float(v) for v in np.percentile(values, (_LOW_PERCENT, _HIGH_PERCENT)))
    least, most = float(values.min()), float(values.max())
    if maximum is None:
        return _float_range(least, most, low, high)
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
