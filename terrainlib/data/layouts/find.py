"""The layout of a folder: what `dataset.json` says, else what the rules find."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from terrainlib.data.choices import CHOICES_FILE, Patterns, read_choices
from terrainlib.data.formats.place import BESIDE
from terrainlib.data.labels.places import PATCHES_FILE
from terrainlib.data.layout import CLASSES_FILE, LAYOUTS_TEXT, Layout, Problem, Stamp
from terrainlib.data.layouts.listing import (
    MAX_FOLDERS,
    OTHER_IMAGES,
    Listing,
    list_files,
)
from terrainlib.data.layouts.patterns import (
    NameGroup,
    find_by_patterns,
    group_names,
    list_all,
    suggest_patterns,
)
from terrainlib.data.layouts.rules import find_by_rules, may_hold_parts, part_of_folder
from terrainlib.errors import DatasetError
from terrainlib.files import is_hidden, read_json

_SHOWN_GROUPS: Final = 4


class UnknownNamesError(DatasetError):
    """Images are there, but which of them are masks cannot be told from their names.

    Attributes:
        reason: What is wrong, without the names and what to do about them.
        groups: The names that were found.
        patterns: What they may mean, to begin with; None where nothing fits.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        file: str | None,
        groups: tuple[NameGroup, ...],
        patterns: Patterns | None,
    ) -> None:
        super().__init__(f"{reason} {message}", file=file)
        self.reason = reason
        self.groups = groups
        self.patterns = patterns


class _NoPairsError(DatasetError):
    """No image of the folder has a mask."""


def find_layout(folder: Path) -> Layout:
    """Return the layout of a folder.

    Nothing but `dataset.json` and lists of classes is opened. Links are not followed,
    hidden files are not looked at.

    Raises:
        DatasetError: If the folder is missing, unreadable, empty or without pairs, or
            its `dataset.json` is not valid.
    """
    _require_folder(folder)
    choices = read_choices(folder)
    try:
        if choices.patterns is None:
            listing = list_files(folder, may_hold_parts)
            layout = find_by_rules(listing)
        else:
            listing = list_all(folder)
            layout = find_by_patterns(listing, choices.patterns)
            _require_whole(folder, listing)
        _require_open_parts(listing)
    except OSError as error:
        raise DatasetError(
            f"the folder cannot be read ({error.strerror}). Check its permissions.",
            file=folder.name,
        ) from error
    if listing.is_empty:
        raise DatasetError(
            f"the folder is empty. Put {LAYOUTS_TEXT} into it.", file=folder.name
        )
    if not layout.candidates:
        raise _no_pairs(folder, layout, choices.patterns)
    layout.choices = choices
    _add_unread(layout, listing)
    _add_settings(folder, layout, listing)
    layout.stamps.extend(_beside(folder, layout))
    return layout


def _require_folder(folder: Path) -> None:
    try:
        kind = "folder" if folder.is_dir() else "file" if folder.exists() else "nothing"
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        kind = "nothing"
    if kind == "folder":
        return
    name = folder.name.replace("\0", "?")
    name = name if len(name) <= 60 else f"{name[:60]}..."
    if kind == "file":
        raise DatasetError(
            f"this is a file, not a folder. Give the folder that holds {LAYOUTS_TEXT}.",
            file=name,
        )
    raise DatasetError(
        f"the folder does not exist. Give a folder that holds {LAYOUTS_TEXT}.",
        file=name or None,
    )


def _require_open_parts(listing: Listing) -> None:
    """Refuse a folder of images or masks that may not be read."""
    for parents, error in listing.closed.items():
        if part_of_folder(parents[-1]):
            raise error


def _require_whole(folder: Path, listing: Listing) -> None:
    if listing.is_cut:
        raise DatasetError(
            f"there are more than {MAX_FOLDERS:,} folders in it, the limit for "
            f"patterns in {CHOICES_FILE}. Open a folder further down.",
            file=folder.name,
        )


def _no_pairs(folder: Path, layout: Layout, patterns: Patterns | None) -> DatasetError:
    """Return the sentence for a folder in which no image has a mask."""
    linked = f", {_counted(layout.links, 'link')} skipped" if layout.links else ""
    looked = f"Looked for {LAYOUTS_TEXT}"
    if patterns is not None:
        looked = f"{CHOICES_FILE} says {_json(patterns)}"
    return _NoPairsError(
        f"no image with a mask ({_counted(layout.images, 'image')} and "
        f"{_counted(layout.masks, 'mask')} found{linked}). {looked}.",
        file=folder.name,
    )


def _unknown_names(folder: Path, error: DatasetError) -> DatasetError:
    """Return an error with the names that were found, where there are images."""
    groups = group_names(list_all(folder))
    if not groups:
        return error
    patterns = read_choices(folder).patterns
    shown = ", ".join(f"{g.pattern} ({g.count:,})" for g in groups[:_SHOWN_GROUPS])
    shown += ", ..." if len(groups) > _SHOWN_GROUPS else ""
    text = f"The names found are {shown}"
    suggested = suggest_patterns(groups)
    if suggested is not None and suggested != patterns:
        text += f"; say what is what in {CHOICES_FILE}, such as {_json(suggested)}"
    return UnknownNamesError(
        f"{text}.",
        reason=error.message,
        file=folder.name,
        groups=groups,
        patterns=suggested or patterns,
    )


def _json(patterns: Patterns) -> str:
    named = {"images": patterns.images, "masks": patterns.masks}
    inner = ", ".join(f'"{part}": "{text}"' for part, text in named.items())
    return f'{{"patterns": {{{inner}}}}}'


def _add_unread(layout: Layout, listing: Listing) -> None:
    """Add the files beside those of the layout that cannot be used at all."""
    beside = {tuple(stamp.name.split("/")[:-1]) for stamp in layout.stamps} | {()}
    for parents in sorted(beside & set(listing.unreadable)):
        layout.problems.extend(listing.unreadable[parents])
    for parents, error in listing.closed.items():
        text = f"the folder cannot be read ({error.strerror}). Check its permissions."
        if layout.name == "patterns" or any("/" in c.id for c in layout.candidates):
            layout.problems.append(Problem("/".join(parents), text))
    if layout.name not in ("folders", "names"):
        return
    for found in listing.files:
        known = found.suffix in OTHER_IMAGES and found.parents in beside
        if known and not found.is_link and (found.parents or layout.name == "names"):
            text = f"{found.suffix} files are not read. Save it as PNG, JPEG or TIFF."
            layout.problems.append(Problem(found.path, text))


def _add_settings(folder: Path, layout: Layout, listing: Listing) -> None:
    """Add `dataset.json`, `patches.csv`, and `classes.json` here or in the folders."""
    at = {
        found.parents: found
        for found in listing.files
        if found.name == CLASSES_FILE and not found.is_link
    }
    for found in listing.files:
        named = found.name in (CHOICES_FILE, PATCHES_FILE)
        if named and not (found.parents or found.is_link):
            layout.stamps.append(found.stamp())
    if () in at:
        layout.stamps.append(at[()].stamp())
        layout.classes_file = CLASSES_FILE
        return
    tops = {candidate.id.split("/")[0] for candidate in layout.candidates}
    files = [at[(top,)] for top in sorted(tops) if (top,) in at]
    layout.stamps.extend(found.stamp() for found in files)
    values = [read_json(folder / found.path) for found in files]
    for found, value in zip(files, values, strict=True):
        if value != values[0]:
            text = (
                f"it is not the same as {files[0].path}. Put one {CLASSES_FILE} for "
                "all into the folder above."
            )
            layout.problems.append(Problem(found.path, text))
            return
    if files:
        layout.classes_file = files[0].path


def _beside(folder: Path, layout: Layout) -> Iterator[Stamp]:
    """Yield the files beside images that place them or say where there is data."""
    parents = {stamp.name.rpartition("/")[0] for stamp in layout.stamps}
    for parent in sorted(parents):
        with suppress(OSError), os.scandir(folder / parent) as entries:
            for entry in entries:
                known = entry.name.lower().endswith(BESIDE)
                if known and entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    name = f"{parent}/{entry.name}".lstrip("/")
                    yield Stamp(name, facts.st_size, facts.st_mtime_ns)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


_DEPTH: Final = 3
_MAX_FOLDERS: Final = 300  # looked into; someone may have given the root of a disk


def require_layout(root: Path) -> Layout:
    """Return the layout of a folder.

    Raises:
        UnknownNamesError: If there are images, but no image with a mask.
        DatasetError: If it is missing, empty or without pairs; where they are in a
            folder below, it is named.
    """
    try:
        return find_layout(root)
    except _NoPairsError as error:
        nested = find_data_folder(root)
        if nested == root:
            raise _unknown_names(root, error) from error
        name = nested.relative_to(root).as_posix()
        raise DatasetError(
            f"the pairs are not in this folder, but in {name} below it. Open that one.",
            file=root.name,
        ) from error


def find_data_folder(root: Path) -> Path:
    """Return the first folder at or below `root` that holds pairs, else `root` itself.

    Nearer folders come first, then the alphabet; links and hidden ones are passed by.
    A folder that does no more than hold the one with the pairs is not it.
    """
    level = [root]
    looked = 0
    for _ in range(_DEPTH + 1):
        for folder in level:
            looked += 1
            if looked > _MAX_FOLDERS:
                return root
            found = _layout_or_none(folder)
            if found is not None:
                return _unwrapped(folder, found)
        level = [sub for folder in level for sub in _subfolders(folder)]
    return root


def _layout_or_none(folder: Path) -> Layout | None:
    try:
        return find_layout(folder)
    except DatasetError:
        return None


def _unwrapped(folder: Path, layout: Layout) -> Path:
    """Return the folder in it that all pairs are in, where nothing else is there."""
    inside = _subfolders(folder)
    if layout.name == "patterns" or len(inside) != 1:
        return folder
    alone = all(c.id.startswith(f"{inside[0].name}/") for c in layout.candidates)
    if not alone or layout.classes_file == CLASSES_FILE:
        return folder
    within = _layout_or_none(inside[0])
    return inside[0] if within is not None else folder


def watched_paths(folder: Path) -> tuple[Path, ...]:
    """Return what changes where a data set's files come, go or are named anew.

    The folder, those in it and in these, up to a number, and their settings.
    """
    level, folders = [folder], [folder]
    for _ in range(2):
        level = [sub for one in level for sub in _subfolders(one)]
        level = level[: _MAX_FOLDERS - len(folders)]
        folders += level
    settings = [one / CLASSES_FILE for one in folders]
    return (*folders, *settings, folder / CHOICES_FILE)


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if not is_hidden(entry.name) and entry.is_dir(follow_symlinks=False)
            )
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return []
