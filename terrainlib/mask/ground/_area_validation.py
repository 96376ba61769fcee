"""What a model's record tells of its errors, and what follows for a mapped area."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.mask.ground._area_errors import (
    NORMAL_95,
    Counts,
    Shares,
    clustered,
    stratified,
    student_95,
)

if TYPE_CHECKING:
    from terrainlib.model.record import ModelRecord

MIN_IMAGES: Final = 4  # fewer say nothing of how much images differ


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """The errors of a model on images that it was not trained with.

    Attributes:
        confusion: (K, K) int64 pixels, rows by truth, columns by prediction.
        images: Number of images; 0 where the pixels are a random sample of the mapped
            area itself.
        groups: (G, K, K) int64 that add up to `confusion`, or None.
    """

    confusion: Counts
    images: int = 0
    groups: Counts | None = None

    @property
    def pixels(self) -> int:
        """Number of pixels that were judged."""
        return int(self.confusion.sum())

    @property
    def occurs(self) -> NDArray[np.bool_]:
        """(K,) bool, classes that occur in the truth."""
        return np.asarray(self.confusion.sum(axis=1) > 0)

    @property
    def unseen(self) -> NDArray[np.bool_]:
        """(K,) bool, classes that were never predicted."""
        return np.asarray(self.confusion.sum(axis=0) == 0)

    @property
    def source(self) -> str:
        """What the intervals rest on, in a sentence."""
        if self.images == 0:
            return "The intervals (95 %) count each sampled pixel."
        if self.groups is not None:
            return (
                f"The intervals (95 %) come from how much the errors differ between "
                f"the {self.images} validation images, in {len(self.groups)} groups."
            )
        return (
            f"The intervals (95 %) count each of the {self.images} validation images "
            "as a single observation, for the model file holds no more than their sum: "
            "they are too wide rather than too narrow."
        )

    def corrected(self, weights: Shares, mapped: int) -> tuple[Shares, Shares]:
        """Return corrected shares, and half of their 95 % intervals.

        Validation images are of other places than the mapped one. Their mean error is
        uncertain, and the errors on the mapped image differ from that mean as those on
        validation images do: for an image of n pixels and a validation of N the
        variance is that of the mean times 1 + N / n. Without groups each image counts
        as a single observation, as if all its pixels erred as one: the variance of
        single pixels times N / images, the largest design effect there can be.

        Args:
            weights: (K,) float64, share of each class in the map.
            mapped: Pixels of the map, n.

        Returns:
            Two (K,) float64. What is mapped of classes that were never predicted is
            kept as mapped, and added to every half interval.
        """
        if self.groups is not None:
            shares, errors = clustered(self.groups, weights)
            factor, count = 1.0, len(self.groups)
        else:
            shares, errors = stratified(self.confusion, weights)
            factor, count = self.pixels / max(1, self.images), self.images
        if self.images == 0:
            return shares, NORMAL_95 * errors + weights[self.unseen].sum()
        variance_factor = factor * (1 + self.pixels / max(1, mapped))
        halves = student_95(count - 1) * variance_factor**0.5 * errors
        return shares, halves + weights[self.unseen].sum()


def validation_of(record: "ModelRecord") -> Validation | None:
    """Return what a record tells of its model's errors; None where that is too little.

    Args:
        record: The record of the model.
    """
    classes = len(record.classes)
    confusion = _matrices(record.confusion, (classes, classes))
    images = (record.scores or {}).get("images")
    if confusion is None or not confusion.sum():
        return None
    if not isinstance(images, int) or isinstance(images, bool) or images < MIN_IMAGES:
        return None
    count = len(record.confusion_groups or ())
    groups = _matrices(record.confusion_groups, (count, classes, classes))
    if groups is not None and not (
        count >= MIN_IMAGES and np.array_equal(groups.sum(axis=0), confusion)
    ):
        groups = None
    return Validation(confusion, images, groups)


def _matrices(values: Any, shape: Sequence[int]) -> Counts | None:
    """Return nested lists of counts as an array; None where they are none."""
    try:
        array = np.array(values)
    except ValueError:  # rows of different lengths
        return None
    if array.shape != tuple(shape) or array.dtype.kind not in "iu" or not array.size:
        return None
    return array.astype(np.int64) if array.min() >= 0 else None
