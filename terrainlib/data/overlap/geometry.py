"""Areas and maps of patches that lie over each other.

Places are (x, y) in original px from the top left corner of a patch: a patch of size
(W, H) covers 0 to W and 0 to H, and pixel (row, column) has its centre at
(column + 0.5, row + 0.5).
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]  # 2 x 3, maps (x, y, 1) of the first patch to the second
Size = tuple[int, int]  # (W, H) in px


def composed(first: Matrix, then: Matrix) -> Matrix:
    """Return the map that does `first`, and `then` afterwards."""
    linear = then[:, :2] @ first[:, :2]
    return np.column_stack([linear, then[:, :2] @ first[:, 2] + then[:, 2]])


def inverted(matrix: Matrix) -> Matrix:
    """Return the map back."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def corners(size: Size) -> NDArray[np.float64]:
    """Return the corners of a patch, clockwise from the top left, (4, 2) px."""
    width, height = size
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)


def moved(points: NDArray[Any], matrix: Matrix) -> NDArray[np.float64]:
    """Return points (N, 2) after a map."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def common_polygon(first: Size, second: Size, matrix: Matrix) -> NDArray[np.float64]:
    """Return the ground shared with the second patch, (N, 2) px in the first.

    Fewer than three points are returned where nothing is shared.
    """
    other = moved(corners(second), inverted(matrix)).astype(np.float32)
    own = corners(first).astype(np.float32)
    if (other.min(0) >= own.max(0)).any() or (other.max(0) <= own.min(0)).any():
        return np.zeros((0, 2))
    area, points = cv2.intersectConvexConvex(own, other)
    if area <= 0 or points is None:
        return np.zeros((0, 2))
    return np.asarray(points.reshape(-1, 2), np.float64)


def shared_part(first: Size, second: Size, matrix: Matrix) -> float:
    """Return the intersection over the larger patch, 0 to 1."""
    polygon = common_polygon(first, second, matrix)
    if len(polygon) < 3:
        return 0.0
    area = abs(float(cv2.contourArea(polygon.astype(np.float32))))
    zoom = abs(float(np.linalg.det(matrix[:, :2])))
    other = second[0] * second[1] / zoom  # px of the first
    return min(area / max(first[0] * first[1], other), 1.0)


def depth(first: Size, second: Size, matrix: Matrix) -> float:
    """Return how far two patches reach into each other, in px of the first.

    The smaller side of the common rectangle; below 0 it is the gap between them.
    """
    other = moved(corners(second), inverted(matrix))
    sides = np.minimum(other.max(axis=0), first) - np.maximum(other.min(axis=0), 0)
    return float(sides.min())


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
