"""The search for shared ground: features propose, pixels and chains decide."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from terrainlib.data._overlap_chains import WEAKENING, Link, Links, follow
from terrainlib.data._overlap_features import Picture, read_patches
from terrainlib.data._overlap_matching import Candidate, find_candidates
from terrainlib.data._overlap_pixels import Agreement, agreement, settled
from terrainlib.data.dataset import Dataset, Progress
from terrainlib.data.overlap_geometry import Matrix, depth, shared_part
from terrainlib.errors import StoppedError

ShouldStop = Callable[[], bool]

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
        """Decide on a pair that a chain brings near."""
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
    """Return whether the pixels alone prove that the ground is the same."""
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
