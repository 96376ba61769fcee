"""Whether two patches show the same ground where one is said to lie over the other.

The fine detail of both (what a blur takes away) is correlated over the common area, in
brightness and, where both have one, in height. Heights of the same ground are the same,
so they decide where they have any detail.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data._overlap_features import Picture
from terrainlib.data.overlap_geometry import Matrix

BLUR_PX: Final = 3.0
MIN_PIXELS: Final = 30
FLAT_GREY: Final = 1.0  # spread of fine detail below which there is nothing to compare
FLAT_METRES: Final = 3.0
_ROUNDS: Final = 30
_STEP: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the common area of two patches is.

    Attributes:
        grey: Correlation of the fine detail in brightness, -1 to 1; None where there is
            too little of it.
        height: The same of the heights.
        pixels: Number of pixels compared.
    """

    grey: float | None
    height: float | None
    pixels: int


def agreement(first: Picture, second: Picture, matrix: Matrix) -> Agreement:
    """Compare two patches over their common area.

    Args:
        first: The one patch.
        second: The other.
        matrix: From (x, y, 1) in the first to the second, in original px.
    """
    small = _small(first, second, matrix)
    inside = _warped(np.ones(second.grey.shape, np.float32), small, first.grey.shape)
    common = inside > 0.999
    pixels = int(np.count_nonzero(common))
    if pixels < MIN_PIXELS:
        return Agreement(None, None, pixels)
    grey = _alike(
        _detail(first.grey),
        _warped(_detail(second.grey), small, first.grey.shape),
        common,
        FLAT_GREY,
    )
    height = None
    if first.height is not None and second.height is not None:
        height = _alike(
            _detail(first.height),
            _warped(_detail(second.height), small, first.grey.shape),
            common,
            FLAT_METRES,
        )
    return Agreement(grey, height, pixels)


def settled(first: Picture, second: Picture, matrix: Matrix) -> Matrix:
    """Return the map after shifting it to where the pixels agree best.

    Only the shift is changed; where the pixels say nothing the map stays as it is.
    """
    small = _small(first, second, matrix)
    ones = np.ones(second.grey.shape, np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ROUNDS, _STEP)
    shift: NDArray[Any] = np.eye(2, 3, dtype=np.float32)
    shape = first.grey.shape
    moved = _warped(_detail(second.grey), small, shape)
    mask = (_warped(ones, small, shape) > 0.999).astype(np.uint8)
    if np.count_nonzero(mask) < MIN_PIXELS:
        return matrix
    try:
        _, found = cv2.findTransformECC(
            _detail(first.grey), moved, shift, cv2.MOTION_TRANSLATION, criteria, mask, 3
        )
    except cv2.error:  # the pixels do not lead anywhere
        return matrix
    shift = np.asarray(found, np.float64)
    if not np.isfinite(shift).all():
        return matrix
    better = matrix.copy()
    better[:, 2] += matrix[:, :2] @ (shift[:, 2] / first.factor)
    return better


def _small(first: Picture, second: Picture, matrix: Matrix) -> Matrix:
    """Return the map between the small pictures, from pixel centre to pixel centre."""
    linear = matrix[:, :2] * (second.factor / first.factor)
    half = np.array([0.5, 0.5])
    return np.column_stack(
        [linear, linear @ half + matrix[:, 2] * second.factor - half]
    )


def _detail(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return what a blur takes away; no data is flat."""
    filled = np.nan_to_num(values.astype(np.float32), copy=False)
    return np.asarray(filled - cv2.GaussianBlur(filled, (0, 0), BLUR_PX))


def _warped(
    values: NDArray[np.float32], matrix: Matrix, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the second picture's values in the frame of the first, 0 outside."""
    return np.asarray(
        cv2.warpAffine(
            values,
            matrix,
            (shape[1], shape[0]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
    )


def _alike(
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    common: NDArray[np.bool_],
    flat: float,
) -> float | None:
    """Return the correlation over the common area; None where either is flat."""
    a, b = one[common], two[common]
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a * a).mean())), float(np.sqrt((b * b).mean()))
    if min(spread) < flat:
        return None
    return float((a * b).mean() / (spread[0] * spread[1]))
