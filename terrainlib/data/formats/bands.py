"""Which bands of a file are read: red, green and blue, or those of a data set.

What the file says decides which are red, green and blue: the colours its bands are
marked with, else their names (red, green and blue, or the bands of Sentinel-2, Landsat
and MODIS that are that). Where it says nothing the first three are taken, with a note.
The bands of a data set, which its models are fed, are found by their names.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, Self

from pydantic import Field

from terrainlib.data.formats.raster import (
    ALPHA_NOTE,
    BandKey,
    BandSet,
    Raster,
    Samples,
    Triple,
    samples_of,
)
from terrainlib.errors import BandsError, ImageError

BandChoice = Sequence[BandKey] | BandSet | None
Kind = Literal["colors", "single", "two", "many"]

_COLORS: Final = ("red", "green", "blue")
_ALPHA: Final = "alpha"
_MAX_NAME_CHARACTERS: Final = 40  # shown
_MAX_STORED: Final = 200
_MAX_LISTED: Final = 20

# Names of the red, green and blue band, without leading zeros and in small letters.
_NAMES: Final = (
    _COLORS,
    ("r", "g", "b"),
    ("b4", "b3", "b2"),  # Sentinel-2 (B04, B03, B02) and Landsat 8 and 9
    ("sr_b4", "sr_b3", "sr_b2"),  # Landsat 8 and 9, surface reflectance
    ("sur_refl_b1", "sur_refl_b4", "sur_refl_b3"),  # MODIS, surface reflectance
    ("sr_b3", "sr_b2", "sr_b1"),  # Landsat 4 to 7
)
# Landsat 4 to 7 have no sixth band of reflectance, and their third one is red.
_OLDER_LANDSAT: Final = ("sr_b3", "sr_b2", "sr_b1")


@dataclass(frozen=True, slots=True)
class BandInfo:
    """A band of a file.

    Attributes:
        number: Its number, from 1.
        name: What the file calls it, else the colour it is marked with, else `Band 4`.
        dtype: Type of its samples, such as `uint16`.
    """

    number: int
    name: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Bands:
    """The bands of a file and those that are shown unless others are chosen.

    Attributes:
        all: Every band, in the file's order.
        default: Numbers of red, green and blue; three times the same for grey.
        asks: Whether to ask which ones to use: there are more than three colours, or
            the file does not say which is which.
    """

    all: tuple[BandInfo, ...]
    default: Triple
    asks: bool


@dataclass(frozen=True, slots=True)
class Marks:
    """What a file says about one of its bands.

    Attributes:
        color: The colour it is marked with, such as `red`, `alpha` or `undefined`.
        name: Its name or description, if it has one.
    """

    color: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class FileBands:
    """What an image file has.

    Attributes:
        marks: What it says about each band.
        samples: What kind of values they have.
        maximum: Their full scale; None for floats.
    """

    marks: Annotated[tuple[Marks, ...], Field(min_length=1, max_length=2**16)]
    samples: Samples
    maximum: Annotated[int, Field(ge=1, le=2**64)] | None

    @classmethod
    def of(cls, marks: Sequence[Marks], dtype: str, maximum: int | None) -> Self:
        """Return what a file has, by the type of its samples and their full scale."""
        return cls(tuple(marks), samples_of(dtype, maximum), maximum)

    @property
    def numbers(self) -> list[int]:
        """Numbers of the bands that are not alpha."""
        return without_alpha(self.marks)

    @property
    def kind(self) -> Kind:
        """What is read of it where nothing is chosen."""
        if self.marks[0].color == "palette" or own_colors(self.marks) is not None:
            return "colors"
        kinds: dict[int, Kind] = {1: "single", 2: "two", 3: "colors"}
        return kinds.get(len(self.numbers), "many")

    @property
    def colors(self) -> tuple[int, ...]:
        """Numbers of red, green and blue where nothing is chosen."""
        return own_colors(self.marks) or tuple(self.numbers[:3])


@dataclass(frozen=True, slots=True)
class Choice:
    """The bands to read.

    Attributes:
        colors: Numbers of red, green and blue, of one band that is grey, or of all
            bands of a set.
        alpha: Number of the band that says where there is data, if there is one.
        stated: Whether the file says which ones are red, green and blue.
        notes: What was chosen, for people.
    """

    colors: tuple[int, ...]
    alpha: int | None
    stated: bool
    notes: tuple[str, ...]

    @property
    def triple(self) -> Triple:
        """Red, green and blue."""
        middle = len(self.colors) // 2
        return self.colors[0], self.colors[middle], self.colors[-1]


def describe(marks: Sequence[Marks], dtype: str, name: str) -> Bands:
    """Return a file's bands; of two that are no picture, both are shown."""
    colors = without_alpha(marks)
    infos = tuple(
        BandInfo(number, _name(number, mark), dtype)
        for number, mark in enumerate(marks, start=1)
    )
    if len(colors) == 2:
        return Bands(infos, (colors[0], colors[1], colors[1]), True)
    chosen = choose(marks, None, name)
    asks = len(colors) > 3 or not chosen.stated
    return Bands(infos, chosen.triple, asks)


def choose(marks: Sequence[Marks], bands: BandChoice, name: str) -> Choice:
    """Return the bands to read of a file.

    Args:
        marks: What it says about each of them.
        bands: Those to use as red, green and blue, by number or name, or a set of
            bands; None for the file's own red, green and blue.
        name: The file's, for messages.

    Raises:
        ImageError: If it has no such bands, or two that are no picture.
    """
    if bands is None:
        return _default(marks, name)
    if isinstance(bands, BandSet):
        return _of_set(marks, bands, name)
    numbers = find_numbers(marks, bands, name)
    if len(numbers) != 3:
        raise ImageError(
            f"{len(numbers)} bands were chosen; 3 are needed, for red, green and blue. "
            "Choose 3, or the same one three times.",
            file=name,
        )
    triple = (numbers[0], numbers[1], numbers[2])
    if len(marks) != 2 and triple == _default(marks, name).triple:
        return _default(marks, name)
    alpha = _alpha(marks)
    colors = triple[:1] if len(set(triple)) == 1 else triple
    used = (
        f"band {triple[0]}"
        if len(colors) == 1
        else "bands {}, {} and {}".format(*triple)
    )
    note = f"{used} of {len(marks)} used, as chosen"
    if alpha is None or alpha in triple:
        return Choice(colors, None, True, (note,))
    return Choice(colors, alpha, True, (ALPHA_NOTE, note))


def find_numbers(
    marks: Sequence[Marks], bands: Sequence[BandKey], name: str
) -> tuple[int, ...]:
    """Return the numbers of bands that are given by number or name.

    A name is that of a band, in whatever case and with or without leading zeros (B04
    is B4), or one of red, green and blue where the file says which band that is.

    Raises:
        ImageError: If one is not there.
    """
    found = [_number(marks, key) for key in bands]
    wrong = [str(k) for k, n in zip(bands, found, strict=True) if n is None]
    if not wrong:
        return tuple(number for number in found if number is not None)
    if all(isinstance(key, int) for key in bands):
        count = len(marks)
        has = "1 band" if count == 1 else f"{count} bands, numbered from 1"
        wrong = wrong[:1]
    else:
        has = listed(marks)
    raise ImageError(
        f"there is no band {', '.join(wrong)}; the file has {has}. Choose others.",
        file=name,
    )


def listed(marks: Sequence[Marks]) -> str:
    """Return the bands of a file in words: `1 red, 2 green, 3 Band 3`."""
    names = [f"{n} {_name(n, mark)}" for n, mark in enumerate(marks, start=1)]
    rest = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def own_colors(marks: Sequence[Marks]) -> Triple | None:
    """Return the bands that are marked or named red, green and blue, if any are."""
    return _marked(marks) or _named(marks)


def without_alpha(marks: Sequence[Marks]) -> list[int]:
    """Return the numbers of the bands that are not alpha."""
    alpha = _alpha(marks)
    return [number for number in range(1, len(marks) + 1) if number != alpha]


def clean_name(mark: Marks) -> str:
    """Return what a file calls a band, or the colour it is marked with; else ""."""
    given = "".join(c if c.isprintable() else "?" for c in mark.name or "").strip()
    return given[:_MAX_STORED] or (mark.color if mark.color in _COLORS else "")


def pick(raster: Raster, bands: BandChoice, name: str) -> Raster:
    """Return a decoded picture with other bands as red, green and blue, or a set's.

    Raises:
        ImageError: If it has no such bands.
    """
    if bands is None:
        return raster
    if isinstance(bands, BandSet):
        if raster.palette is not None:
            colors = raster.colors()
            raster = replace(raster, pixels=colors, palette=None, maximum=255)
        marks = picture_marks(raster.pixels.shape[2])
        choice = _of_set(marks, bands, name)
        pixels = raster.pixels[..., [band - 1 for band in choice.colors]]
        notes = (*raster.notes, *choice.notes)
        return replace(raster, pixels=pixels, notes=notes, used=bands)
    count = raster.pixels.shape[2]
    triple = choose(picture_marks(count), bands, name).triple
    if triple == ((1, 1, 1) if count == 1 else (1, 2, 3)):
        return raster
    chosen = triple[:1] if len(set(triple)) == 1 else triple
    note = "bands {}, {} and {} used, as chosen".format(*triple)
    pixels = raster.pixels[..., [band - 1 for band in chosen]]
    return replace(raster, pixels=pixels, notes=(*raster.notes, note))


def picture_marks(count: int) -> list[Marks]:
    """Return the bands of a PNG or JPEG file of so many: grey or colours, and alpha."""
    names = ("grey",) if count < 3 else _COLORS
    return [Marks(color) for color in (*names, _ALPHA)[:count]]


def _of_set(marks: Sequence[Marks], bands: BandSet, name: str) -> Choice:
    """Find the bands of a set: as asked, by name, else by number."""
    if bands.asked is not None:
        numbers = find_numbers(marks, bands.asked, name)
        _require_count(len(numbers), bands, name)
    elif marks[0].color == "palette" and is_colors(bands):
        return Choice((1,), None, True, ())
    else:
        numbers = _same_bands(marks, bands, name)
    alpha = _alpha(marks)
    if alpha in numbers:
        alpha = None
    notes = [] if alpha is None else [ALPHA_NOTE]
    if len(numbers) < len(without_alpha(marks)):
        used = ", ".join(_name(n, marks[n - 1]) for n in numbers)
        notes.append(f"of {len(marks)} bands these are used: {used}")
    return Choice(
        numbers, alpha if notes[:1] == [ALPHA_NOTE] else None, True, (*notes,)
    )


def _require_count(count: int, bands: BandSet, name: str) -> None:
    needed = len(bands.bands)
    if count != needed:
        raise ImageError(
            f"{count} {'band was' if count == 1 else 'bands were'} chosen, and the "
            f"model uses {needed}: {', '.join(bands.names)}. Choose {needed}, in this "
            "order.",
            file=name,
        )


def _same_bands(marks: Sequence[Marks], bands: BandSet, name: str) -> tuple[int, ...]:
    """Return the numbers of the bands that have the names of a set's.

    Where a band has no name in the set, or none in the file, they are those of the same
    numbers, if both have the same count of bands and none has another place.

    Raises:
        BandsError: If they cannot be found.
    """
    colors = without_alpha(marks)
    own = own_colors(marks)
    if is_colors(bands) and own is None and len(colors) == 1:
        return (colors[0],) * 3  # grey is taken for colours, as everywhere
    roles = dict(zip(_COLORS, own or (), strict=False))
    wanted = [band.name for band in bands.bands]
    sought = own_colors([Marks("", label) for label in wanted])
    named = dict(zip(sought or (), _COLORS, strict=False))
    places = [
        _number(marks, label) or roles.get(named.get(place, "")) if label else None
        for place, label in enumerate(wanted, start=1)
    ]
    if None not in places:
        return tuple(number for number in places if number is not None)
    numbers = tuple(band.number for band in bands.bands)
    by_number = len(colors) == bands.file_bands and all(
        number in colors
        and (found == number if found else not (label and marks[number - 1].name))
        for number, label, found in zip(numbers, wanted, places, strict=True)
    )
    if by_number:
        return numbers
    missing = [
        label
        for label, number in zip(bands.names, places, strict=True)
        if number is None
    ]
    raise BandsError(
        f"the model uses {len(wanted)} {'band' if len(wanted) == 1 else 'bands'}: "
        f"{', '.join(bands.names)}. The file does not say which of its bands "
        f"{_that(missing, len(wanted))}; it has {listed(marks)}. Choose its bands in "
        "that order (--bands on the command line), or take a file that has them.",
        file=name,
    )


def _that(missing: Sequence[str], needed: int) -> str:
    if needed == len(missing) > 1:
        return "they are"
    return f"{'is' if len(missing) == 1 else 'are'} {', '.join(missing)}"


def is_colors(bands: BandSet) -> bool:
    """Say whether a set is red, green and blue, in this order."""
    names = [Marks("", band.name) for band in bands.bands]
    return len(names) == 3 and own_colors(names) == (1, 2, 3)


def _number(marks: Sequence[Marks], key: BandKey) -> int | None:
    """Return the number of the band that a number or name means; None for none."""
    if isinstance(key, int):
        return key if 1 <= key <= len(marks) else None
    plain = _plain(key)
    names = [_plain(mark.name or "") for mark in marks]
    if plain in names:
        return names.index(plain) + 1
    if plain in _COLORS:
        own = own_colors(marks)
        return own[_COLORS.index(plain)] if own else None
    return None


def _default(marks: Sequence[Marks], name: str) -> Choice:
    alpha = _alpha(marks)
    colors = without_alpha(marks)
    notes: tuple[str, ...] = () if alpha is None else (ALPHA_NOTE,)
    if len(colors) == 1:
        return Choice((colors[0],), alpha, True, notes)
    stated = own_colors(marks)
    if len(colors) == 2:
        raise ImageError(
            "2 bands, of which neither is alpha; a picture has 1, 3 or more. Save the "
            "band to use as a file of its own.",
            file=name,
        )
    red, green, blue = stated or colors[:3]
    if not stated:
        notes += (
            f"{len(marks)} bands; {red}, {green} and {blue} used as red, green and "
            "blue, as the file does not say which are",
        )
    elif len(colors) > 3:
        notes += (
            f"{len(marks)} bands; {red}, {green} and {blue} are red, green and blue",
        )
    return Choice((red, green, blue), alpha, stated is not None, notes)


def _alpha(marks: Sequence[Marks]) -> int | None:
    """Return the number of the last alpha band beside others, None without one."""
    found = [number for number, mark in enumerate(marks, 1) if mark.color == _ALPHA]
    return found[-1] if found and len(marks) > 1 else None


def _marked(marks: Sequence[Marks]) -> Triple | None:
    return _find(_COLORS, [mark.color for mark in marks])


def _named(marks: Sequence[Marks]) -> Triple | None:
    names = [_plain(mark.name or "") for mark in marks]
    older = "sr_b7" in names and "sr_b6" not in names
    ranked = (_OLDER_LANDSAT, *_NAMES) if older else _NAMES
    found = (_find(colors, names) for colors in ranked)
    return next((triple for triple in found if triple), None)


def _find(wanted: tuple[str, str, str], names: list[str]) -> Triple | None:
    """Return the numbers of three names, None where one is missing."""
    if not set(wanted) <= set(names):
        return None
    red, green, blue = (names.index(name) + 1 for name in wanted)
    return red, green, blue


def _plain(name: str) -> str:
    """Return a name as `_NAMES` spells it: of "B04, 665 nm" it is "b4"."""
    first = re.split(r"[,(:;]", name, maxsplit=1)[0].strip().lower()
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\s-]+", "_", first))


def _name(number: int, mark: Marks) -> str:
    given = "".join(c if c.isprintable() else "?" for c in mark.name or "").strip()
    if len(given) > _MAX_NAME_CHARACTERS:
        given = given[: _MAX_NAME_CHARACTERS - 1] + "…"
    colored = mark.color.capitalize() if mark.color in (*_COLORS, _ALPHA) else ""
    return given or colored or f"Band {number}"
