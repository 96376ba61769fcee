"""Which files of a folder belong together: the two layouts, found from names alone.

Nothing is opened here. Links are not followed, hidden files are not looked at.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from terrainlib.data.choices import CHOICES_FILE
from terrainlib.data.formats.place import BESIDE
from terrainlib.errors import DatasetError

LayoutName = Literal["kaggle", "folders"]


@dataclass(frozen=True, slots=True)
class Note:
    """A file that is used, and what is to be known of it.

    Attributes:
        file: Path within the data set's folder.
        note: A phrase, without a full stop.
    """

    file: str
    note: str


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, its mask and, where there is one, its height; checked and usable.

    Attributes:
        id: Name within the data set.
        image: Image file.
        mask: Mask file, of the same size or with a place.
        height: Height file, of the same size or with a place, or None.
        size: (H, W) in px.
        counts: Pixels of each class in the mask; those without data are not counted.
        laid: Which of mask and height lie on another grid, and are laid onto the
            image's when they are read.
        notes: What is to be known of mask and height.
    """

    id: str
    image: Path
    mask: Path
    height: Path | None
    size: tuple[int, int]
    counts: tuple[int, ...]
    laid: tuple[Literal["mask", "height"], ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not used, and why.

    Attributes:
        file: Path within the data set's folder.
        problem: What is wrong, the limit and what to do.
    """

    file: str
    problem: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file as its folder lists it.

    Attributes:
        name: Path within the data set's folder, with forward slashes.
        size: Bytes.
        changed: Time of the last change in nanoseconds.
    """

    name: str
    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image and its mask, by name; not yet opened."""

    id: str
    image: Stamp
    mask: Stamp
    height: Stamp | None


@dataclass(slots=True)
class Layout:
    """What was found in a folder.

    Attributes:
        name: Which of the two layouts.
        candidates: Images with a mask, sorted by id.
        problems: Files without a counterpart, and what was skipped.
        stamps: All files that count for the fingerprint.
        images: Number of images, with or without a mask.
        masks: Number of masks, with or without an image.
        links: Number of links, which are skipped.
    """

    name: LayoutName
    candidates: list[Candidate] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    stamps: list[Stamp] = field(default_factory=list)
    images: int = 0
    masks: int = 0
    links: int = 0


CLASSES_FILE: Final = "classes.json"
LAYOUTS_TEXT: Final = (
    "ID_t.png images with ID_i2.png masks, or the folders images and masks with files "
    "of the same name"
)

_KAGGLE_NAME: Final = re.compile(r"(?P<id>.+)_(?P<part>t|i2|h)\.png", re.IGNORECASE)
_KAGGLE_PARTS: Final = {"t": "images", "i2": "masks", "h": "heights"}
_KAGGLE_NAMES: Final = {"images": "_t.png", "masks": "_i2.png", "heights": "_h.png"}
_READABLE: Final = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
_OTHER_IMAGES: Final = frozenset(
    {".bmp", ".gif", ".webp", ".jp2", ".heic", ".avif", ".tga", ".svg"}
)
_PARTS: Final = ("images", "masks", "heights")


def find_layout(folder: Path) -> Layout:
    """Return the layout of a folder: the one of the two in which more pairs are found.

    Raises:
        DatasetError: If the folder is missing, unreadable, empty or without pairs.
    """
    _require_folder(folder)
    try:
        entries, unreadable = _listed(folder)
        layouts = [_kaggle_layout(entries), _folders_layout(entries)]
    except OSError as error:
        raise DatasetError(
            f"the folder cannot be read ({error.strerror}). Check its permissions.",
            file=folder.name,
        ) from error
    if not entries and not unreadable:
        raise DatasetError(
            f"the folder is empty. Put {LAYOUTS_TEXT} into it.", file=folder.name
        )
    layout = max(layouts, key=lambda found: len(found.candidates))
    if not layout.candidates:
        raise _no_pairs(folder, layouts)
    layout.problems.extend(unreadable)
    named = (CLASSES_FILE, CHOICES_FILE)
    settings = [e for e in entries if e.name in named and _is_regular(e)]
    layout.stamps.extend(_stamp(entry) for entry in settings)
    layout.stamps.extend(_beside(folder, layout.candidates))
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


def _listed(
    folder: Path, prefix: str = ""
) -> tuple[list["os.DirEntry[str]"], list[Problem]]:
    """Return the visible entries of a folder by name, and those with no proper name."""
    entries: list[os.DirEntry[str]] = []
    problems: list[Problem] = []
    with os.scandir(folder) as found:
        for entry in sorted(found, key=lambda entry: entry.name):
            name = entry.name.encode("utf-8", "replace").decode()
            if name != entry.name:
                text = "the file name is not valid UTF-8. Rename the file."
                problems.append(Problem(prefix + name, text))
            elif not name.startswith("."):
                entries.append(entry)
    return entries, problems


def _kaggle_layout(entries: Iterable["os.DirEntry[str]"]) -> Layout:
    """Group `ID_t.png`, `ID_i2.png` and `ID_h.png`."""
    layout = Layout("kaggle")
    groups: dict[str, dict[str, Stamp]] = {}
    links: list[str] = []
    for entry in entries:
        match = _KAGGLE_NAME.fullmatch(entry.name)
        if match is None:
            continue
        if entry.is_symlink():
            links.append(entry.name)
        elif _is_regular(entry):
            part = _KAGGLE_PARTS[match["part"].lower()]
            groups.setdefault(match["id"], {})[part] = _stamp(entry)
    _fill(layout, groups, links)
    return layout


def _folders_layout(entries: Iterable["os.DirEntry[str]"]) -> Layout:
    """Group the files of `images/`, `masks/` and `heights/` by their stems."""
    layout = Layout("folders")
    groups: dict[str, dict[str, Stamp]] = {}
    links: list[str] = []
    for entry in entries:
        if entry.name not in _PARTS:
            continue
        if entry.is_symlink():
            links.append(entry.name)
        elif entry.is_dir(follow_symlinks=False):
            for file in _image_files(entry, links, layout.problems):
                group = groups.setdefault(Path(file.name).stem, {})
                first = group.setdefault(entry.name, file)
                if first is not file:
                    layout.problems.append(_double(file, first))
    _fill(layout, groups, links)
    return layout


def _image_files(
    folder: "os.DirEntry[str]", links: list[str], problems: list[Problem]
) -> Iterator[Stamp]:
    """Yield the readable files of a subfolder; note links and other kinds of image."""
    entries, unreadable = _listed(Path(folder.path), f"{folder.name}/")
    problems.extend(unreadable)
    for entry in entries:
        suffix = Path(entry.name).suffix.lower()
        name = f"{folder.name}/{entry.name}"
        if suffix not in _READABLE | _OTHER_IMAGES:
            continue
        if entry.is_symlink():
            links.append(name)
        elif suffix in _OTHER_IMAGES:
            text = f"{suffix} files are not read. Save it as PNG, JPEG or TIFF."
            problems.append(Problem(name, text))
        elif _is_regular(entry):
            yield _stamp(entry, name)


def _fill(
    layout: Layout, groups: dict[str, dict[str, Stamp]], links: list[str]
) -> None:
    for identifier in sorted(groups):
        group = groups[identifier]
        layout.stamps.extend(group[part] for part in sorted(group))
        image, mask = group.get("images"), group.get("masks")
        layout.images += image is not None
        layout.masks += mask is not None
        if image is not None and mask is not None:
            height = group.get("heights")
            layout.candidates.append(Candidate(identifier, image, mask, height))
            continue
        layout.problems.extend(_incomplete(layout.name, identifier, group))
    layout.links = len(links)
    if links:
        layout.problems.append(_links(links))


def _incomplete(
    layout: LayoutName, identifier: str, group: dict[str, Stamp]
) -> Iterator[Problem]:
    """Yield what is wrong with an image, mask or height without its counterpart."""

    def wanted(part: str) -> str:
        if layout == "kaggle":
            return f"{identifier}{_KAGGLE_NAMES[part]}"
        return f"{part}/{identifier}.*"

    if "images" in group:
        text = f"an image without a mask. Add {wanted('masks')}."
        yield Problem(group["images"].name, text)
    elif "masks" in group:
        text = f"a mask without an image. Add {wanted('images')}."
        yield Problem(group["masks"].name, text)
    else:
        text = f"a height without an image. Add {wanted('images')}."
        yield Problem(group["heights"].name, text)


def _links(names: list[str]) -> Problem:
    names = sorted(names)
    count = _counted(len(names), "link")
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    text = f"{count} skipped ({shown}): links are not followed. Copy the files instead."
    return Problem(names[0], text)


def _double(file: Stamp, first: Stamp) -> Problem:
    text = f"{first.name} has the same name and is used. Rename one of the two."
    return Problem(file.name, text)


def _no_pairs(folder: Path, layouts: list[Layout]) -> DatasetError:
    """Return the sentence for a folder in which no image has a mask."""
    images = sum(layout.images for layout in layouts)
    masks = sum(layout.masks for layout in layouts)
    links = sum(layout.links for layout in layouts)
    linked = f", {_counted(links, 'link')} skipped" if links else ""
    return DatasetError(
        f"no image with a mask ({_counted(images, 'image')} and "
        f"{_counted(masks, 'mask')} found{linked}). Looked for {LAYOUTS_TEXT}.",
        file=folder.name,
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _is_regular(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file(follow_symlinks=False)


def _stamp(entry: "os.DirEntry[str]", name: str | None = None) -> Stamp:
    facts = entry.stat(follow_symlinks=False)
    return Stamp(name or entry.name, facts.st_size, facts.st_mtime_ns)


def _beside(folder: Path, candidates: Iterable[Candidate]) -> Iterator[Stamp]:
    """Yield the files beside images that place them or say where there is data."""
    parts = {
        os.path.dirname(stamp.name)  # noqa: PTH120 - asked for every file
        for candidate in candidates
        for stamp in (candidate.image, candidate.mask, candidate.height)
        if stamp is not None
    }
    for part in sorted(parts):
        with suppress(OSError), os.scandir(folder / part) as entries:
            for entry in entries:
                if entry.name.lower().endswith(BESIDE) and _is_regular(entry):
                    yield _stamp(entry, f"{part}/{entry.name}")


_DEPTH: Final = 3
_MAX_FOLDERS: Final = 300  # looked into; someone may have given the root of a disk


def require_layout(root: Path) -> Layout:
    """Return the layout of a folder.

    Raises:
        DatasetError: If it is missing, empty or without pairs; where they are in a
            folder below, it is named.
    """
    try:
        return find_layout(root)
    except DatasetError as error:
        nested = find_data_folder(root)
        if nested == root:
            raise
        name = nested.relative_to(root).as_posix()
        raise DatasetError(
            f"the pairs are not in this folder, but in {name} below it. Open that one.",
            file=root.name,
        ) from error


def find_data_folder(root: Path) -> Path:
    """Return the first folder at or below `root` that holds pairs, else `root` itself.

    Nearer folders come first, then the alphabet; links and hidden ones are passed by.
    """
    level = [root]
    looked = 0
    for _ in range(_DEPTH + 1):
        for folder in level:
            looked += 1
            if looked > _MAX_FOLDERS:
                return root
            if _has_pairs(folder):
                return folder
        level = [sub for folder in level for sub in _subfolders(folder)]
    return root


def _has_pairs(folder: Path) -> bool:
    try:
        find_layout(folder)
    except DatasetError:
        return False
    return True


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if not entry.name.startswith(".")
                and entry.is_dir(follow_symlinks=False)
            )
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return []
