"""Regions of a class mask as a graph, and the merging of those that are too small.

A region is a set of pixels of one class that touch at their sides; two regions are
neighbours where pixels of them do. Once the regions are found, merging works on the
graph alone, however often it has to be repeated.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

MaskArray = NDArray[np.uint8]
Numbers = NDArray[np.int64]

_HALF: Final = 32  # bits: a pair of regions, or a size and a region, in one number
_LOWER: Final = (1 << _HALF) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The regions of a mask, numbered from 0, class by class.

    Attributes:
        labels: (H, W) int32, 1 + the region of each pixel; 0 without data.
        classes: (n,) uint8, class of each region.
        sizes: (n,) int64, px of each.
        first: (m,) int64, and
        second: (m,) int64, the pairs of neighbours, each pair once.
    """

    labels: NDArray[np.int32]
    classes: MaskArray
    sizes: Numbers
    first: Numbers
    second: Numbers


def find_regions(mask: MaskArray, numbers: list[int]) -> Regions:
    """Return the regions of a mask.

    Args:
        mask: (H, W) uint8 class indices.
        numbers: The classes that have regions; all else is without data.
    """
    labels = np.zeros(mask.shape, np.int32)
    classes: list[MaskArray] = []
    total = 0
    for number in numbers:
        count, found = cv2.connectedComponents(
            (mask == number).view(np.uint8), connectivity=4, ltype=cv2.CV_32S
        )
        inside = found > 0
        np.add(found, total, out=labels, where=inside)
        classes.append(np.full(count - 1, number, np.uint8))
        total += count - 1
    across = _neighbours(labels[:, :-1], labels[:, 1:])
    down = _neighbours(labels[:-1], labels[1:])
    pairs = np.unique(np.concatenate([across, down]))
    return Regions(
        labels,
        np.concatenate([np.zeros(0, np.uint8), *classes]),
        np.bincount(labels.reshape(-1), minlength=total + 1)[1:],
        pairs >> _HALF,
        pairs & _LOWER,
    )


def merged_classes(regions: Regions, limit: int) -> MaskArray:
    """Return a class for each region after the small ones were merged.

    In every round each small region takes the class of its largest neighbour; where
    that is small itself, of the largest neighbour's largest neighbour, and so on until
    one is large. Of equally large ones the first wins: the lowest class, then from top
    to bottom. Regions of one class that touch then are one, and the next round begins,
    until nothing changes.

    Args:
        regions: The regions.
        limit: Smallest size that stays, in px.

    Returns:
        (n,) uint8.
    """
    part = np.arange(len(regions.classes))  # which of the present regions each is in
    classes, sizes = regions.classes.copy(), regions.sizes
    first, second = regions.first, regions.second
    while True:
        small = sizes < limit
        target = _large_one(small, sizes, first, second)
        moves = small & ~small[target]
        if not moves.any():
            return np.asarray(classes[part], np.uint8)
        classes[moves] = classes[target[moves]]
        same = classes[first] == classes[second]
        joined = _joined(len(classes), first[same], second[same])
        kept, number = np.unique(joined, return_inverse=True)
        sizes = np.bincount(number, weights=sizes).astype(np.int64)
        classes = classes[kept]
        part = number[part]
        pairs = np.unique(_pairs(number[first[~same]], number[second[~same]]))
        first, second = pairs >> _HALF, pairs & _LOWER


def _large_one(
    small: NDArray[np.bool_], sizes: Numbers, first: Numbers, second: Numbers
) -> Numbers:
    """Return for each region the large one that it leads to, or a small one."""
    here = np.arange(len(sizes))
    rank = (sizes << _HALF) | (_LOWER - here)
    best = np.zeros(len(sizes), np.int64)
    for one, other in ((first, second), (second, first)):
        counts = small[one]
        np.maximum.at(best, one[counts], rank[other[counts]])
    target = np.where(best > 0, _LOWER - (best & _LOWER), here)
    for _ in range(len(sizes).bit_length()):
        target = target[target]  # twice as far each time
    return np.asarray(target, np.int64)


def _joined(count: int, first: Numbers, second: Numbers) -> Numbers:
    """Return for each region the lowest one that it is joined with by pairs."""
    lowest = np.arange(count)
    while True:
        low = np.minimum(lowest[first], lowest[second])
        before = lowest.copy()
        for ends in (first, second):
            np.minimum.at(lowest, ends, low)
            np.minimum.at(lowest, before[ends], low)
        lowest = lowest[lowest]
        if np.array_equal(lowest, before):
            return lowest


def _neighbours(one: NDArray[np.int32], other: NDArray[np.int32]) -> Numbers:
    """Return which regions lie side by side, each pair once."""
    rim = (one != other) & (one > 0) & (other > 0)
    first, second = one[rim].astype(np.int64) - 1, other[rim].astype(np.int64) - 1
    return np.unique(_pairs(first, second))


def _pairs(first: Numbers, second: Numbers) -> Numbers:
    """Return two numbers as one, the lower in the upper half."""
    return (np.minimum(first, second) << _HALF) | np.maximum(first, second)
