"""How often each class can be told at all: where two learners are right or wrong alike.

Where a network and a classifier of single pixels take a place for the same wrong class,
image and mask mostly do not show the class there, and no more training will find it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA
from terrainlib.mask.scores.gallery import Gallery
from terrainlib.types import MaskArray

BOTH, ONE, OTHER, NEITHER_ALIKE, NEITHER = range(5)
KINDS: Final = 5


def who_tells(one: Gallery, other: Gallery) -> NDArray[np.int64]:
    """Count the pixels of each class by who is right about them.

    Args:
        one: Predictions of a model.
        other: Those of another on the same data set; its classes are the same.

    Returns:
        (K, 5) int64, a row for each true class: both are right, only the first, only
        the second, both take it for the same other class, for two others.

    Raises:
        InputError: If an image cannot be read any more.
    """
    size = len(one.classes)
    total = np.zeros((size, KINDS), np.int64)
    for identifier in one.ids:
        if identifier in other.ids:
            row = one.row(identifier)
            told = row.prediction, other.prediction(identifier)
            total += _count(row.truth, *told, size)
    return total


def _count(
    truth: MaskArray, one: MaskArray, other: MaskArray, size: int
) -> NDArray[np.int64]:
    known = (truth != NO_DATA) & (one != NO_DATA) & (other != NO_DATA)
    truth, one, other = truth[known].astype(np.int64), one[known], other[known]
    right, too = one == truth, other == truth
    kinds = np.select(
        [right & too, right, too, one == other],
        [BOTH, ONE, OTHER, NEITHER_ALIKE],
        NEITHER,
    )
    counts = np.bincount(truth * KINDS + kinds, minlength=size * KINDS)
    return np.asarray(counts.reshape(size, KINDS), np.int64)
