"""The check of all files of a data set, done once and remembered.

What was found is kept in the cache folder under a key made of the names, sizes and
times of change of all files, so that an unchanged folder opens at once.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.data.classes.masks import (
    Mask,
    MaskMeaning,
    MaskValues,
    RawMask,
    as_mask,
    read_mask,
    read_raw_mask,
)
from terrainlib.data.classes.meaning import ClassesSource, Decision, decide
from terrainlib.data.formats.categories import Category, read_categories
from terrainlib.data.formats.grids import compare, lay_mask
from terrainlib.data.formats.heights import read_heights
from terrainlib.data.imagery import Grid, check_intact, read_grid
from terrainlib.data.layout import Candidate, Layout, Note, Pair, Problem, Stamp
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    NO_DATA,
    Classes,
    ClassList,
    TerrainClass,
    Value,
    load_class_list,
)
from terrainlib.data.parallel import ordered_map
from terrainlib.errors import DatasetError, ImageError, StorageError
from terrainlib.types import (
    Count,
    PathText,
    Progress,
    Sentence,
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
_KEPT_VALUES: Final = 1024  # of a mask, for the decision what they mean


class _UnusableError(Exception):
    """A file that makes its pair unusable."""

    def __init__(self, stamp: Stamp, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(stamp.name, reason)


@dataclass(frozen=True, slots=True)
class DecodedPair:
    """A pair whose files were read once, before the meaning of its mask is known.

    Attributes:
        candidate: Its files.
        size: (H, W) in px of the image; None where there is a problem.
        problem: The first that makes the pair unusable.
        values: The distinct values of its mask, where that can be read.
        packed: Where these values are, packed; None for a very large mask or one of
            many values, which is read again.
        categories: What a side file calls the mask's values.
        on_image: How mask and height lie on the image.
    """

    candidate: Candidate
    size: _Size | None
    problem: Problem | None
    values: MaskValues | None
    packed: bytes | None
    categories: Mapping[int, Category]
    on_image: "_OnImage"


class _OnImage(NamedTuple):
    """How mask and height lie on their image.

    Attributes:
        laid: Which of them lie on another grid.
        notes: What is to be known of them.
    """

    laid: tuple[Literal["mask", "height"], ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedPair:
    """A usable pair with its class mask, packed; None for a very large one.

    Attributes:
        pair: The pair.
        packed_mask: Its class mask.
        unknown: Share (0 to 1) of the mask's pixels whose value is no class.
    """

    pair: Pair
    packed_mask: bytes | None
    unknown: float


def decode_pair(folder: Path, candidate: Candidate) -> DecodedPair:
    """Read the files of a pair and find the first problem that makes it unusable."""
    raw: RawMask | None = None
    failure: _UnusableError | None = None
    size: _Size | None = None
    on_image = _OnImage()
    try:
        raw = _guarded(folder, candidate.mask, read_raw_mask)
    except _UnusableError as error:
        failure = error  # told after those of the image
    try:
        image = _guarded(folder, candidate.image, _intact_grid)
        size = (image.height, image.width)
        _require_shape(candidate.image, size)
        if failure is not None:
            raise failure
        if raw is not None:
            raw, mask = _lay_raw(folder, candidate.mask, raw, image)
            height = _fit_height(folder, candidate.height, image)
            on_image = _OnImage(mask.laid + height.laid, mask.notes + height.notes)
    except _UnusableError as error:
        size, failure = None, error
    few = raw is not None and raw.index.dtype == np.uint8
    return DecodedPair(
        candidate=candidate,
        size=size,
        problem=failure.problem if failure is not None else None,
        values=raw.values.most_common(_KEPT_VALUES) if raw is not None else None,
        packed=pack(raw.index) if raw is not None and size and few else None,
        categories=read_categories(folder / candidate.mask.name) if raw else {},
        on_image=on_image,
    )


def _lay_raw(
    folder: Path, stamp: Stamp, raw: RawMask, image: Grid
) -> tuple[RawMask, _OnImage]:
    """Return a mask on its image's grid; its place is of no use if that has none."""
    own = Grid(*raw.index.shape)
    if image.place is not None:
        own = _guarded(folder, stamp, read_grid)
    index, told = _guarded(
        folder, stamp, lambda path: lay_mask(raw.index, own, image, path.name, empty=0)
    )
    if not told:
        return raw, _OnImage()
    notes = tuple(Note(stamp.name, note) for note in told)
    return RawMask(raw.values, index), _OnImage(("mask",), notes)


def _fit_height(folder: Path, stamp: Stamp | None, image: Grid) -> _OnImage:
    """Read the heights of a pair as a training does."""
    if stamp is None:
        return _OnImage()
    own = _guarded(folder, stamp, read_heights)
    _guarded(folder, stamp, lambda path: compare(own.grid, image, path.name))
    heights = own.on(image)
    notes = tuple(Note(stamp.name, note) for note in heights.notes)
    return _OnImage(() if heights is own else ("height",), notes)


def settle_pair(
    folder: Path, decoded: DecodedPair, meaning: MaskMeaning
) -> CheckedPair | Problem:
    """Return a usable pair, as its mask is meant, or what makes it unusable."""
    candidate, size = decoded.candidate, decoded.size
    if size is None or decoded.values is None:
        return decoded.problem or Problem(candidate.mask.name, "cannot be read.")
    try:
        if decoded.packed is None:
            mask = _read_again(folder, decoded, meaning)
        else:
            flat = np.frombuffer(zlib.decompress(decoded.packed), np.uint8)
            mask = as_mask(RawMask(decoded.values, flat.reshape(size)), meaning)
        _require_few_unknown(candidate.mask, mask)
        counts = np.bincount(mask.index.ravel(), minlength=NO_DATA + 1)
        _require_labels(candidate.mask, int(counts[:NO_DATA].sum()))
    except _UnusableError as error:
        return error.problem
    pair = Pair(
        id=candidate.id,
        image=folder / candidate.image.name,
        mask=folder / candidate.mask.name,
        height=folder / candidate.height.name if candidate.height else None,
        size=size,
        counts=tuple(counts[: len(meaning.colors)].tolist()),
        laid=decoded.on_image.laid,
        notes=decoded.on_image.notes,
    )
    return CheckedPair(pair, pack(mask.index), mask.unknown)


def _read_again(folder: Path, decoded: DecodedPair, meaning: MaskMeaning) -> Mask:
    """Return a mask that was not kept, on its image's grid."""
    stamp = decoded.candidate.mask
    mask = _guarded(folder, stamp, lambda path: read_mask(path, meaning))
    if "mask" not in decoded.on_image.laid:
        return mask
    image = _guarded(folder, decoded.candidate.image, read_grid)
    own = _guarded(folder, stamp, read_grid)
    index, _ = lay_mask(mask.index, own, image, stamp.name)
    return replace(mask, index=index)


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


def _require_few_unknown(stamp: Stamp, mask: Mask) -> None:
    if mask.unknown <= MAX_UNKNOWN_SHARE:
        return
    if isinstance(mask.strange, int):
        raise _UnusableError(
            stamp,
            f"{mask.unknown:.1%} of the pixels hold a value of no class, most often "
            f"{mask.strange}; the limit is {MAX_UNKNOWN_SHARE:.0%}. Correct the mask, "
            f'or list in classes.json a class with "value": {mask.strange}.',
        )
    raise _UnusableError(
        stamp,
        f"{mask.unknown:.1%} of the pixels have a colour of no class; the limit is "
        f"{MAX_UNKNOWN_SHARE:.0%}. Correct the mask, or list its classes in "
        "classes.json.",
    )


def _require_labels(stamp: Stamp, labelled: int) -> None:
    if not labelled:
        raise _UnusableError(
            stamp,
            "no labelled pixel: all of the mask is no data or no class. Label it, or "
            "remove the pair.",
        )


def _pixels(size: _Size) -> str:
    height, width = size
    return f"{width} x {height} px"


_VERSION: Final = 6  # of the check; a change of it makes what was remembered void


@dataclass(frozen=True, slots=True)
class Scan:
    """What the check found.

    Attributes:
        classes: Classes of the masks.
        source: Where the classes come from.
        meaning: What the values of the masks mean.
        notes: What people should know of that, one sentence each.
        unlisted: Values of the masks that stand for nothing.
        pairs: Usable pairs, sorted by id.
        problems: Files that are not used, sorted by name.
    """

    classes: Classes
    source: ClassesSource
    meaning: MaskMeaning
    notes: tuple[str, ...]
    unlisted: tuple[Value, ...]
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Form:
    """What is remembered of a check; files are named within the folder.

    Attributes:
        classes: Name and colour of each.
        source: Where they come from.
        meaning: What the values of the masks mean.
        notes: What people should know of that.
        unlisted: Values of the masks that stand for nothing.
        pairs: The fields of each `Pair`, in their order.
        problems: File and sentence of each.
    """

    classes: tuple[TerrainClass, ...]
    source: ClassesSource
    meaning: MaskMeaning
    notes: tuple[Sentence, ...]
    unlisted: tuple[Value, ...]
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
        meaning=remembered.meaning,
        notes=remembered.notes,
        unlisted=remembered.unlisted,
        pairs=remembered.pairs,
        problems=tuple(sorted(problems, key=lambda one: files.natural_key(one.file))),
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
    listed = None
    if layout.classes_file is not None:
        listed = load_class_list(folder / layout.classes_file)
    decode = partial(decode_pair, folder)
    decoded: list[DecodedPair] = []
    held = 0
    for pair in ordered_map(decode, layout.candidates, progress=progress):
        held += len(pair.packed or b"")
        full = held > MAX_STORE_MB * 1_000_000
        decoded.append(replace(pair, packed=None) if full else pair)
    decision = _decide(folder, decoded, listed)
    meaning = decision.meaning
    pairs: list[Pair] = []
    problems: list[Problem] = []
    unknown: list[float] = []
    settle = partial(settle_pair, folder, meaning=meaning)
    for result in ordered_map(settle, decoded):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            pairs.append(result.pair)
            masks.add(result.pair.id, result.packed_mask)
            unknown.append(result.unknown)
    return Scan(
        decision.listed.classes,
        decision.source,
        meaning,
        (*decision.notes, *_unknown_note(unknown, meaning)),
        decision.unlisted,
        tuple(pairs),
        tuple(problems),
    )


def _decide(
    folder: Path, decoded: Sequence[DecodedPair], listed: ClassList | None
) -> Decision:
    found = [pair.values for pair in decoded if pair.values is not None]
    named: dict[int, Category] = {}
    for pair in decoded:
        named = {**pair.categories, **named}
    if not found and listed is None:  # each mask becomes a problem
        listed = ClassList(KAGGLE_CLASSES, ((),) * len(KAGGLE_CLASSES))
        return replace(decide((), listed), source="kaggle")
    try:
        return decide(found, listed, named)
    except DatasetError as error:
        raise DatasetError(error.message, file=folder.name) from error


def _unknown_note(unknown: Sequence[float], meaning: MaskMeaning) -> tuple[str, ...]:
    shares = [share for share in unknown if share]
    if not shares:
        return ()
    masks = "1 mask holds" if len(shares) == 1 else f"{len(shares):,} masks hold"
    colors = meaning.kind == "colors"
    what = "colours" if colors else "values"
    taken = "they count as the nearest class" if colors else "they count as no data"
    return (
        f"{masks} {what} of no class, in at most {max(shares):.2%} of its pixels; "
        f"{taken}.",
    )


def _to_json(folder: Path, found: Scan) -> dict[str, Any]:
    """Return the JSON form of a check; files are named within the folder."""

    def name(path: Path | None) -> str | None:
        return path.relative_to(folder).as_posix() if path else None

    return {
        "classes": [asdict(entry) for entry in found.classes],
        "source": found.source,
        "meaning": asdict(found.meaning),
        "notes": found.notes,
        "unlisted": found.unlisted,
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
        classes=form.classes,
        source=form.source,
        meaning=form.meaning,
        notes=form.notes,
        unlisted=form.unlisted,
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
