"""A pair brought to the square size that training works at."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data.dataset import LoadedPair
from terrainlib.data.palette import NO_DATA


@dataclass(frozen=True, slots=True)
class SmallPair:
    """A pair at size S.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        mask: (S, S) uint8 class indices, 255 = no data.
        height: (S, S) float32 metres, NaN = no data; None without a file.
        scale: S per original px (root of the ratio of areas).
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    height: NDArray[np.float32] | None
    scale: float


def small_pair(loaded: LoadedPair, size: int) -> SmallPair:
    """Return a pair at a square size.

    Args:
        loaded: Pixels at their own size (H, W).
        size: S in px.
    """
    rows, columns = loaded.mask.shape
    valid = loaded.image.valid
    rgb = resize_area(loaded.image.rgb, size)
    mask = resize_nearest(loaded.mask, size)
    if not valid.all():
        mask[resize_nearest(valid.astype(np.uint8), size) == 0] = NO_DATA
    return SmallPair(
        image=np.rint(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8),
        mask=mask,
        height=None if loaded.height is None else resize_height(loaded.height, size),
        scale=float(np.sqrt(size * size / (rows * columns))),
    )


def resize_area(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return (S, S[, 3]) averages of areas; where there are fewer px, between them."""
    if image.shape[:2] == (size, size):
        return image
    enlarging = min(image.shape[:2]) < size
    method = cv2.INTER_LINEAR if enlarging else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), np.float32)


def resize_nearest(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return a copy of (S, S) in which every value is one of the mask's own pixels.

    The pixel whose area holds the centre of the new one is taken.
    """
    rows, columns = (
        np.minimum(((np.arange(size) + 0.5) * length / size).astype(int), length - 1)
        for length in mask.shape
    )
    picked: NDArray[np.uint8] = mask[rows[:, None], columns[None, :]]
    return picked


def resize_height(height: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return (S, S) metres averaged over the pixels that have data, else NaN."""
    valid = np.isfinite(height)
    if valid.all():
        return resize_area(height, size)
    weight = resize_area(valid.astype(np.float32), size)
    total = resize_area(np.where(valid, height, 0.0).astype(np.float32), size)
    result = np.full((size, size), np.nan, np.float32)
    np.divide(total, weight, out=result, where=weight > 1e-3)
    return result
