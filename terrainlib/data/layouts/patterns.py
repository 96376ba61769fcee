"""Names that people say themselves: patterns, and those that a folder's names suggest.

A pattern is a path within the folder in which `*` stands for any text, slashes
included. What the stars of a pair's files stand for is the same; together it is the id.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Final

from terrainlib.data.choices import Patterns
from terrainlib.data.layout import IMAGE_SUFFIXES, PARTS, Layout, Part
from terrainlib.data.layouts.listing import Found, Listing, list_files
from terrainlib.data.layouts.pairing import Item, folded, lay_out
from terrainlib.files import natural_key

_DEPTH: Final = 6  # folders below the top that are looked into
_EXAMPLES: Final = 3
_MANY_FOLDERS: Final = 8  # side by side: they are part of the ids
_MANY_ENDS: Final = 6  # of names in one folder: they are part of the ids
_TRIED: Final = 12  # kinds of names that are tried against one another
_SIZED: Final = 20  # files whose sizes stand for all
_TRAIL: Final = re.compile(r"[_. -][A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*$")
_LEAD: Final = re.compile(r"^[A-Za-z]+[_. -]?(?=.)")
_MASK_WORDS: Final = re.compile(
    r"mask|label|lab|annot|gt|truth|seg|class|lulc|target|(?<![a-z])lc(?![a-z])",
    re.IGNORECASE,
)
_HEIGHT_WORDS: Final = re.compile(r"height|dem|dsm|dtm|elev", re.IGNORECASE)


def list_all(folder: Path) -> Listing:
    """List a folder and what lies below it.

    Raises:
        OSError: If the folder itself cannot be read.
    """
    return list_files(folder, lambda parents: len(parents) <= _DEPTH)


def find_by_patterns(listing: Listing, patterns: Patterns) -> Layout:
    """Return the layout that patterns give."""
    named = {
        part: pattern
        for part in PARTS
        if (pattern := getattr(patterns, part)) is not None
    }
    items = [
        Item(found, part, "/".join(stars), "/".join(stars))
        for found in listing.files
        if found.suffix in IMAGE_SUFFIXES
        for part, pattern in named.items()
        if (stars := match(pattern, found.path)) is not None
    ]

    def wanted(item: Item, part: Part) -> str:
        stars = match(named[item.part], item.found.path) or ()
        return fill(named[part], stars)

    return lay_out("patterns", items, wanted)


def match(pattern: str, path: str) -> tuple[str, ...] | None:
    """Return what the stars of a pattern stand for in a path, None where it is none.

    Capital letters do not matter. Each star takes as little as it can, and something.

    Example:
        >>> match("*/rgb/*.png", "Town/rgb/7.png")
        ('Town', '7')
    """
    pieces = [_small(piece) for piece in pattern.split("*")]
    text = _small(path)
    if not text.startswith(pieces[0]):
        return None
    place = len(pieces[0])
    stars: list[str] = []
    for piece in pieces[1:-1]:
        end = text.find(piece, place + 1)
        if end < 0:
            return None
        stars.append(path[place:end])
        place = end + len(piece)
    end = len(text) - len(pieces[-1])
    if len(pieces) == 1 or end <= place or not text.endswith(pieces[-1]):
        return None
    return (*stars, path[place:end])


def fill(pattern: str, stars: Iterable[str]) -> str:
    """Return the path that a pattern gives for what its stars stand for."""
    pieces, filled = pattern.split("*"), iter(stars)
    return pieces[0] + "".join(next(filled, "*") + piece for piece in pieces[1:])


def _small(text: str) -> str:
    """Return a text in small letters, as long as it was."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


@dataclass(frozen=True, slots=True)
class NameGroup:
    """Files whose names are alike.

    Attributes:
        pattern: The pattern that they follow.
        files: The files.
    """

    pattern: str
    files: tuple[Found, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.files)

    @property
    def examples(self) -> tuple[str, ...]:
        """A few of their paths."""
        return tuple(found.path for found in self.files[:_EXAMPLES])


def group_names(listing: Listing) -> tuple[NameGroup, ...]:
    """Return the images of a folder by what their names have in common, most first.

    What many names begin or end with stays as it is, and so do folders, unless several
    of them hold files or folders of the same names.
    """
    tree = _Tree(listing.images())
    scopes: dict[str, list[Found]] = {}
    for found in tree.files:
        scopes.setdefault(tree.scope(found), []).append(found)
    groups: dict[str, tuple[str, list[Found]]] = {}
    for scope, files in scopes.items():
        ends = _Ends(files)
        for found in files:
            pattern = scope if tree.is_whole(found) else scope + ends.alike(found)
            groups.setdefault(pattern.lower(), (pattern, []))[1].append(found)
    made = [
        NameGroup(pattern, tuple(sorted(files, key=lambda f: natural_key(f.path))))
        for pattern, files in groups.values()
    ]
    return tuple(sorted(made, key=lambda group: (-group.count, group.pattern)))


class _Tree:
    """The folders of files: which are alike."""

    def __init__(self, files: Iterable[Found]) -> None:
        self.files = list(files)
        self._around: dict[str, set[tuple[str, ...]]] = {}  # by the folder's name
        self._inside: dict[tuple[str, ...], set[str]] = {}  # folders in a folder
        self._names: dict[tuple[str, ...], set[str]] = {}  # files in these
        for found in self.files:
            if found.parents:
                *around, last = found.parents
                self._around.setdefault(last, set()).add(tuple(around))
                self._inside.setdefault(tuple(around), set()).add(last)
                self._names.setdefault(tuple(around), set()).add(found.name)

    def is_whole(self, found: Found) -> bool:
        """Whether there is a folder for each id, with files of the same names."""
        if not found.parents:
            return False
        folders = len(self._inside[found.parents[:-1]])
        return folders > max(2, len(self._names[found.parents[:-1]]))

    def scope(self, found: Found) -> str:
        """Return what the pattern of a file begins with; all of it for whole names."""
        if not found.parents:
            return ""
        *around, last = found.parents
        if self.is_whole(found):
            return "/".join((*around, "*", found.name))
        if len(self._around[last]) > 1:
            return f"*/{last}/"
        if len(self._inside[tuple(around)]) > _MANY_FOLDERS:
            return "".join(f"{name}/" for name in around)
        return "".join(f"{name}/" for name in found.parents)


class _Ends:
    """What the names of files in one scope begin and end with."""

    def __init__(self, files: list[Found]) -> None:
        self._trails = _shared(_TRAIL, files)
        self._leads = _shared(_LEAD, files) if len(self._trails) < 2 else frozenset()

    def alike(self, found: Found) -> str:
        """Return a name with a star for what is its own."""
        trail = _part(_TRAIL, found, self._trails)
        lead = _part(_LEAD, found, self._leads)
        if len(lead) + len(trail) >= len(found.stem):
            lead = ""
        return f"{lead}*{trail}{found.entry.name[len(found.stem) :]}"


def _shared(form: re.Pattern[str], files: list[Found]) -> frozenset[str]:
    """Return the beginnings or ends that files share; empty where they are ids."""
    counts = Counter(_part(form, found) for found in files)
    shared = {text if count > 1 else "" for text, count in counts.items()}
    return frozenset(shared) if len(shared) <= _MANY_ENDS else frozenset()


def _part(
    form: re.Pattern[str], found: Found, known: frozenset[str] | None = None
) -> str:
    """Return the beginning or end of a name, where it is among those known."""
    hit = form.search(found.stem)
    text = hit[0] if hit else ""
    return text if known is None or text in known else ""


def suggest_patterns(groups: Iterable[NameGroup]) -> Patterns | None:
    """Return which of the groups may be the images and masks; None without pairs.

    The two that give the most pairs; of these, masks are what is called so, or smaller.
    """
    tried = list(groups)[:_TRIED]
    keys = {group.pattern: _keys(group) for group in tried}
    best = max(
        permutations(tried, 2),
        key=lambda two: (
            len(keys[two[0].pattern] & keys[two[1].pattern]),
            _fitness(two[0].pattern, two[1].pattern),
            _bytes(two[0]) - _bytes(two[1]),
        ),
        default=None,
    )
    if best is None or not keys[best[0].pattern] & keys[best[1].pattern]:
        return None
    images, masks = (group.pattern for group in best)
    heights = (
        group.pattern
        for group in tried
        if _HEIGHT_WORDS.search(group.pattern)
        and group not in best
        and keys[group.pattern] & keys[images]
    )
    return Patterns(images, masks, next(heights, None))


def _keys(group: NameGroup) -> set[tuple[str, ...]]:
    found = (match(group.pattern, file.path) for file in group.files)
    return {tuple(map(folded, stars)) for stars in found if stars is not None}


def _fitness(images: str, masks: str) -> int:
    """Return how well two patterns are called for what they would be."""
    worse = _MASK_WORDS.search(images) or _HEIGHT_WORDS.search(images)
    worse_masks = _HEIGHT_WORDS.search(masks)
    return 2 * bool(_MASK_WORDS.search(masks)) - bool(worse) - 2 * bool(worse_masks)


def _bytes(group: NameGroup) -> int:
    some = group.files[:_SIZED]
    return sum(found.stamp().size for found in some) // len(some)
