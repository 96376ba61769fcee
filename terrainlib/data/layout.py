"""What is known of a data set's files by their names; `layouts` finds it out."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from terrainlib.data.choices import Choices

LayoutName = Literal["kaggle", "folders", "names", "patterns"]
Part = Literal["images", "masks", "heights"]
PARTS: Final[tuple[Part, ...]] = ("images", "masks", "heights")
CLASSES_FILE: Final = "classes.json"
IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
# What each layout is, for people.
LAYOUT_TEXTS: Final[dict[LayoutName, str]] = {
    "kaggle": "ID_t.png images with ID_i2.png masks",
    "folders": "folders of images and masks with files of the same name",
    "names": "images with masks of the same name and an ending such as _mask",
    "patterns": "the names that dataset.json says",
}
LAYOUTS_TEXT: Final = (
    "ID_t.png images with ID_i2.png masks, the folders images and masks with files of "
    "the same name, or NAME images with NAME_mask masks"
)


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
        name: One of `LAYOUT_TEXTS`.
        candidates: Images with a mask, sorted by id.
        problems: Files without a counterpart, and what was skipped.
        stamps: All files that count for the fingerprint.
        images: Number of images, with or without a mask.
        masks: Number of masks, with or without an image.
        links: Number of links, which are skipped.
        classes_file: Path of its `classes.json` within the folder; None without one.
        choices: What people chose for it.
    """

    name: LayoutName
    candidates: list[Candidate] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    stamps: list[Stamp] = field(default_factory=list)
    images: int = 0
    masks: int = 0
    links: int = 0
    classes_file: str | None = None
    choices: Choices = field(default_factory=Choices)
