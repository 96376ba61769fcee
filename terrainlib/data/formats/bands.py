"""Which bands of a file are red, green and blue.

What the file says decides: the colours its bands are marked with, else their names
(red, green and blue, or the bands of Sentinel-2, Landsat and MODIS that are that).
Where it says nothing the first three are taken, with a note.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from terrainlib.data.formats.raster import ALPHA_NOTE, Raster, Triple
from terrainlib.errors import ImageError

_COLORS: Final = ("red", "green", "blue")
_ALPHA: Final = "alpha"
_MAX_NAME_CHARACTERS: Final = 40

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
class Choice:
    """The bands to read.

    Attributes:
        colors: Numbers of red, green and blue, or of one band that is grey.
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
    """Return a file's bands.

    Raises:
        ImageError: If none of them can be said to be shown.
    """
    chosen = choose(marks, None, name)
    colors = len(marks) - (chosen.alpha is not None)
    return Bands(
        tuple(
            BandInfo(number, _name(number, mark), dtype)
            for number, mark in enumerate(marks, start=1)
        ),
        chosen.triple,
        colors > 3 or not chosen.stated,
    )


def choose(marks: Sequence[Marks], bands: Triple | None, name: str) -> Choice:
    """Return the bands to read of a file.

    Args:
        marks: What it says about each of them.
        bands: Numbers to use as red, green and blue; None for the file's own.
        name: The file's, for messages.

    Raises:
        ImageError: If it has no such bands, or two that are no picture.
    """
    if bands is None:
        return _default(marks, name)
    check_numbers(bands, len(marks), name)
    if len(marks) != 2 and bands == _default(marks, name).triple:
        return _default(marks, name)
    alpha = _alpha(marks)
    colors = bands[:1] if len(set(bands)) == 1 else bands
    used = (
        f"band {bands[0]}" if len(colors) == 1 else "bands {}, {} and {}".format(*bands)
    )
    note = f"{used} of {len(marks)} used, as chosen"
    if alpha is None or alpha in bands:
        return Choice(colors, None, True, (note,))
    return Choice(colors, alpha, True, (ALPHA_NOTE, note))


def check_numbers(bands: Sequence[int], count: int, name: str) -> None:
    """Refuse numbers of bands that a file does not have.

    Raises:
        ImageError: If one is not 1 to `count`, or they are not three.
    """
    wrong = [str(band) for band in bands if not 1 <= band <= count]
    if wrong:
        has = "1 band" if count == 1 else f"{count} bands, numbered from 1"
        raise ImageError(
            f"there is no band {wrong[0]}; the file has {has}. Choose others.",
            file=name,
        )
    if len(bands) != 3:
        raise ImageError(
            f"{len(bands)} bands were chosen; 3 are needed, for red, green and blue. "
            "Choose 3, or the same one three times.",
            file=name,
        )


def pick(raster: Raster, bands: Triple | None, name: str) -> Raster:
    """Return a decoded picture with other bands as red, green and blue.

    Raises:
        ImageError: If it has no such bands.
    """
    count = raster.pixels.shape[2]
    if bands is None:
        return raster
    check_numbers(bands, count, name)
    if bands == ((1, 2, 3) if count == 3 else (1, 1, 1)):
        return raster
    colors = bands[:1] if len(set(bands)) == 1 else bands
    note = "bands {}, {} and {} used, as chosen".format(*bands)
    pixels = raster.pixels[..., [band - 1 for band in colors]]
    return replace(raster, pixels=pixels, notes=(*raster.notes, note))


def _default(marks: Sequence[Marks], name: str) -> Choice:
    alpha = _alpha(marks)
    colors = [number for number in range(1, len(marks) + 1) if number != alpha]
    notes: tuple[str, ...] = () if alpha is None else (ALPHA_NOTE,)
    if len(colors) == 1:
        return Choice((colors[0],), alpha, True, notes)
    stated = _marked(marks) or _named(marks)
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
