"""Overlaps that follow from others: where A lies over B and B over C, A lies over C.

Small overlaps hold too few features to be seen by themselves. Chains of known ones say
where they must be.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.overlap_geometry import Matrix, Size, corners, inverted

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
    """Return which patches lie within reach of the first one."""
    back = np.linalg.inv(matrices[:, :, :2])
    others = np.array([corners(links.sizes[end]) for end in ends])
    placed = (others - matrices[:, None, :, 2]) @ back.transpose(0, 2, 1)
    size = np.array(links.sizes[first], np.float64)
    low, high = placed.min(axis=1), placed.max(axis=1)
    reach = REACH * size
    return np.asarray(((low < size + reach) & (high > -reach)).all(axis=1))
