"""How two patches lie over each other: a robust fit to matched places."""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data.overlap_geometry import Matrix

SCALES: Final = (0.6, 1.65)  # of the second per first; patches are of like resolution
MAX_TURN: Final = 20.0  # degrees between features of upright patches
TRIED: Final = 45  # of the surest matches; every two of them are tried
MAX_TRIALS: Final = 400
_STIFFNESS: Final = 4.0  # votes' worth of trust in the simple form of the map


@dataclass(frozen=True, slots=True)
class Fit:
    """A map between two patches.

    Attributes:
        matrix: 2 x 3, from (x, y, 1) in the first patch to the second, in px.
        votes: Matches that agree with it, counted once a place.
    """

    matrix: Matrix
    votes: int


def fit_turned(
    source: NDArray[Any], target: NDArray[Any], tolerance: float
) -> Fit | None:
    """Fit turn, scale and shift, then a cautious affine map, to most matches.

    Args:
        source: Places in the first patch, (N, 2) px.
        target: Places in the second, (N, 2) px.
        tolerance: Distance in px within which a match agrees.
    """
    matrix, _ = cv2.estimateAffinePartial2D(
        source,
        target,
        method=cv2.RANSAC,
        ransacReprojThreshold=tolerance,
        maxIters=MAX_TRIALS,
        confidence=0.99,
        refineIters=5,
    )
    if matrix is None or not np.isfinite(matrix).all():
        return None
    return _refined(source, target, np.asarray(matrix, np.float64), tolerance)


def fit_upright(
    source: NDArray[Any], target: NDArray[Any], turn: NDArray[Any], tolerance: float
) -> Fit | None:
    """Fit scale and shift of each axis, then a cautious affine map, to most matches.

    Args:
        source: Places in the first patch, (N, 2) px, the surest matches first.
        target: Places in the second, (N, 2) px.
        turn: Degrees between the matched features, (N,).
        tolerance: Distance in px within which a match agrees.
    """
    straight = np.abs(turn) < MAX_TURN
    source, target = source[straight].astype(float), target[straight].astype(float)
    if len(source) < 2:
        return None
    one, two = np.triu_indices(min(len(source), TRIED), 1)
    apart = source[two] - source[one]
    usable = (np.abs(apart) > 5 * tolerance).all(axis=1)
    one, two, apart = one[usable], two[usable], apart[usable]
    scale = (target[two] - target[one]) / apart
    usable = ((scale > SCALES[0]) & (scale < SCALES[1])).all(axis=1)
    scale, one = scale[usable], one[usable]
    if not len(scale):
        return None
    shift = target[one] - scale * source[one]
    misses = scale[:, None] * source + shift[:, None] - target
    agree = ((misses**2).sum(axis=2) < tolerance**2).sum(axis=1)
    best = int(np.argmax(agree))
    matrix = np.column_stack([np.diag(scale[best]), shift[best]])
    return _refined(source, target, matrix, tolerance)


def _refined(
    source: NDArray[Any], target: NDArray[Any], matrix: Matrix, tolerance: float
) -> Fit | None:
    """Return the least-squares map near a first one, to the matches that agree."""
    for _ in range(3):
        agree = _agreeing(source, target, matrix, tolerance)
        if agree.sum() < 3:
            return None
        matrix = _least_squares(source[agree], target[agree], matrix)
    agree = _agreeing(source, target, matrix, tolerance)
    sizes = np.linalg.svd(matrix[:, :2], compute_uv=False)
    if sizes[1] < SCALES[0] or sizes[0] > SCALES[1] or np.linalg.det(matrix[:, :2]) < 0:
        return None
    places = np.unique(np.round(source[agree] / tolerance), axis=0)
    return Fit(matrix, len(places))


def _agreeing(
    source: NDArray[Any], target: NDArray[Any], matrix: Matrix, tolerance: float
) -> NDArray[np.bool_]:
    misses = source @ matrix[:, :2].T + matrix[:, 2] - target
    return np.asarray((misses**2).sum(axis=1) < tolerance**2)


def _least_squares(
    source: NDArray[Any], target: NDArray[Any], matrix: Matrix
) -> Matrix:
    """Return the affine map to the matches; few matches hardly bend the given one."""
    centre, aim = source.mean(axis=0), target.mean(axis=0)
    spread = (source - centre).astype(np.float64)
    typical = max(float((spread**2).mean()), 1.0)
    left = spread.T @ spread + _STIFFNESS * typical * np.eye(2)
    right = spread.T @ (target - aim) + _STIFFNESS * typical * matrix[:, :2].T
    linear = np.linalg.solve(left, right).T
    return np.column_stack([linear, aim - linear @ centre])
