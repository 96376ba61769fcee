"""What people chose once for a data set: `dataset.json` in its folder.

Which names are images, masks and heights where no rule of `layout` fits, and which
bands of the images are used. The page writes the file, the command line reads it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from terrainlib import files
from terrainlib.data.formats.raster import MAX_BANDS
from terrainlib.errors import DatasetError
from terrainlib.places import require_changeable
from terrainlib.types import PathText, read_record

CHOICES_FILE: Final = "dataset.json"
MAX_STARS: Final = 4

_BandName = (
    Annotated[int, Field(ge=1, le=2**16)] | Annotated[str, Field(max_length=200)]
)
BandKeys = Annotated[tuple[_BandName, ...], Field(min_length=1, max_length=MAX_BANDS)]


@dataclass(frozen=True, slots=True)
class Patterns:
    """Which files of a folder belong together, by their paths within it.

    `*` stands for what a pair's files have in common: their id. It may hold slashes.
    Several stars make up the id together; each pattern has as many as the others.

    Attributes:
        images: For example `*_sat.jpg`.
        masks: For example `*_mask.png`.
        heights: None where there are none.

    Raises:
        DatasetError: If one of them has no `*`, or more or fewer than the others, or
            leads out of the folder.
    """

    images: PathText
    masks: PathText
    heights: PathText | None = None

    def __post_init__(self) -> None:
        named = [self.images, self.masks]
        named += [] if self.heights is None else [self.heights]
        if not 1 <= named[0].count("*") <= MAX_STARS:
            raise DatasetError(
                f"the pattern {named[0]!r} must have 1 to {MAX_STARS} stars. Write * "
                "for the part that differs from pair to pair."
            )
        for text in named:
            _require_inside(text)
        for text in named[1:]:
            if text.count("*") != named[0].count("*"):
                raise DatasetError(
                    f"the patterns {named[0]!r} and {text!r} must have the same number "
                    "of stars. Write * in the same places of both."
                )
        if len(set(named)) < len(named):
            raise DatasetError(
                f"the pattern {named[0]!r} cannot stand for two things. Write another "
                "one for the masks."
            )


def _require_inside(pattern: str) -> None:
    folders = re.split(r"[/\\]", pattern)
    if ".." in folders or not folders[0] or ":" in folders[0]:
        raise DatasetError(
            f"the pattern {pattern!r} leads out of the folder. Write a path within it, "
            "with / between folders."
        )


@dataclass(frozen=True, slots=True)
class Choices:
    """The contents of `dataset.json`.

    Attributes:
        patterns: Names of the files; None where the rules find them.
        bands: Bands of the images by name, or number from 1; None leaves them to what
            the files say.
    """

    patterns: Patterns | None = None
    bands: BandKeys | None = None


def read_choices(folder: Path) -> Choices:
    """Return what was chosen for the data set in a folder; without a file, nothing.

    Raises:
        DatasetError: If the file is not valid.
    """
    try:
        return read_record(folder / CHOICES_FILE, Choices) or Choices()
    except ValueError as error:
        raise DatasetError(
            f"not valid: {error}. Write it as "
            '{"patterns": {"images": "*_sat.jpg", "masks": "*_mask.png"}, '
            '"bands": ["red", "green", "blue"]}, or delete it.',
            file=CHOICES_FILE,
        ) from error


def save_choices(folder: Path, choices: Choices) -> None:
    """Write `dataset.json`, atomically.

    Raises:
        RightsError: If whoever acts now may not change the data set.
        StorageError: If it cannot be written.
    """
    require_changeable(folder)
    record: dict[str, Any] = {}
    if choices.patterns is not None:
        named = choices.patterns
        record["patterns"] = {"images": named.images, "masks": named.masks}
        if named.heights is not None:
            record["patterns"]["heights"] = named.heights
    if choices.bands is not None:
        record["bands"] = list(choices.bands)
    files.write_json(folder / CHOICES_FILE, record)
