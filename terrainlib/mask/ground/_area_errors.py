"""Shares of classes corrected by the errors on validation images, with their errors.

Pure arithmetic on matrices. Everywhere rows of a validation matrix are true classes and
columns predicted ones, as the rest of the library has it; the papers transpose them.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

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
