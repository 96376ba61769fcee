"""Images, masks and heights of a layout brought together by their names."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from terrainlib.data.layout import (
    PARTS,
    Candidate,
    Layout,
    LayoutName,
    Part,
    Problem,
    Stamp,
)
from terrainlib.data.layouts.listing import Found

_PART_WORDS: Final = {"images": "an image", "masks": "a mask", "heights": "a height"}


@dataclass(frozen=True, slots=True)
class Item:
    """A file that a rule takes for a part of a pair.

    Attributes:
        found: The file, or a link that is not followed.
        part: What it is.
        stem: What its pair has in common.
        bare: The same without an ending such as `_sat` or `_mask`, for files whose
            stems differ by it.
        container: Folder whose files are brought together; empty for the top.
        rank: Files of a lower rank are used rather than others of the same name.
    """

    found: Found
    part: Part
    stem: str
    bare: str
    container: str = ""
    rank: int = 0


Wanted = Callable[[Item, Part], str]  # how the counterpart of a file would be called


def folded(text: str) -> str:
    """Return a text in which capitals, and ways to write an accent, do not matter."""
    return unicodedata.normalize("NFC", text).casefold()


_KEYS: Final[tuple[Callable[[Item], str], ...]] = (
    lambda item: item.stem,
    lambda item: folded(item.stem),
    lambda item: folded(item.bare),
)


def count_pairs(items: Iterable[Item]) -> int:
    """Return how many images have a mask."""
    return sum(len(_Group(members).pairs) for members in _by_container(items).values())


def lay_out(name: LayoutName, items: list[Item], wanted: Wanted) -> Layout:
    """Return the pairs of files, and what is wrong with the others.

    Args:
        name: The layout that the files follow.
        items: All files that it takes for images, masks or heights, and links.
        wanted: Says how a missing counterpart would be called.
    """
    layout = Layout(name)
    groups = _by_container(items)
    for container in sorted(groups):
        _add_group(layout, container, _Group(groups[container]), wanted)
    layout.candidates.sort(key=lambda candidate: candidate.id)
    links = sorted(item.found.path for item in items if item.found.is_link)
    layout.links = len(links)
    if links:
        layout.problems.append(_links(links))
    return layout


def _by_container(items: Iterable[Item]) -> dict[str, list[Item]]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        if not item.found.is_link:
            groups.setdefault(item.container, []).append(item)
    return groups


class _Group:
    """The files of one container, brought together.

    Files of the very same stem belong together first, then those whose stems differ by
    capital letters, then those that differ by the endings of their names.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = sorted(items, key=lambda item: (item.rank, item.found.path))
        self.pairs: dict[str, dict[Part, Item]] = {}  # by id
        self._used: set[int] = set()
        for key in _KEYS:
            if len(self._used) < len(self.items):
                self._pair(key)

    def _pair(self, key: Callable[[Item], str]) -> None:
        """Bring together what has a key in common and is not used yet."""
        groups: dict[str, dict[Part, Item]] = {}
        for item in self.items:
            if id(item) not in self._used:
                groups.setdefault(key(item), {}).setdefault(item.part, item)
        for group in groups.values():
            if "images" in group and "masks" in group:
                name = self._free_id(group["images"], key)
                if name is not None:
                    self.pairs[name] = group
                    self._used |= {id(item) for item in group.values()}
        for pair in self.pairs.values():  # heights may be called in another way
            height = groups.get(key(pair["images"]), {}).get("heights")
            if height is not None and id(height) not in self._used:
                pair.setdefault("heights", height)
                self._used.add(id(pair["heights"]))

    def _free_id(self, image: Item, key: Callable[[Item], str]) -> str | None:
        """Return the image's stem: without its ending where only that makes it fit."""
        names = (image.bare, image.stem) if key is _KEYS[-1] else (image.stem,)
        return next((name for name in names if name not in self.pairs), None)

    def left(self) -> list[Item]:
        """Return the files that belong to no pair: images, then masks, then heights."""
        rest = [item for item in self.items if id(item) not in self._used]
        return sorted(rest, key=lambda item: PARTS.index(item.part))


def _add_group(layout: Layout, container: str, group: _Group, wanted: Wanted) -> None:
    stamps = {id(item): item.found.stamp() for item in group.items}
    layout.stamps.extend(stamps.values())
    layout.images += sum(item.part == "images" for item in group.items)
    layout.masks += sum(item.part == "masks" for item in group.items)

    def stamp(item: Item | None) -> Stamp | None:
        return None if item is None else stamps[id(item)]

    for name, pair in group.pairs.items():
        candidate = Candidate(
            id=f"{container}/{name}" if container else name,
            image=stamps[id(pair["images"])],
            mask=stamps[id(pair["masks"])],
            height=stamp(pair.get("heights")),
        )
        layout.candidates.append(candidate)
    if container and not group.pairs:
        layout.problems.append(_without_pairs(container, group))
    else:
        layout.problems.extend(_left_over(group, wanted))


def _without_pairs(container: str, group: _Group) -> Problem:
    """Return the one problem of a folder of which nothing is used."""
    counts = [
        _counted(sum(item.part == part for item in group.items), part[:-1])
        for part in PARTS
        if any(item.part == part for item in group.items)
    ]
    text = f"no image here has a mask ({' and '.join(counts)}); none of them is used."
    return Problem(container, text)


def _left_over(group: _Group, wanted: Wanted) -> Iterator[Problem]:
    """Yield what is wrong with each file that belongs to no pair."""
    told: set[str] = set()
    left = group.left()
    used = _index(group) if left else {}
    for item in left:
        first = next((used[k] for k in _marks(item) if k in used), None)
        if first is not None:
            yield _double(item, first)
        elif item.part == "images":
            yield _incomplete(item, wanted(item, "masks"))
            told.add(folded(item.bare))
        elif item.part == "masks" or folded(item.bare) not in told:
            yield _incomplete(item, wanted(item, "images"))
            told.add(folded(item.bare))


def _index(group: _Group) -> dict[tuple[int, Part, str], Item]:
    """Return the files of pairs by what would make another one their double."""
    return {
        mark: item
        for pair in group.pairs.values()
        for item in pair.values()
        for mark in _marks(item)
    }


def _marks(item: Item) -> list[tuple[int, Part, str]]:
    return [(number, item.part, key(item)) for number, key in enumerate(_KEYS)]


def _incomplete(item: Item, name: str) -> Problem:
    missing = "a mask" if item.part == "images" else "an image"
    text = f"{_PART_WORDS[item.part]} without {missing}. Add {name}."
    return Problem(item.found.path, text)


def _double(item: Item, first: Item) -> Problem:
    text = f"{first.found.path} has the same name and is used. Rename one of the two."
    return Problem(item.found.path, text)


def _links(names: list[str]) -> Problem:
    count = _counted(len(names), "link")
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    text = f"{count} skipped ({shown}): links are not followed. Copy the files instead."
    return Problem(names[0], text)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
