"""Where one more stroke would help most: places that are unsure, unlike, and large."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.model.instant import InstantClassifier
from terrainlib.types import BoolArray, ByteArray, FloatArray

CELL_PX: Final = 16
PLACES: Final = 3
_SAMPLES: Final = 256  # of what was learnt from
_RADIUS: Final = 2.5  # cells


def helpful_cells(
    network: InstantClassifier,
    features: FloatArray,
    margins: ByteArray,
    unlabelled: BoolArray,
    learnt_from: FloatArray,
) -> list[tuple[float, float, float]]:
    """Return up to three places of a view where a stroke would help most.

    Cells of 16 px are judged by how unsure the classifier is there, and by how far the
    middle pixel's features are from the nearest labelled ones, for it may be sure of
    what it has never seen; then smoothed over five cells, so that large places win. A
    cell with labels in it is none.

    Args:
        network: What was learnt.
        features: (h, w, F) float32 of the view.
        margins: (h, w) uint8, between the best two classes, in 255ths; 255 without
            data.
        unlabelled: (h, w) bool.
        learnt_from: (M, F) float32, features of the labelled pixels.

    Returns:
        x, y and radius of each in px of the view, the best one first.
    """
    rows, columns = (side // CELL_PX for side in margins.shape)
    if not rows or not columns:
        return []
    whole = slice(0, rows * CELL_PX), slice(0, columns * CELL_PX)

    def cells(values: NDArray[Any]) -> NDArray[Any]:
        return values[whole].reshape(rows, CELL_PX, columns, CELL_PX)

    middle = slice(CELL_PX // 2, None, CELL_PX)
    seen = features[whole][middle, middle].reshape(rows * columns, -1)
    apart = _apart(network, seen, learnt_from).reshape(rows, columns)
    unsure = 1 - cells(margins).mean(axis=(1, 3)) / 255
    score = (unsure + apart) * cells(unlabelled).all(axis=(1, 3))
    score = cv2.blur(score, (5, 5), borderType=cv2.BORDER_CONSTANT)
    around = max(2, min(rows, columns) // 6)
    found = []
    for _ in range(PLACES):
        row, column = (int(n) for n in np.unravel_index(score.argmax(), score.shape))
        if score[row, column] <= 0:
            break
        x, y = (column + 0.5) * CELL_PX, (row + 0.5) * CELL_PX
        found.append((x, y, _RADIUS * CELL_PX))
        near = slice(max(0, row - around), row + around + 1)
        score[near, max(0, column - around) : column + around + 1] = 0
    return found


def _apart(
    network: InstantClassifier, seen: FloatArray, learnt_from: FloatArray
) -> NDArray[np.float64]:
    """Return how far features are from the nearest labelled ones, 0 to 1."""
    every = max(1, len(learnt_from) // _SAMPLES)
    own, other = (
        np.nan_to_num((part - network.mean) / network.spread)
        for part in (seen, learnt_from[::every][:_SAMPLES])
    )
    squares = (own**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)
    nearest = (squares - 2 * own @ other.T).min(axis=1)
    apart: NDArray[np.float64] = np.sqrt(np.maximum(nearest, 0)).astype(np.float64)
    apart /= max(float(apart.max()), 1e-6)
    return apart
