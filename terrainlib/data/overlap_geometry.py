"""Areas and maps of patches that lie over each other.

Places are (x, y) in original px from the top left corner of a patch: a patch of size
(W, H) covers 0 to W and 0 to H, and pixel (row, column) has its centre at
(column + 0.5, row + 0.5).
"""

from typing import Any

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
