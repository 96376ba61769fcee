"""The check of all files of a data set, done once and remembered.

What was found is kept in the cache folder under a key made of the names, sizes and
times of change of all files, so that an unchanged folder opens at once.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.data.check import DecodedPair, decode_pair, settle_pair, unpack_mask
from terrainlib.data.classes.masks import MaskMeaning
from terrainlib.data.classes.meaning import ClassesSource, Decision, decide, with_titles
from terrainlib.data.formats.bands import FileBands
from terrainlib.data.formats.categories import Category
from terrainlib.data.layout import Layout, Note, Pair, Problem, Stamp
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    Classes,
    ClassList,
    TerrainClass,
    Value,
    load_class_list,
    load_titles,
)
from terrainlib.data.parallel import ordered_map
from terrainlib.errors import DatasetError, StorageError
from terrainlib.types import (
    Count,
    PathText,
    Progress,
    Sentence,
    known_record,
)

MAX_STORE_MB: Final = 256  # held in memory until the scan is over


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
            return unpack_mask(self._archive.read(_member(identifier)), size)
        except (LookupError, OSError, ValueError, zlib.error, zipfile.BadZipFile):
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


_VERSION: Final = 8  # of the check; a change of it makes what was remembered void


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
        files: What the image of each has.
        problems: Files that are not used, sorted by name.
    """

    classes: Classes
    source: ClassesSource
    meaning: MaskMeaning
    notes: tuple[str, ...]
    unlisted: tuple[Value, ...]
    pairs: tuple[Pair, ...]
    files: tuple[FileBands, ...]
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
        kinds: What images have.
        pairs: The fields of each `Pair`, in their order, and which of these it is.
        problems: File and sentence of each.
    """

    classes: tuple[TerrainClass, ...]
    source: ClassesSource
    meaning: MaskMeaning
    notes: tuple[Sentence, ...]
    unlisted: tuple[Value, ...]
    kinds: tuple[FileBands, ...]
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
            Count,
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
    problems.sort(key=lambda one: files.natural_key(one.file))
    return replace(remembered, problems=tuple(problems))


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
    listed, titles = None, {}
    if layout.classes_file is not None:
        titles = load_titles(folder / layout.classes_file)
        listed = None if titles else load_class_list(folder / layout.classes_file)
    decode = partial(decode_pair, folder)
    decoded: list[DecodedPair] = []
    held = 0
    for pair in ordered_map(decode, layout.candidates, progress=progress):
        held += len(pair.packed or b"")
        full = held > MAX_STORE_MB * 1_000_000
        decoded.append(replace(pair, packed=None) if full else pair)
    decision = with_titles(_decide(folder, decoded, listed), titles)
    meaning = decision.meaning
    pairs: list[Pair] = []
    bands: list[FileBands] = []
    problems: list[Problem] = []
    unknown: list[float] = []
    settle = partial(settle_pair, folder, meaning=meaning)
    for result in ordered_map(settle, decoded):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            pairs.append(result.pair)
            bands.append(result.bands)
            masks.add(result.pair.id, result.packed_mask)
            unknown.append(result.unknown)
    return Scan(
        decision.listed.classes,
        decision.source,
        meaning,
        (*decision.notes, *_unknown_note(unknown, meaning)),
        decision.unlisted,
        tuple(pairs),
        tuple(bands),
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
    start = len(folder.as_posix().rstrip("/")) + 1
    kinds = {kind: number for number, kind in enumerate(dict.fromkeys(found.files))}

    def name(path: Path | None) -> str | None:
        return path.as_posix()[start:] if path else None

    return {
        "classes": [asdict(entry) for entry in found.classes],
        "source": found.source,
        "meaning": asdict(found.meaning),
        "notes": found.notes,
        "unlisted": found.unlisted,
        "kinds": [asdict(kind) for kind in kinds],
        "pairs": [
            [
                *(p.id, name(p.image), name(p.mask), name(p.height), p.size, p.counts),
                *(p.laid, [[note.file, note.note] for note in p.notes], kinds[bands]),
            ]
            for p, bands in zip(found.pairs, found.files, strict=True)
        ],
        "problems": [[problem.file, problem.problem] for problem in found.problems],
    }


def _from_form(folder: Path, form: _Form | None) -> Scan | None:
    """Return the check of a JSON form, or None where there is none."""
    if form is None or any(entry[-1] >= len(form.kinds) for entry in form.pairs):
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
            for identifier, image, mask, height, size, counts, laid, notes, _ in (
                form.pairs
            )
        ),
        files=tuple(form.kinds[entry[-1]] for entry in form.pairs),
        problems=tuple(Problem(*problem) for problem in form.problems),
    )


def _digest(text: str) -> str:
    """Return the SHA-256 of a text, also of one with undecodable file names."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
