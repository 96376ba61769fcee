"""The check of all files of a data set, done once and remembered.

What was found is kept in the cache folder under a key made of the names, sizes and
times of change of all files, so that an unchanged folder opens at once.
"""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from terrainlib import files
from terrainlib.data._check import CheckedPair, check_pair
from terrainlib.data._layout import CLASSES_FILE
from terrainlib.data._maskstore import MaskCollector, MaskStore, write_masks
from terrainlib.data._parallel import ordered_map
from terrainlib.data._records import Candidate, Layout, Pair, Problem, Stamp
from terrainlib.data.imagery import check_intact
from terrainlib.data.masks import find_classes
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    Classes,
    TerrainClass,
    load_classes,
)
from terrainlib.errors import DatasetError, ImageError, StorageError
from terrainlib.types import Byte, Count, PathText, Sentence, Text, known_record

ClassesSource = Literal["classes.json", "kaggle", "found"]
Progress = Callable[[int, int], None]

_VERSION: Final = 1  # of the check; a change of it makes what was remembered void


@dataclass(frozen=True, slots=True)
class Scan:
    """What the check found.

    Attributes:
        classes: Classes of the masks.
        source: Where the classes come from.
        pairs: Usable pairs, sorted by id.
        problems: Files that are not used, sorted by name.
    """

    classes: Classes
    source: ClassesSource
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Form:
    """What is remembered of a check; files are named within the folder.

    Attributes:
        classes: Name and colour of each.
        source: Where they come from.
        pairs: The fields of each `Pair`, in their order.
        problems: File and sentence of each.
    """

    classes: tuple[tuple[Text, tuple[Byte, Byte, Byte]], ...]
    source: ClassesSource
    pairs: tuple[
        tuple[
            PathText,
            PathText,
            PathText,
            PathText | None,
            tuple[Count, Count],
            tuple[Count, ...],
        ],
        ...,
    ]
    problems: tuple[tuple[PathText, Sentence], ...]


def fingerprint(stamps: Iterable[Stamp]) -> str:
    """Return 16 hexadecimal digits from all names, sizes and times of change."""
    lines = sorted(f"{s.name}\n{s.size}\n{s.changed}\n" for s in stamps)
    return _digest("".join(lines))[:16]


def scan(folder: Path, layout: Layout, progress: Progress | None) -> Scan:
    """Check all pairs of a layout, or return what an earlier check found.

    Raises:
        DatasetError: If `classes.json` is not valid, or no classes can be found.
    """
    memory = _memory(folder, fingerprint(layout.stamps)).with_suffix(".json")
    limit = files.MAX_JSON_BYTES
    remembered = _from_form(folder, known_record(memory, _Form, limit_bytes=limit))
    if remembered is None:
        masks = MaskCollector()
        remembered = _check(folder, layout, masks, progress)
        write_masks(memory.with_suffix(".masks"), masks.packed)
        with suppress(StorageError):  # a full disk costs the next opening time only
            files.write_json(memory, _to_json(folder, remembered))
    problems = [*layout.problems, *remembered.problems]
    return Scan(
        classes=remembered.classes,
        source=remembered.source,
        pairs=remembered.pairs,
        problems=tuple(sorted(problems, key=lambda problem: problem.file)),
    )


def kept_masks(folder: Path, stamps_fingerprint: str) -> MaskStore:
    """Return the masks that the scan of a folder in this state has decoded."""
    return MaskStore(_memory(folder, stamps_fingerprint).with_suffix(".masks"))


def _memory(folder: Path, stamps_fingerprint: str) -> Path:
    """Return where a scan is remembered, without the suffix."""
    name = _digest(f"{folder}\n{stamps_fingerprint}\n{_VERSION}")[:32]
    return files.cache_dir() / "scans" / name


def _check(
    folder: Path, layout: Layout, masks: MaskCollector, progress: Progress | None
) -> Scan:
    """Check all pairs in threads, collecting their masks."""
    classes, source = _classes(folder, layout)

    pairs: list[Pair] = []
    problems: list[Problem] = []

    def check(candidate: Candidate) -> CheckedPair | Problem:
        return check_pair(folder, candidate, classes)

    for found in ordered_map(check, layout.candidates, progress=progress):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            pairs.append(found.pair)
            masks.add(found.pair.id, found.packed_mask)
    return Scan(classes, source, tuple(pairs), tuple(problems))


def _classes(folder: Path, layout: Layout) -> tuple[Classes, ClassesSource]:
    """Return the classes: those listed, Kaggle's, or the colours found."""
    if any(stamp.name == CLASSES_FILE for stamp in layout.stamps):
        return load_classes(folder / CLASSES_FILE), "classes.json"
    paths = [folder / candidate.mask.name for candidate in layout.candidates]
    try:
        return find_classes(paths)
    except DatasetError as error:
        if any(_is_intact(path) for path in paths):
            raise DatasetError(error.message, file=folder.name) from error
    return KAGGLE_CLASSES, "kaggle"  # no mask is readable; each becomes a problem


def _is_intact(path: Path) -> bool:
    try:
        check_intact(path)
    except (ImageError, OSError):
        return False
    return True


def _to_json(folder: Path, found: Scan) -> dict[str, Any]:
    """Return the JSON form of a check; files are named within the folder."""

    def name(path: Path | None) -> str | None:
        return path.relative_to(folder).as_posix() if path else None

    return {
        "classes": [[entry.name, list(entry.color)] for entry in found.classes],
        "source": found.source,
        "pairs": [
            [p.id, name(p.image), name(p.mask), name(p.height), p.size, p.counts]
            for p in found.pairs
        ],
        "problems": [[problem.file, problem.problem] for problem in found.problems],
    }


def _from_form(folder: Path, form: _Form | None) -> Scan | None:
    """Return the check of a JSON form, or None where there is none."""
    if form is None:
        return None
    return Scan(
        classes=tuple(TerrainClass(*entry) for entry in form.classes),
        source=form.source,
        pairs=tuple(
            Pair(
                id=identifier,
                image=folder / image,
                mask=folder / mask,
                height=folder / height if height else None,
                size=size,
                counts=counts,
            )
            for identifier, image, mask, height, size, counts in form.pairs
        ),
        problems=tuple(Problem(*problem) for problem in form.problems),
    )


def _digest(text: str) -> str:
    """Return the SHA-256 of a text, also of one with undecodable file names."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
