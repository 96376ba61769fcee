"""Which patches of a data set share ground, seen from their pixels or their places.

Patches cut at random from one map overlap, and a split that puts one of two such
patches into training and the other into validation scores what was learnt by heart.
`find_overlaps` matches features between all patches, checks every proposed overlap by
its pixels (and heights, where there are any), and follows chains of overlaps to those
too small to be seen by themselves. It reads no masks. Where a `patches.csv` says where
every patch lies, that is used in place of the search.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from terrainlib import files
from terrainlib.data.dataset import Dataset
from terrainlib.data.labels.places import read_places, shared_ground
from terrainlib.data.overlap.geometry import Size, common_polygon, inverted
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.errors import StorageError
from terrainlib.types import PathText, Progress, Text, known_record

_VERSION: Final = 1  # of the search; a change of it makes what was found void
_FOLDER: Final = "overlaps"
READY_MADE: Final = SAMPLE_DIR.with_name("sample-overlaps.json")
_Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Row = tuple[_Number, _Number, _Number]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two patches that share ground.

    Attributes:
        first: Id of the one patch.
        second: Id of the other, later in the order of ids.
        share: Intersection over the larger patch, 0 to 1, estimated.
        matrix: Two rows of three numbers: they map (x, y, 1), in px of the original
            image from its top left corner, from the first patch to the second.
    """

    first: str
    second: str
    share: float
    matrix: tuple[_Row, _Row]

    def outline(self, first: Size, second: Size) -> NDArray[np.float64]:
        """Return the shared ground as a polygon in the first patch.

        Args:
            first: (W, H) of the first patch in px.
            second: (W, H) of the second.

        Returns:
            Corners (x, y) in px from the top left corner, (N, 2).
        """
        return common_polygon(first, second, np.array(self.matrix))

    def reversed(self) -> Self:
        """Return the same overlap seen from the second patch."""
        back = inverted(np.array(self.matrix))
        return type(self)(self.second, self.first, self.share, _rows(back))


@dataclass(frozen=True, slots=True)
class Overlaps:
    """All shared ground of a data set.

    Attributes:
        pairs: Patches that share ground, sorted by ids.
        possible: Patches that touch or may share a sliver of ground, which the pixels
            cannot prove; where their places are known, those nearer than half a patch.
            A careful split keeps them apart too.
        exact: Whether the places of the patches are known.
    """

    pairs: tuple[Overlap, ...]
    possible: tuple[Overlap, ...] = ()
    exact: bool = False

    def neighbours(self, *, careful: bool = False) -> dict[str, frozenset[str]]:
        """Return the ids that each patch shares ground with; none, no entry.

        Args:
            careful: Count what is only possible too.
        """
        near: dict[str, set[str]] = {}
        for pair in self.pairs + (self.possible if careful else ()):
            near.setdefault(pair.first, set()).add(pair.second)
            near.setdefault(pair.second, set()).add(pair.first)
        return {name: frozenset(near[name]) for name in sorted(near)}

    def of(self, identifier: str) -> tuple[Overlap, ...]:
        """Return the overlaps of one patch, it being the first, largest share first."""
        seen = [pair for pair in self.pairs if pair.first == identifier]
        seen += [p.reversed() for p in self.pairs if p.second == identifier]
        return tuple(sorted(seen, key=lambda pair: (-pair.share, pair.second)))

    def leak(self, train: Iterable[str], validation: Iterable[str]) -> float:
        """Return the share of validation patches that share ground with a training one.

        0 where nothing validates.
        """
        near, trained = self.neighbours(), set(train)
        judged = list(validation)
        leaky = sum(1 for name in judged if near.get(name, frozenset()) & trained)
        return leaky / len(judged) if judged else 0.0


MAX_UNASKED_GB: Final = 2.0  # of memory: a training starts no search that takes more
_SECONDS_A_PATCH: Final = 0.18  # on two cores
_BYTES_A_FEATURE: Final = 1_000  # with its place in the index; measured
_BYTES_A_PICTURE: Final = 18_000  # and four times more of heights


@dataclass(frozen=True, slots=True)
class SearchCost:
    """About what a search takes.

    Attributes:
        seconds: On two cores.
        memory_gb: At its peak.
    """

    seconds: float
    memory_gb: float

    @property
    def text(self) -> str:
        """In words: `about 3 min on two cores, with 0.5 GB of memory`."""
        minutes = round(self.seconds / 60)
        time = f"{max(1, round(self.seconds))} s"
        if self.seconds >= 50:
            time = f"{minutes} min" if minutes < 120 else f"{self.seconds / 3600:.1f} h"
        return f"about {time} on two cores, with {self.memory_gb:.1f} GB of memory"


def search_cost(dataset: Dataset) -> SearchCost:
    """Return about what looking for shared ground takes, before it begins.

    Both grow with the number of patches: of many patches few features each are kept,
    but never fewer than those that prove an overlap.
    """
    from terrainlib.data.overlap.features import features_a_patch

    count = len(dataset.pairs)
    kept = features_a_patch(count) * _BYTES_A_FEATURE
    kept += _BYTES_A_PICTURE * (5 if dataset.has_heights else 1)
    return SearchCost(_SECONDS_A_PATCH * count, count * kept / 1e9)


_Estimate = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
_Stored = tuple[PathText, PathText, _Estimate, tuple[_Row, _Row]]


@dataclass(frozen=True, slots=True)
class _Form:
    """What is remembered of a search.

    Attributes:
        pairs: The fields of each overlap that is sure, in their order.
        possible: Those of each that is not.
        files: Which files were searched, where it comes with the program.
    """

    pairs: tuple[_Stored, ...]
    possible: tuple[_Stored, ...]
    files: Text = ""


def find_overlaps(
    dataset: Dataset,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Overlaps:
    """Find the patches that share ground; an unchanged data set is searched once.

    Where the places of all its patches are known nothing is searched.

    Args:
        dataset: The data set, or a part of one.
        progress: Called with steps done and their number; not called where an earlier
            search is remembered.
        should_stop: Asked between steps; nothing is kept of a search that was stopped.

    Raises:
        StoppedError: If `should_stop` said so.
    """
    known = known_overlaps(dataset)
    if known is not None:
        return known
    memory = files.cache_dir() / _FOLDER / f"{search_key(dataset)}.json"
    overlaps = _search(dataset, progress, should_stop)
    with suppress(StorageError):  # a full disk costs the next search time only
        files.write_json(memory, _to_json(overlaps))
    return overlaps


def known_overlaps(dataset: Dataset) -> Overlaps | None:
    """Return what is known without a search, or None where nothing is.

    That is what an earlier one found, what the places of the patches say, or what comes
    with the embedded sample.
    """
    placed = _placed(dataset)
    if placed is not None:
        return placed
    memory: Path = files.cache_dir() / _FOLDER / f"{search_key(dataset)}.json"
    return _remembered(memory, dataset) or _ready_made(dataset)


def _ready_made(dataset: Dataset) -> Overlaps | None:
    """Return what comes with the embedded sample; None of any other data set."""
    if dataset.folder != SAMPLE_DIR:
        return None
    with suppress(OSError):  # a file of it is gone
        return _remembered(READY_MADE, dataset, files_hash=_contents(dataset))
    return None


def write_ready_made(dataset: Dataset) -> None:
    """Write what is found on the embedded sample where every installation has it.

    Raises:
        StorageError: If it cannot be written.
    """
    found = {"files": _contents(dataset), **_to_json(find_overlaps(dataset))}
    files.write_bytes(READY_MADE, json.dumps(found, separators=(",", ":")).encode())


def _contents(dataset: Dataset) -> str:
    """Return a hash of the search and of the names and sizes of all that it reads.

    Unlike a fingerprint it is the same for every copy, whatever the time of change.
    """
    paths = [path for pair in dataset.pairs for path in (pair.image, pair.height)]
    named = [f"{path.name} {path.stat().st_size}" for path in paths if path]
    text = "\n".join([str(_VERSION), str(dataset.bands.keys), *dataset.ids, *named])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _placed(dataset: Dataset) -> Overlaps | None:
    """Return the overlaps by the places of the patches; None where one has none."""
    table = read_places(dataset.folder)
    if table is None or not set(dataset.ids) <= set(table):
        return None
    places = [table[name] for name in dataset.ids]
    sizes = [(place.height, place.width) for place in places]
    if sizes != [pair.size for pair in dataset.pairs]:
        return None
    sure: list[Overlap] = []
    near: list[Overlap] = []
    for found in shared_ground(places):
        names = places[found.first].id, places[found.second].id
        overlap = Overlap(*names, round(found.share, 4), _rows(found.matrix))
        (sure if found.share > 0 else near).append(overlap)
    return Overlaps(tuple(sorted(sure, key=_ids)), tuple(sorted(near, key=_ids)), True)


def _ids(overlap: Overlap) -> tuple[str, str]:
    return overlap.first, overlap.second


def _search(
    dataset: Dataset,
    progress: Progress | None,
    should_stop: Callable[[], bool] | None,
) -> Overlaps:
    if len(dataset.pairs) < 2:
        return Overlaps(())
    from terrainlib.data.overlap.search import search  # not needed where remembered

    sure: list[Overlap] = []
    possible: list[Overlap] = []
    for found in search(dataset, progress, should_stop):
        overlap = Overlap(
            dataset.pairs[found.first].id,
            dataset.pairs[found.second].id,
            round(found.share, 4),
            _rows(found.matrix),
        )
        (sure if found.sure else possible).append(overlap)
    return Overlaps(tuple(sure), tuple(possible))


def _rows(matrix: NDArray[np.float64]) -> tuple[_Row, _Row]:
    """Return a 2 x 3 array as rounded plain numbers."""
    one, two = ([round(float(value), 6) for value in row] for row in matrix)
    return (one[0], one[1], one[2]), (two[0], two[1], two[2])


def _to_json(overlaps: Overlaps) -> dict[str, Any]:
    parts = {"pairs": overlaps.pairs, "possible": overlaps.possible}
    return {
        name: [[one.first, one.second, one.share, one.matrix] for one in part]
        for name, part in parts.items()
    }


def _remembered(
    memory: Path, dataset: Dataset, *, files_hash: str = ""
) -> Overlaps | None:
    """Return what was found before, or None where nothing of this data set was."""
    form = known_record(memory, _Form, limit_bytes=files.MAX_JSON_BYTES)
    if form is None or form.files != files_hash:
        return None
    found = Overlaps(
        tuple(Overlap(*one) for one in form.pairs),
        tuple(Overlap(*one) for one in form.possible),
    )
    ids = set(dataset.ids)
    every = found.pairs + found.possible
    known = all({one.first, one.second} <= ids and _can_turn(one) for one in every)
    return found if known else None


def _can_turn(one: Overlap) -> bool:
    (a, b, _), (c, d, _) = one.matrix
    return abs(a * d - b * c) > 1e-9


def search_key(dataset: Dataset) -> str:
    """Return a name, 32 hexadecimal digits, of all that a search depends on."""
    facts = [str(_VERSION), str(dataset.folder), dataset.fingerprint, *dataset.ids]
    if (used := dataset.band_set) is not None:
        facts.append(str(used.to_dict()))
    text = "\n".join(facts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]
