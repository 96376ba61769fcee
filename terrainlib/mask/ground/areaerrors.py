"""Shares of classes corrected by the errors on validation images, with their errors.

Pure arithmetic on matrices. Everywhere rows of a validation matrix are true classes and
columns predicted ones, as the rest of the library has it; the papers transpose them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from terrainlib.model.record import ModelRecord

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]

NORMAL_95: Final = 1.96


def stratified(confusion: Counts, weights: Shares) -> tuple[Shares, Shares]:
    """Estimate shares where single pixels were sampled at random within map classes.

    With map classes i, true classes k, counts n_ik, n_i = sum over k of n_ik, and W_i
    the share of class i in the map:

        share_k = sum over i of W_i n_ik / n_i                       (equation 9)
        error_k = sqrt( sum over i of W_i^2 p_ik (1 - p_ik) / (n_i - 1) )   (10)

    where p_ik = n_ik / n_i. The area is the share times the whole area, and a 95 %
    interval reaches 1.96 errors to both sides (11, 12).

    Args:
        confusion: (K, K) int64, rows by truth, columns by map class.
        weights: (K,) float64, W_i, summing to 1.

    Returns:
        (K,) float64 shares, and their (K,) standard errors. A class of the map that was
        never predicted there (n_i = 0) is taken as mapped, without an error.

    References:
        Olofsson, Foody, Herold, Stehman, Woodcock, Wulder: Good practices for
        estimating area and assessing accuracy of land change (2014), section 4,
        doi:10.1016/j.rse.2014.02.015.
    """
    shares, counts = _user_shares(confusion)
    spread = shares * (1 - shares) / np.maximum(counts - 1, 1)[:, None]
    errors = np.sqrt((weights[:, None] ** 2 * spread).sum(axis=0))
    return weights @ shares, errors


def clustered(groups: Counts, weights: Shares) -> tuple[Shares, Shares]:
    """Estimate shares where whole images were drawn, and pixels of one err together.

    The shares are those of `stratified`. Their error is taken from the scatter between
    G groups of images (the linearised ratio estimator of cluster sampling): with r_gik
    = n_gik - p_ik n_gi, the pixels by which group g differs from the mean,

        error_k = sqrt( G / (G - 1) * sum over g of (sum over i of W_i r_gik / n_i)^2 ).

    Args:
        groups: (G, K, K) int64, G at least 2, rows by truth, columns by map class.
        weights: (K,) float64, W_i, summing to 1.

    Returns:
        (K,) float64 shares, and their (K,) standard errors, as of `stratified`.

    References:
        Cochran: Sampling techniques (1977), section 3.12, proportions in cluster
        sampling.
    """
    shares, counts = _user_shares(groups.sum(axis=0))
    by_map = groups.transpose(0, 2, 1).astype(np.float64)
    residuals = by_map - shares * by_map.sum(axis=2, keepdims=True)
    influence = weights / np.maximum(counts, 1)
    scatter = np.einsum("i,gik->gk", influence, residuals)
    count = len(groups)
    errors = np.sqrt(count / (count - 1) * np.square(scatter).sum(axis=0))
    return weights @ shares, errors


def student_95(freedom: int) -> float:
    """Return what a standard error is multiplied by for a 95 % interval.

    The expansion of Student's t in the degrees of freedom; within 1 % from 3 on.

    References:
        Abramowitz, Stegun: Handbook of mathematical functions (1964), 26.7.5.

    Example:
        >>> [round(student_95(n), 2) for n in (3, 7, 47)]
        [3.16, 2.36, 2.01]
    """
    z, n = NORMAL_95, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def _user_shares(confusion: Counts) -> tuple[Shares, Shares]:
    """Return p_ik and n_i; a map class that was never predicted is as mapped."""
    by_map = confusion.T.astype(np.float64)
    counts = by_map.sum(axis=1)
    shares = by_map / np.maximum(counts, 1)[:, None]
    never = counts == 0
    shares[never] = np.eye(len(counts))[never]
    return shares, counts


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
            "as a single observation, as the model file holds only their sum: they "
            "are too wide rather than too narrow."
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
    """Return what a record tells of its model's errors; None if that is too little."""
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
