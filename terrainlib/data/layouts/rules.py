"""The rules by which names say what is an image, a mask or a height."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from terrainlib.data.layout import IMAGE_SUFFIXES, Layout, LayoutName, Part
from terrainlib.data.layouts.listing import Found, Listing
from terrainlib.data.layouts.pairing import Item, count_pairs, lay_out

# Names of folders, without an s at the end; those named first are used first.
_FOLDERS: Final[dict[str, Part]] = {
    "image": "images",
    "img": "images",
    "mask": "masks",
    "label": "masks",
    "annotation": "masks",
    "gt": "masks",
    "height": "heights",
    "dem": "heights",
    "dsm": "heights",
}
_RANKS: Final = {word: rank for rank, word in enumerate(_FOLDERS)}
_ENDINGS: Final[dict[str, Part]] = {
    "sat": "images",
    "image": "images",
    "img": "images",
    "rgb": "images",
    **{word: part for word, part in _FOLDERS.items() if part != "images"},
}
_ENDING: Final = re.compile(
    rf"(?P<bare>.+)[_-](?P<word>{'|'.join(_ENDINGS)})s?", re.IGNORECASE
)
_KAGGLE_NAME: Final = re.compile(r"(?P<id>.+)_(?P<part>t|i2|h)", re.IGNORECASE)
_KAGGLE_PARTS: Final[dict[str, Part]] = {"t": "images", "i2": "masks", "h": "heights"}
_KAGGLE_WORDS: Final = {part: word for word, part in _KAGGLE_PARTS.items()}
_NAME_WORDS: Final = {"images": "", "masks": "_mask", "heights": "_height"}

_Placed = tuple[int, Item]  # how many folders below the top its container lies


def part_of_folder(name: str) -> Part | None:
    """Return what a folder of a name holds, None where the rules do not know it."""
    return _FOLDERS.get(_word(name))


def part_of_name(stem: str) -> tuple[Part, str]:
    """Return what a file is by its name, an image without any rule, and the bare name.

    Example:
        >>> part_of_name("coast_dem"), part_of_name("coast_h"), part_of_name("coast")
        (('heights', 'coast'), ('heights', 'coast'), ('images', 'coast'))
    """
    if ending := _ENDING.fullmatch(stem):
        return _ENDINGS[ending["word"].lower()], ending["bare"]
    if kaggle := _KAGGLE_NAME.fullmatch(stem):
        return _KAGGLE_PARTS[kaggle["part"].lower()], kaggle["id"]
    return "images", stem


def may_hold_parts(parents: tuple[str, ...]) -> bool:
    """Return whether the rules look into a folder, named with those around it."""
    if len(parents) == 1:
        return True
    known = [part_of_folder(name) is not None for name in parents]
    return len(parents) == 2 and any(known)


def find_by_rules(listing: Listing) -> Layout:
    """Return the layout that the rules find; without pairs, the one that fits best.

    Pairs at the top go before pairs in folders below, and the Kaggle names and the
    folders before the endings of names; among them more pairs win.
    """
    placed = {rule.name: rule.placed(listing.files) for rule in _RULES}
    tries = [
        _Try(rule, [item for at, item in placed[rule.name] if at == depth], depth)
        for depth in (0, 1)
        for rule in _RULES
    ]
    first = [one for one in tries if one.depth == 0 and one.rule.strict]
    best = max(first, key=_Try.pairs_and_files)
    if not best.pairs_and_files()[0]:
        best = max(tries, key=_Try.pairs_and_files)
    rule, items = best.rule, best.items
    return lay_out(rule.name, items, lambda item, part: rule.wanted(item, part, items))


@dataclass(frozen=True, slots=True)
class _Rule:
    """One way to name files.

    Attributes:
        name: The layout.
        take: Returns what a file is, None where the rule does not know it.
        wanted: Says how the counterpart of a file would be called.
        strict: Whether only names that are meant that way fit.
    """

    name: LayoutName
    take: Callable[[Found], _Placed | None]
    wanted: Callable[[Item, Part, list[Item]], str]
    strict: bool = True

    def placed(self, files: Iterable[Found]) -> list[_Placed]:
        return [placed for found in files if (placed := self.take(found)) is not None]


@dataclass(frozen=True, slots=True, eq=False)
class _Try:
    """The files that a rule knows at one depth."""

    rule: _Rule
    items: list[Item]
    depth: int

    def pairs_and_files(self) -> tuple[int, int]:
        return count_pairs(self.items), len(self.items)


def _kaggle(found: Found) -> _Placed | None:
    """Take `ID_t.png`, `ID_i2.png` and `ID_h.png`."""
    match = _KAGGLE_NAME.fullmatch(found.stem)
    if match is None or found.suffix not in IMAGE_SUFFIXES or _in_part(found):
        return None
    part = _KAGGLE_PARTS[match["part"].lower()]
    item = Item(found, part, match["id"], match["id"], "/".join(found.parents))
    return len(found.parents), item


def _kaggle_wanted(item: Item, part: Part, items: list[Item]) -> str:
    del items
    return _beside(item, f"{item.stem}_{_KAGGLE_WORDS[part]}{item.found.suffix}")


def _folders(found: Found) -> _Placed | None:
    """Take the files of `images`, `masks` and `heights`, and such folders as links."""
    if found.is_link and not found.suffix and part_of_folder(found.name):
        container = "/".join(found.parents)
        part = _FOLDERS[_word(found.name)]
        return len(found.parents), Item(found, part, found.name, found.name, container)
    place = _place_of_part(found.parents)
    if place is None or found.suffix not in IMAGE_SUFFIXES:
        return None
    around = found.parents[:place] + found.parents[place + 1 :]
    word = _word(found.parents[place])
    part = _FOLDERS[word]
    bare = _bare(found.stem, part)
    item = Item(found, part, found.stem, bare, "/".join(around), _RANKS[word])
    return len(around), item


def _bare(stem: str, part: Part) -> str:
    """Return a stem without the ending that says again what the folder says."""
    ending, kaggle = _ENDING.fullmatch(stem), _KAGGLE_NAME.fullmatch(stem)
    if ending is not None and _ENDINGS[ending["word"].lower()] == part:
        return ending["bare"]
    if kaggle is not None and _KAGGLE_PARTS[kaggle["part"].lower()] == part:
        return kaggle["id"]
    return stem


def _folders_wanted(item: Item, part: Part, items: list[Item]) -> str:
    """Return the path in the folder that the other files of that part lie in."""
    place = _place_of_part(item.found.parents) or 0
    known = (
        other.found.parents
        for other in items
        if other.part == part and other.container == item.container
    )
    parents = next(known, None)
    if not parents:
        parents = (*item.found.parents[:place], part, *item.found.parents[place + 1 :])
    return "/".join((*parents, f"{item.stem}.*"))


def _names(found: Found) -> _Placed | None:
    """Take `NAME_sat` or `NAME`, `NAME_mask` and `NAME_height`."""
    if found.suffix not in IMAGE_SUFFIXES or _in_part(found):
        return None
    part: Part = "images"
    bare = found.stem
    ending = _ENDING.fullmatch(found.stem)
    if ending is not None:
        part, bare = _ENDINGS[ending["word"].lower()], ending["bare"]
    return len(found.parents), Item(found, part, bare, bare, "/".join(found.parents))


def _names_wanted(item: Item, part: Part, items: list[Item]) -> str:
    del items
    return _beside(item, f"{item.stem}{_NAME_WORDS[part]}.*")


def _beside(item: Item, name: str) -> str:
    return "/".join((*item.found.parents, name))


def _in_part(found: Found) -> bool:
    return _place_of_part(found.parents) is not None


def _place_of_part(parents: tuple[str, ...]) -> int | None:
    """Return which of the folders is that of a part; the innermost goes first."""
    for place in reversed(range(len(parents))):
        if part_of_folder(parents[place]) is not None:
            return place
    return None


def _word(name: str) -> str:
    return name.lower().removesuffix("s")


_RULES: Final = (
    _Rule("kaggle", _kaggle, _kaggle_wanted),
    _Rule("folders", _folders, _folders_wanted),
    _Rule("names", _names, _names_wanted, strict=False),
)
