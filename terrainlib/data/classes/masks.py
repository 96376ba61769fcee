"""Reading mask files of every kind as class indices.

A mask holds the classes' colours (RGB, a palette, or grey), a palette's indices, codes
in one band, or 0 and full scale for two classes. What its values mean is decided once
for all masks of a data set, by `meaning`, and said by a `MaskMeaning`; this module
reads one mask as that says. Pixels without data get `NO_DATA`.
"""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.raster import Raster
from terrainlib.data.formats.source import ImageSource, source_name
from terrainlib.data.imagery import read_raster
from terrainlib.data.palette import (
    MAX_CODE,
    NO_DATA,
    Color,
    TerrainClass,
    Value,
    color_keys,
    nearest_colors,
    value_text,
)
from terrainlib.errors import ImageError

MaskKind = Literal["colors", "palette", "codes", "binary"]
Form = Literal["colors", "palette", "numbers"]


@dataclass(frozen=True, slots=True)
class MaskMeaning:
    """What the values of all masks of a data set mean.

    Attributes:
        kind: What most of the masks hold: the classes' colours, a palette's indices,
            codes, or 0 and full scale.
        colors: Of each class, the colours that stand for it in masks of colours.
        codes: Of each class, the values that stand for it in masks of one band; empty
            where those are greys, which count as colours.
        ignore: Values and colours that stand for no class.
        by_index: Whether the indices of a palette count, not its colours.
        zero: Whether 0 is a class even where a file declares it as no data.
    """

    kind: MaskKind
    colors: tuple[tuple[Color, ...], ...]
    codes: tuple[tuple[int, ...], ...] = ()
    ignore: tuple[Value, ...] = ()
    by_index: bool = False
    zero: bool = False

    def values(self) -> tuple[tuple[Value, ...], ...]:
        """Return of each class what stands for it in most of the masks."""
        return self.codes if self.kind != "colors" and self.codes else self.colors


@dataclass(frozen=True, slots=True, eq=False)
class MaskValues:
    """The distinct values of one mask.

    Attributes:
        form: Whether they are colours, indices of a palette, or numbers of one band.
        keys: (n,) int64 colours as 0xRRGGBB, or numbers.
        counts: (n,) int64 pixels of each.
        colors: (n,) int64 the colour of each, 0xRRGGBB; None for numbers that are no
            greys.
        full_scale: The number that stands for white; None for floats.
        declared: Whether the file declares 0 (black) as no data; it is among the keys.
        dropped: Pixels of values that were left out.
    """

    form: Form
    keys: NDArray[np.int64]
    counts: NDArray[np.int64]
    colors: NDArray[np.int64] | None
    full_scale: int | None = None
    declared: bool = False
    dropped: int = 0

    @property
    def pixels(self) -> int:
        """Pixels with data."""
        return int(self.counts.sum()) + self.dropped

    @property
    def zeros(self) -> int:
        """Pixels that the file declares as no data with the value 0."""
        return int(self.counts[self.keys == 0].sum()) if self.declared else 0

    def without_zeros(self) -> Self:
        """Return the values without 0 where the file declares it as no data."""
        return self._only(self.keys != 0) if self.zeros else self

    def most_common(self, limit: int) -> Self:
        """Return the most common values alone."""
        if len(self.keys) <= limit:
            return self
        kept = np.argsort(self.counts, kind="stable")[::-1][:limit]
        dropped = self.pixels - int(self.counts[kept].sum())
        return replace(self._only(kept), dropped=dropped)

    def _only(self, kept: NDArray[Any]) -> Self:
        return replace(
            self,
            keys=self.keys[kept],
            counts=self.counts[kept],
            colors=None if self.colors is None else self.colors[kept],
        )


@dataclass(frozen=True, slots=True, eq=False)
class RawMask:
    """A decoded mask, before it is known what its values mean.

    Attributes:
        values: Its distinct values.
        index: (H, W) unsigned: 0 where there is no data, else the place of the pixel's
            value among them, from 1.
    """

    values: MaskValues
    index: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A class mask.

    Attributes:
        index: (H, W) uint8 class indices, `NO_DATA` where there is no class.
        unknown: Share (0 to 1) of the pixels with data whose value stands for nothing;
            a colour then counts as the nearest class, a code as no data.
        strange: The most common of these values, None without any.
    """

    index: NDArray[np.uint8]
    unknown: float
    strange: Value | None = None


def color_class(color: Color) -> TerrainClass:
    """Return a class named by its colour, `#RRGGBB`."""
    return TerrainClass(value_text(color), color)


def key_color(key: int) -> Color:
    """Return the colour of a number 0xRRGGBB."""
    return key >> 16, key >> 8 & 255, key & 255


def read_mask(
    source: ImageSource, meaning: MaskMeaning, *, name: str | None = None
) -> Mask:
    """Read a mask file as class indices.

    Args:
        source: Path or bytes of a PNG, TIFF or JPEG file (lossy: with unknown colours).
        meaning: What the values of the data set's masks mean.
        name: Name for messages; without it the file's.

    Returns:
        The mask, upright, of the file's own size.

    Raises:
        ImageError: If the file cannot be read or holds neither colours nor codes.
    """
    return as_mask(read_raw_mask(source, name=name), meaning)


def read_raw_mask(source: ImageSource, *, name: str | None = None) -> RawMask:
    """Decode a mask without asking what its values mean.

    Raises:
        ImageError: If the file cannot be read or holds neither colours nor codes.
    """
    raster = read_raster(source, name=name)
    name = source_name(source, name)
    declared = raster.nodata == 0
    valid = raster.valid
    single = raster.pixels.shape[2] == 1
    if declared:  # whether that holds is decided later
        valid = valid | (raster.pixels == 0).all(axis=2)
    numbers = raster.pixels[..., 0] if single else color_keys(as_colors(raster, name))
    keys, index, counts = _distinct(numbers, valid)
    if not single:
        keys = keys.astype(np.int64)
        values = MaskValues("colors", keys, counts, keys, declared=declared)
        return RawMask(values, index)
    values = MaskValues(
        "numbers" if raster.palette is None else "palette",
        _as_codes(keys, name),
        counts,
        _as_keys(keys, raster),
        raster.maximum,
        declared,
    )
    return RawMask(values, index)


def as_mask(raw: RawMask, meaning: MaskMeaning) -> Mask:
    """Return a decoded mask as class indices."""
    table, known = _table(raw.values, meaning)
    lookup = np.concatenate([np.array([NO_DATA], np.uint8), table])
    index: NDArray[np.uint8] = lookup[raw.index]
    strange = np.where(known, 0, raw.values.counts)
    if not strange.any():
        return Mask(index, 0.0)
    labelled = int(raw.values.counts[known & (table != NO_DATA)].sum())
    share = int(strange.sum()) / (labelled + int(strange.sum()))
    key = int(raw.values.keys[int(strange.argmax())])
    colored = raw.values.form == "colors"
    return Mask(index, share, key_color(key) if colored else key)


def _table(
    values: MaskValues, meaning: MaskMeaning
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the class of each value, and whether it is known what it stands for."""
    palette = values.form == "palette"
    by_code = palette and meaning.by_index
    if by_code or (values.form == "numbers" and any(meaning.codes)):
        table, known = _by_code(values.keys, meaning)
    elif values.colors is not None:
        table, known = _by_color(values.colors, meaning)
        last = ~known & (values.keys == NO_DATA) & palette
        table[last], known[last] = NO_DATA, True
    else:
        table = np.full(len(values.keys), NO_DATA, np.uint8)
        known = np.zeros(len(values.keys), bool)
    nothing = (
        values.keys == 0 if values.declared and not meaning.zero else known & False
    )
    if values.form == "palette" and values.colors is not None:
        nothing |= _ignored_colors(values.colors, meaning)
    table[nothing], known[nothing] = NO_DATA, True
    return table, known


def _by_code(
    keys: NDArray[np.int64], meaning: MaskMeaning
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    lookup = {
        code: number for number, codes in enumerate(meaning.codes) for code in codes
    }
    lookup |= {value: NO_DATA for value in meaning.ignore if isinstance(value, int)}
    known = np.array([key in lookup for key in keys.tolist()], bool)
    table = np.array([lookup.get(key, NO_DATA) for key in keys.tolist()], np.uint8)
    return table, known


def _by_color(
    keys: NDArray[np.int64], meaning: MaskMeaning
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the nearest class of each colour, and whether it is exactly its colour."""
    owners = [n for n, colors in enumerate(meaning.colors) for _ in colors]
    colors = [color for colors in meaning.colors for color in colors]
    wanted = np.array(colors, np.int64).reshape(-1, 3)
    known = np.zeros(len(keys), bool)
    table = np.full(len(keys), NO_DATA, np.uint8)
    if owners:
        rgb = np.stack([keys >> 16, keys >> 8 & 255, keys & 255], axis=1)
        nearest = nearest_colors(rgb, wanted)
        known = (wanted[nearest] == rgb).all(axis=1)
        table = np.array(owners, np.uint8)[nearest]
    nothing = _ignored_colors(keys, meaning)
    table[nothing], known[nothing] = NO_DATA, True
    return table, known


def _ignored_colors(keys: NDArray[np.int64], meaning: MaskMeaning) -> NDArray[np.bool_]:
    ignored = [value for value in meaning.ignore if not isinstance(value, int)]
    if not ignored:
        return np.zeros(len(keys), bool)
    return np.isin(keys, color_keys(np.array(ignored, np.uint8).reshape(-1, 3)))


def _distinct(
    pixels: NDArray[Any], valid: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    """Return the distinct values of (H, W) pixels with data, and where they are.

    Values are sorted once a run of equal pixels, of which masks have few.

    Returns:
        (n,) values; (H, W) their places from 1, 0 without data; (n,) pixels of each.
    """
    flat, known = np.ascontiguousarray(pixels).ravel(), valid.ravel()
    changes = (flat[1:] != flat[:-1]) | (known[1:] != known[:-1])
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    lengths = np.diff(np.append(starts, len(flat)))
    inside = known[starts]
    values = flat[starts][inside]
    keys = np.unique(values)
    small = np.uint8 if len(keys) < NO_DATA else np.uint32
    runs = np.zeros(len(starts), small)
    runs[inside] = np.searchsorted(keys, values) + 1
    counts = np.bincount(runs, lengths, len(keys) + 1)[1:].astype(np.int64)
    return keys, np.repeat(runs, lengths).reshape(pixels.shape), counts


def _as_codes(keys: NDArray[Any], name: str) -> NDArray[np.int64]:
    """Return the numbers of one band as whole numbers.

    Raises:
        ImageError: If one is no code of up to 16 bits.
    """
    if keys.dtype.kind == "f" and not np.array_equal(keys, np.rint(keys)):
        raise _neither(keys.dtype, name)
    if len(keys) and not 0 <= keys.min() <= keys.max() <= MAX_CODE:
        raise _neither(keys.dtype, name)
    return keys.astype(np.int64)


def _as_keys(keys: NDArray[Any], raster: Raster) -> NDArray[np.int64] | None:
    """Return the colour of each number of a band; None where they are no greys."""
    if raster.palette is not None:
        table = np.zeros((MAX_CODE + 1, 3), np.uint8)
        table[: len(raster.palette)] = raster.palette
        return color_keys(table[keys.astype(np.int64)]).astype(np.int64)
    if raster.maximum not in _GREYS and keys.dtype != np.uint8:
        return None
    grey = keys.astype(np.int64)
    if raster.maximum == MAX_CODE:
        if (grey % 257).any():
            return None
        grey //= 257
    elif raster.maximum in _LOW_SCALES:
        grey = grey * (255 // raster.maximum)
    return grey << 16 | grey << 8 | grey


_LOW_SCALES: Final = (1, 3, 15)
_GREYS: Final = (*_LOW_SCALES, 255, MAX_CODE)


def as_colors(raster: Raster, name: str) -> NDArray[np.uint8]:
    """Return the pixels of several bands as 8-bit colours, (H, W, 3) uint8.

    Raises:
        ImageError: If they are numbers that are no colours, or too many bands.
    """
    if raster.bands > 4 or raster.pixels.shape[2] != 3:
        raise ImageError(
            f"{raster.bands} bands; a mask has 1, 3 or 4. Save the colours or the "
            "class indices as a file of their own.",
            file=name,
        )
    pixels = raster.pixels
    if raster.maximum == MAX_CODE:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif raster.maximum in _LOW_SCALES:
        pixels = pixels * np.uint8(255 // raster.maximum)
    if pixels.dtype != np.uint8:
        raise _neither(pixels.dtype, name)
    return pixels


def _neither(dtype: Any, name: str) -> ImageError:
    return ImageError(
        f"the values are neither class indices nor 8-bit colours ({dtype}); "
        "a mask holds class colours, or codes of whole numbers from 0 to "
        f"{MAX_CODE:,} with 255 for no data. Save it as one of these.",
        file=name,
    )
