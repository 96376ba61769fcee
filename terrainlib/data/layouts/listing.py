"""What lies in a folder and below it: names alone, nothing is opened.

Links are listed, but not followed; hidden files are passed by.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from terrainlib.data.layout import IMAGE_SUFFIXES, Problem, Stamp
from terrainlib.files import is_hidden

MAX_FOLDERS: Final = 5_000  # looked into; someone may have given the root of a disk
OTHER_IMAGES: Final = frozenset(
    {".bmp", ".gif", ".webp", ".jp2", ".heic", ".avif", ".tga", ".svg"}
)


@dataclass(frozen=True, slots=True)
class Found:
    """A file, or a link to anything.

    Attributes:
        parents: Folders that it lies in, from the outermost; none at the top.
        entry: As its folder lists it.
    """

    parents: tuple[str, ...]
    entry: "os.DirEntry[str]"

    @property
    def name(self) -> str:
        """Its name without folders."""
        return self.entry.name

    @property
    def path(self) -> str:
        """Path within the folder that was listed, with forward slashes."""
        return "/".join((*self.parents, self.entry.name))

    @property
    def stem(self) -> str:
        """Name without the ending."""
        return os.path.splitext(self.entry.name)[0]  # noqa: PTH122 - of many thousands

    @property
    def suffix(self) -> str:
        """Ending with its dot, in small letters."""
        return os.path.splitext(self.entry.name)[1].lower()  # noqa: PTH122

    @property
    def is_link(self) -> bool:
        """Whether it is a link, which is not followed."""
        return self.entry.is_symlink()

    def stamp(self) -> Stamp:
        """Return it with its size and its time of change."""
        facts = self.entry.stat(follow_symlinks=False)
        return Stamp(self.path, facts.st_size, facts.st_mtime_ns)


@dataclass(slots=True)
class Listing:
    """The files of a folder.

    Attributes:
        files: Regular files and links, in the order of their folders and names.
        unreadable: Names that are no text, by the folders that they lie in.
        closed: Why a folder below could not be listed.
        folders: How many folders were looked into.
        is_cut: Whether there were more of them than are looked into.
        is_empty: Whether there is nothing visible at the top.
    """

    files: list[Found] = field(default_factory=list)
    unreadable: dict[tuple[str, ...], list[Problem]] = field(default_factory=dict)
    closed: dict[tuple[str, ...], OSError] = field(default_factory=dict)
    folders: int = 0
    is_cut: bool = False
    is_empty: bool = True

    def images(self) -> Iterator[Found]:
        """Yield the files that may be images, masks or heights; no links."""
        for found in self.files:
            if found.suffix in IMAGE_SUFFIXES and not found.is_link:
                yield found


def list_files(folder: Path, enter: Callable[[tuple[str, ...]], bool]) -> Listing:
    """List a folder and those below it.

    Args:
        folder: Where to begin.
        enter: Asked with the names of a folder and of those around it whether to look
            into it. No more than `MAX_FOLDERS` are looked into.

    Raises:
        OSError: If the folder itself cannot be read.
    """
    listing = Listing()
    level: list[tuple[str, ...]] = [()]
    while level:
        below: list[tuple[str, ...]] = []
        listing.is_cut |= len(level) > MAX_FOLDERS - listing.folders
        for parents in level[: MAX_FOLDERS - listing.folders]:
            listing.folders += 1
            try:
                below += _list_one(folder, parents, listing)
            except OSError as error:
                if not parents:
                    raise
                listing.closed[parents] = error
        level = [parents for parents in below if enter(parents)]
    return listing


def _list_one(
    folder: Path, parents: tuple[str, ...], listing: Listing
) -> list[tuple[str, ...]]:
    """Add the files of one folder; return the folders in it."""
    folders: list[tuple[str, ...]] = []
    with os.scandir(folder.joinpath(*parents)) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name = entry.name.encode("utf-8", "replace").decode()
        if is_hidden(name):
            continue
        listing.is_empty = False
        if name != entry.name:
            text = "the file name is not valid UTF-8. Rename the file."
            problem = Problem("/".join((*parents, name)), text)
            listing.unreadable.setdefault(parents, []).append(problem)
        elif entry.is_dir(follow_symlinks=False):
            folders.append((*parents, name))
        elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
            listing.files.append(Found(parents, entry))
    return folders
