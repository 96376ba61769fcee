"""The check of all files of a data set, done once and remembered.

What was found is kept in the cache folder under a key made of the names, sizes and
times of change of all files, so that an unchanged folder opens at once.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.data.formats.grids import compare, lay_mask
from terrainlib.data.formats.heights import read_heights
from terrainlib.data.imagery import Grid, check_intact, read_grid
from terrainlib.data.layout import (
    CLASSES_FILE,
    Candidate,
    Layout,
    Note,
    Pair,
    Problem,
    Stamp,
)
from terrainlib.data.masks import find_classes, read_mask
from terrainlib.data.palette import KAGGLE_CLASSES, Classes, TerrainClass, load_classes
from terrainlib.data.parallel import ordered_map
from terrainlib.errors import DatasetError, ImageError, StorageError
from terrainlib.types import (
    Byte,
    Count,
    PathText,
    Progress,
    Sentence,
    Text,
    known_record,
)

MAX_MASK_PIXELS: Final = 1 << 22  # a larger mask is decoded again
MAX_STORE_MB: Final = 256  # held in memory until the scan is over
_LEVEL: Final = 1  # smooth masks shrink fiftyfold even so


class MaskCollector:
    """Packed masks of a scan, by the ids of their pairs, up to a total size."""

    def __init__(self) -> None:
        self.packed: dict[str, bytes] = {}
        self._bytes = 0

    def add(self, identifier: str, packed: bytes | None) -> None:
        """Keep a packed mask, if there is room."""
        if packed is None or self._bytes + len(packed) > MAX_STORE_MB * 1_000_000:
            return
        self.packed[identifier] = packed
        self._bytes += len(packed)


class MaskStore:
    """Masks kept by an earlier scan, for reading in a `with` block from any thread.

    Args:
        path: Where they were written; there need not be anything.
    """

    def __init__(self, path: Path) -> None:
        self._archive: zipfile.ZipFile | None = None
        with suppress(OSError, zipfile.BadZipFile):
            self._archive = zipfile.ZipFile(path)

    def read(self, identifier: str, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Return (H, W) class indices, None where they are not there or damaged."""
        if self._archive is None:
            return None
        try:
            data = zlib.decompress(self._archive.read(_member(identifier)))
            return np.frombuffer(data, np.uint8).reshape(size)
        except (KeyError, OSError, ValueError, zlib.error, zipfile.BadZipFile):
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._archive is not None:
            self._archive.close()


def pack(mask: NDArray[np.uint8]) -> bytes | None:
    """Return (H, W) class indices as compressed bytes, None where they are too many."""
    if mask.size > MAX_MASK_PIXELS:
        return None
    return zlib.compress(np.ascontiguousarray(mask).data, _LEVEL)


def write_masks(path: Path, packed: Mapping[str, bytes]) -> None:
    """Write packed masks, or nothing where the disk is full."""
    with (
        suppress(StorageError),
        files.atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for identifier, data in packed.items():
            archive.writestr(_member(identifier), data)


def _member(identifier: str) -> str:
    text = identifier.encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]


_T = TypeVar("_T")
_Size = tuple[int, int]

MAX_UNKNOWN_SHARE: Final = 0.01  # share of a mask's pixels in colours of no class
MAX_ASPECT: Final = 20  # longer side over shorter side


class _UnusableError(Exception):
    """A file that makes its pair unusable."""

    def __init__(self, stamp: Stamp, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(stamp.name, reason)


@dataclass(frozen=True, slots=True)
class CheckedPair:
    """A usable pair with its class mask, packed; None for a very large one."""

    pair: Pair
    packed_mask: bytes | None


def check_pair(
    folder: Path, candidate: Candidate, classes: Classes
) -> CheckedPair | Problem:
    """Return a usable pair, or the first problem that makes it unusable."""
    try:
        image = _guarded(folder, candidate.image, _intact_grid)
        _require_shape(candidate.image, (image.height, image.width))
        mask = _guarded(folder, candidate.mask, lambda path: read_mask(path, classes))
        index, notes = _guarded(
            folder, candidate.mask, lambda path: _laid(path, mask.index, image)
        )
        _require_few_unknown(candidate.mask, mask.unknown)
        heights = _fit_of_heights(folder, candidate, image)
    except _UnusableError as error:
        return error.problem
    counts = np.bincount(index.ravel(), minlength=256)[: len(classes)]
    laid: tuple[Literal["mask", "height"], ...] = ("mask",) if notes else ()
    pair = Pair(
        id=candidate.id,
        image=folder / candidate.image.name,
        mask=folder / candidate.mask.name,
        height=folder / candidate.height.name if candidate.height else None,
        size=(image.height, image.width),
        counts=tuple(int(count) for count in counts),
        laid=(*laid, "height") if heights.laid else laid,
        notes=(*(Note(candidate.mask.name, note) for note in notes), *heights.notes),
    )
    return CheckedPair(pair, pack(index))


class _FitOfHeights(NamedTuple):
    """Whether heights are laid onto their image's grid, and what is told of them."""

    laid: bool = False
    notes: tuple[Note, ...] = ()


def _fit_of_heights(folder: Path, candidate: Candidate, image: Grid) -> _FitOfHeights:
    """Read the heights of a pair as a training does."""
    stamp = candidate.height
    if stamp is None:
        return _FitOfHeights()
    own = _guarded(folder, stamp, read_heights)
    _guarded(folder, stamp, lambda path: compare(own.grid, image, path.name))
    fitted = own.on(image)
    notes = tuple(Note(stamp.name, note) for note in fitted.notes)
    return _FitOfHeights(fitted is not own, notes)


def _laid(
    path: Path, index: NDArray[np.uint8], image: Grid
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return a mask on its image's grid; its place is of no use if that has none."""
    placed = image.place is not None
    grid = read_grid(path) if placed else Grid(*index.shape)
    return lay_mask(index, grid, image, path.name)


def reading_problem(error: ImageError | OSError) -> str:
    """Return in a sentence why a file could not be read, without its name."""
    if isinstance(error, ImageError):
        return error.message
    return f"the file cannot be read ({error.strerror}). Copy it again."


def _guarded(folder: Path, stamp: Stamp, read: Callable[[Path], _T]) -> _T:
    """Read a file, turning what goes wrong into a problem of that file."""
    try:
        return read(folder / stamp.name)
    except (ImageError, OSError) as error:
        raise _UnusableError(stamp, reading_problem(error)) from error


def _intact_grid(path: Path) -> Grid:
    check_intact(path)
    return read_grid(path)


def _require_shape(stamp: Stamp, size: _Size) -> None:
    if max(size) > MAX_ASPECT * min(size):
        raise _UnusableError(
            stamp,
            f"the image is {_pixels(size)}, longer than {MAX_ASPECT} times its width. "
            "Cut it into pieces.",
        )


def _require_few_unknown(stamp: Stamp, unknown: float) -> None:
    if unknown > MAX_UNKNOWN_SHARE:
        raise _UnusableError(
            stamp,
            f"{unknown:.1%} of the pixels have a colour of no class; the limit is "
            f"{MAX_UNKNOWN_SHARE:.0%}. Correct the mask, or list its classes in "
            "classes.json.",
        )


def _pixels(size: _Size) -> str:
    height, width = size
    return f"{width} x {height} px"


ClassesSource = Literal["classes.json", "kaggle", "found"]

_VERSION: Final = 2  # of the check; a change of it makes what was remembered void


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
            tuple[Literal["mask", "height"], ...],
            tuple[tuple[PathText, Sentence], ...],
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
            [
                *(p.id, name(p.image), name(p.mask), name(p.height), p.size, p.counts),
                *(p.laid, [[note.file, note.note] for note in p.notes]),
            ]
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
                laid=laid,
                notes=tuple(Note(*note) for note in notes),
            )
            for identifier, image, mask, height, size, counts, laid, notes in form.pairs
        ),
        problems=tuple(Problem(*problem) for problem in form.problems),
    )


def _digest(text: str) -> str:
    """Return the SHA-256 of a text, also of one with undecodable file names."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
