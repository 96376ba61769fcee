"""A pair brought to the square size that training works at."""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data._raster import Raster
from terrainlib.data._scaling import to_rgb
from terrainlib.data.palette import NO_DATA

_Number = TypeVar("_Number", np.uint8, np.float32)


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


def small_pair(
    picture: Raster,
    mask: NDArray[np.uint8],
    height: NDArray[np.float32] | None,
    size: int,
) -> SmallPair:
    """Return a pair at a square size.

    Args:
        picture: The image's pixels as stored, (H, W, B).
        mask: (H, W) uint8 class indices.
        height: (H, W) float32 metres, or None.
        size: S in px.
    """
    rows, columns = mask.shape
    small_mask = resize_nearest(mask, size)
    if not picture.valid.all():
        empty = resize_nearest(picture.valid.astype(np.uint8), size) == 0
        small_mask[empty] = NO_DATA
    return SmallPair(
        image=_small_image(picture, size),
        mask=small_mask,
        height=None if height is None else resize_height(height, size),
        scale=float(np.sqrt(size * size / (rows * columns))),
    )


def _small_image(picture: Raster, size: int) -> NDArray[np.uint8]:
    """Return (S, S, 3) uint8 RGB; plain 8-bit colours need no detour over floats."""
    pixels = picture.pixels
    plain = picture.palette is None and picture.maximum == 255 and picture.valid.all()
    if plain and pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return resize_area(pixels, size)
    rgb, _ = to_rgb(picture)
    scaled = np.rint(resize_area(rgb, size) * np.float32(255))
    return np.asarray(scaled, np.uint8)


def resize_area(image: NDArray[_Number], size: int) -> NDArray[_Number]:
    """Return (S, S[, 3]) averages of areas; where there are fewer px, between them."""
    if image.shape[:2] == (size, size):
        return image
    enlarging = min(image.shape[:2]) < size
    method = cv2.INTER_LINEAR if enlarging else cv2.INTER_AREA
    resized = cv2.resize(image, (size, size), interpolation=method)
    return np.asarray(resized, image.dtype)


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
