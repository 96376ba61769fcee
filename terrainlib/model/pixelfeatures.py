"""What the pixel classifier knows of a pixel: colour, height, and their surroundings.

Window sums of whole numbers are exact, so that a tile gives what the whole image gives.
No TensorFlow, no scikit-learn.
"""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import InputError

FloatArray = NDArray[np.float32]

COLOR_WINDOWS_PX: Final = (3, 7, 15)
HEIGHT_WINDOWS_PX: Final = (5, 13, 33)


def reach_px(*, use_height: bool) -> int:
    """Return how far in px a pixel's features look in each direction."""
    windows = COLOR_WINDOWS_PX + (HEIGHT_WINDOWS_PX if use_height else ())
    return max(windows) // 2


def classifier_input(
    rgb: FloatArray, height: FloatArray | None, *, use_height: bool
) -> FloatArray:
    """Return what a pixel classifier is fed: colours, and metres as they are.

    Args:
        rgb: (..., H, W, 3) float32 in [0, 1].
        height: (..., H, W) float32 in metres, NaN where there is none.
        use_height: Whether the classifier was fitted with heights.

    Returns:
        (..., H, W, 3) float32, or (..., H, W, 4) with heights.

    Raises:
        InputError: If heights are needed and `height` is None.
    """
    if not use_height:
        return np.asarray(rgb, np.float32)
    if height is None:
        raise InputError(
            "the pixel classifier was asked to use heights, and there are none. Give "
            "pairs that all have a height file, or leave the heights out."
        )
    return np.concatenate([rgb, height[..., None]], axis=-1, dtype=np.float32)


def pixel_features(pixels: FloatArray) -> FloatArray:
    """Return what each pixel is judged by.

    Colours count in steps of 1/255 and heights in whole metres: sums over windows are
    then whole numbers and exact, so that a tile gives what the whole image gives.

    Args:
        pixels: (H, W, 3) or (H, W, 4) float32; RGB in [0, 1] and metres, NaN where
            there is no height.

    Returns:
        (H, W, 21) or (H, W, 28) float32: the colours, then their means and standard
        deviations in each window of `COLOR_WINDOWS_PX`, mirrored at the border; then
        the same of the heights with `HEIGHT_WINDOWS_PX`.
    """
    values = pixels.astype(np.float64)
    values[..., :3] *= 255
    values = np.rint(values)
    features = _described(values[..., :3], COLOR_WINDOWS_PX)
    if values.shape[-1] > 3:
        features += _described(values[..., 3:], HEIGHT_WINDOWS_PX)
    return np.concatenate(features, axis=-1, dtype=np.float32)


def _described(
    values: NDArray[np.float64], windows: tuple[int, ...]
) -> list[NDArray[np.float64]]:
    """Return channels, and mean and spread of them in each window, (H, W, C) each."""
    known = np.isfinite(values)
    whole = bool(known.all())
    filled = np.where(known, values, 0.0)
    features = [values]
    for window in windows:
        weights = None if whole else known.astype(np.float64)
        features += _mean_and_spread(filled, weights, window)
    return features


def _mean_and_spread(
    values: NDArray[np.float64], weights: NDArray[np.float64] | None, window: int
) -> list[NDArray[np.float64]]:
    """Return mean and standard deviation around each pixel, (H, W, C) each.

    NaN where `weights` says that nothing in the window is known.
    """
    count: Any = float(window**2)
    if weights is not None:
        count = _sums(weights, window)
        count[count == 0] = np.nan
    mean = _sums(values, window) / count
    variance = _sums(values * values, window) / count - mean * mean
    return [mean, np.sqrt(np.maximum(variance, 0))]


def _sums(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the sums over square windows, (H, W, C); exact for whole numbers."""
    size = (window, window)
    sums = cv2.boxFilter(
        values, cv2.CV_64F, size, normalize=False, borderType=cv2.BORDER_REFLECT_101
    )
    return np.asarray(sums, np.float64).reshape(values.shape)
