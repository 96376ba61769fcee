"""The search for shared ground: features propose, pixels and chains decide."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.dataset import Dataset
from terrainlib.data.overlap.features import Picture, read_patches
from terrainlib.data.overlap.geometry import (
    Matrix,
    Size,
    corners,
    depth,
    inverted,
    shared_part,
)
from terrainlib.data.overlap.matching import (
    Agreement,
    Candidate,
    agreement,
    find_candidates,
    settled,
)
from terrainlib.errors import StoppedError
from terrainlib.types import Progress, ShouldStop

REACH: Final = 0.6  # of a patch: gap up to which a chain through it is followed
WEAKENING: Final = 0.5  # trust in a link that pixels cannot check, of that in its chain


@dataclass(frozen=True, slots=True)
class Link:
    """One patch's place in the frame of another.

    Attributes:
        matrix: From (x, y, 1) in the first to the second, in original px.
        trust: How well the map is known: the smallest shared part along its chain.
    """

    matrix: Matrix
    trust: float


@dataclass(slots=True)
class Links:
    """All known places of patches in the frames of others.

    Attributes:
        sizes: (W, H) of each patch.
        known: For each patch, its links by the other's index; both ways.
    """

    sizes: list[Size]
    known: list[dict[int, Link]] = field(init=False)

    def __post_init__(self) -> None:
        self.known = [{} for _ in self.sizes]

    def add(self, first: int, second: int, link: Link) -> None:
        """Add a link, both ways."""
        self.known[first][second] = link
        self.known[second][first] = Link(inverted(link.matrix), link.trust)


def follow(
    links: Links, tested: set[tuple[int, int]]
) -> Iterator[tuple[int, int, Link]]:
    """Yield (first, second, link) of patches that chains of two links bring near.

    Each pair comes once, by its most trusted chain; pairs in `tested` are left out, and
    those that are farther apart than `REACH`.
    """
    tables = [_table(known) for known in links.known]
    for first, known in enumerate(links.known):
        parts = [_extended(link, *tables[middle]) for middle, link in known.items()]
        if not parts:
            continue
        ends = np.concatenate([part[0] for part in parts])
        matrices = np.concatenate([part[1] for part in parts])
        trust = np.concatenate([part[2] for part in parts])
        order = np.lexsort((-trust, ends))
        ends, matrices, trust = ends[order], matrices[order], trust[order]
        _, best = np.unique(ends, return_index=True)
        for row in best[_near(links, first, ends[best], matrices[best])]:
            second = int(ends[row])
            if second > first and second not in known and (first, second) not in tested:
                yield first, second, Link(matrices[row], float(trust[row]))


def _table(
    known: dict[int, Link],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return ends (N,), matrices (N, 2, 3) and trust (N,) of a patch's links."""
    matrices = np.array([link.matrix for link in known.values()], np.float64)
    return (
        np.array(list(known), np.int64),
        matrices.reshape(-1, 2, 3),
        np.array([link.trust for link in known.values()], np.float64),
    )


def _extended(
    link: Link,
    ends: NDArray[np.int64],
    matrices: NDArray[np.float64],
    trust: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the table of the far patch's links, seen through a link to it."""
    through = matrices[:, :, :2] @ link.matrix
    through[:, :, 2] += matrices[:, :, 2]
    return ends, through, np.minimum(trust, link.trust)


def _near(
    links: Links,
    first: int,
    ends: NDArray[np.int64],
    matrices: NDArray[np.float64],
) -> NDArray[np.bool_]:
    back = np.linalg.inv(matrices[:, :, :2])
    others = np.array([corners(links.sizes[end]) for end in ends])
    placed = (others - matrices[:, None, :, 2]) @ back.transpose(0, 2, 1)
    size = np.array(links.sizes[first], np.float64)
    low, high = placed.min(axis=1), placed.max(axis=1)
    reach = REACH * size
    return np.asarray(((low < size + reach) & (high > -reach)).all(axis=1))


ROUNDS: Final = 3  # of following chains
SURE_VOTES: Final = 10  # agreeing features that need the pixels' word no more
ALIKE: Final = 0.6  # correlation of fine detail; other ground stays below 0.3
ALIKE_IN_SMALL_AREAS: Final = 0.75
SMALL_AREA: Final = 150  # px compared
UNLIKE: Final = 0.3
MAX_SHIFT_PX: Final = 4.0  # that pixels may add to a chain, at the size compared
MARGIN_PX: Final = 2.0  # gap that is not trusted to be one, at that size
DEPTH_PX: Final = 3.0  # by which a chain's patches lie over each other, at that size


@dataclass(frozen=True, slots=True)
class Found:
    """Shared ground of two patches, by index.

    Attributes:
        first: The one patch.
        second: The other, larger index.
        matrix: From (x, y, 1) in the first to the second, in original px.
        share: Intersection over the larger patch, 0 to 1.
        sure: False where they may share ground but nothing proves it.
    """

    first: int
    second: int
    matrix: Matrix
    share: float
    sure: bool


def search(
    dataset: Dataset, progress: Progress | None, should_stop: ShouldStop | None
) -> list[Found]:
    """Return all shared ground of a data set, sorted.

    Raises:
        StoppedError: If `should_stop` said so.
    """
    report = _Phases(progress)
    pictures, features = read_patches(dataset, report.phase(0.5), should_stop)
    candidates, _ = find_candidates(
        features, len(pictures), report.phase(0.9), should_stop
    )
    del features
    finder = _Finder(pictures)
    for candidate in candidates:
        finder.judge(candidate)
    for _ in range(ROUNDS):
        if not finder.chain(should_stop):
            break
    report.phase(1.0)(1, 1)
    return sorted(finder.found.values(), key=lambda one: (one.first, one.second))


class _Finder:
    """What is found, and the known places of patches in each other's frames."""

    def __init__(self, pictures: list[Picture | None]) -> None:
        self.found: dict[tuple[int, int], Found] = {}
        self._pictures = pictures
        self._sizes = [one.size if one else (1, 1) for one in pictures]
        self._links = Links(self._sizes)
        self._tested: set[tuple[int, int]] = set()

    def judge(self, candidate: Candidate) -> None:
        """Decide on a pair that features propose."""
        first, second = candidate.first, candidate.second
        matrix, votes = candidate.fit.matrix, candidate.fit.votes
        seen = self._compare(first, second, matrix)
        share = shared_part(self._sizes[first], self._sizes[second], matrix)
        silent = seen.grey is None and seen.height is None
        many = votes >= SURE_VOTES and (seen.grey is None or seen.grey > UNLIKE)
        if share > 0 and (many or _is_proof(seen)):
            self._keep(Found(first, second, matrix, share, sure=True))
            self._links.add(first, second, Link(matrix, share))
        elif share > 0 and silent:
            self._keep(Found(first, second, matrix, share, sure=False))

    def chain(self, should_stop: ShouldStop | None) -> bool:
        """Follow the chains once; return whether anything new was learnt."""
        news = list(follow(self._links, self._tested))
        for number, (first, second, link) in enumerate(news):
            if number % 200 == 0 and should_stop is not None and should_stop():
                raise StoppedError(
                    "stopped while shared ground was looked for, as asked."
                )
            self._tested.add((first, second))
            self._judge_chain(first, second, link)
        return bool(news)

    def _judge_chain(self, first: int, second: int, link: Link) -> None:
        size, other = self._sizes[first], self._sizes[second]
        px = 1 / self._factor(first)
        deep = depth(size, other, link.matrix) / px
        weak = Link(link.matrix, link.trust * WEAKENING)
        if deep < -MARGIN_PX:
            self._links.add(first, second, weak)
            return
        matrix, seen = self._settle(first, second, link.matrix)
        share = shared_part(size, other, matrix)
        if share > 0 and _is_proof(seen):
            self._keep(Found(first, second, matrix, share, sure=True))
            self._links.add(first, second, Link(matrix, max(share, weak.trust)))
            return
        self._links.add(first, second, weak)
        share = shared_part(size, other, link.matrix)
        silent = seen.grey is None and seen.height is None
        sure = silent and deep >= DEPTH_PX and share > 0
        self._keep(Found(first, second, link.matrix, share, sure=sure))

    def _settle(
        self, first: int, second: int, matrix: Matrix
    ) -> tuple[Matrix, Agreement]:
        """Return the map as it is, or shifted a little if the pixels agree better."""
        one, two = self._pictures[first], self._pictures[second]
        seen = self._compare(first, second, matrix)
        if one is None or two is None or seen.pixels < SMALL_AREA or _is_proof(seen):
            return matrix, seen
        shifted = settled(one, two, matrix)
        moved = abs(shifted[:, 2] - matrix[:, 2]).max() * two.factor
        better = self._compare(first, second, shifted)
        if moved <= MAX_SHIFT_PX and (better.grey or 0) > (seen.grey or 0):
            return shifted, better
        return matrix, seen

    def _compare(self, first: int, second: int, matrix: Matrix) -> Agreement:
        one, two = self._pictures[first], self._pictures[second]
        if one is None or two is None:
            return Agreement(None, None, 0)
        return agreement(one, two, matrix)

    def _factor(self, index: int) -> float:
        picture = self._pictures[index]
        return picture.factor if picture else 1.0

    def _keep(self, found: Found) -> None:
        self.found[found.first, found.second] = found


def _is_proof(seen: Agreement) -> bool:
    least = ALIKE if seen.pixels >= SMALL_AREA else ALIKE_IN_SMALL_AREAS
    return max(seen.grey or 0.0, seen.height or 0.0) >= least


class _Phases:
    """One progress of several steps, in thousandths."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._begin = 0.0

    def phase(self, end: float) -> Progress:
        """Return the progress of the step that ends at a share of the whole."""
        begin, self._begin = self._begin, end

        def show(done: int, total: int) -> None:
            if self._progress is not None:
                share = begin + (end - begin) * done / max(total, 1)
                self._progress(round(1000 * share), 1000)

        return show
