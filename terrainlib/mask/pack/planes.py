"""Resampling of weights, masks and heights for a pack, rows by rows.

A pixel is a square of ground. Values stand either for squares (n squares over the
length) or for corners of squares (n points from edge to edge, as a terrain's heights).
Shrinking averages the ground around each; enlarging goes in a straight line from
centre to centre.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import ImageError
from terrainlib.mask.tiles.bands import quantized
from terrainlib.mask.tiles.resampling import Axis, Resizer
from terrainlib.types import ByteArray, FloatArray, Size

_BAND_VALUES: Final = 2**22


@dataclass(frozen=True, slots=True)
class Frame:
    """Which pixels of the image go into a pack, and on how many they come.

    Attributes:
        rows: Rows of the image.
        columns: Columns of the image.
        size: (h, w) of weights and masks in px.
        height_size: (h, w) of the heightmap in px.
        corners: Whether heights lie on the corners of the ground's squares, from edge
            to edge, or in their middles.
        weight_corners: The same for weights.
    """

    rows: slice
    columns: slice
    size: tuple[int, int]
    height_size: tuple[int, int]
    corners: bool = False
    weight_corners: bool = False


def resizer_of(size: Size, target: Size, *, corners: bool) -> Resizer:
    """Return what brings an image to another size, each side in the way that suits it.

    Args:
        size: (H, W) before, px.
        target: (H, W) after, px; at least 2 for corners.
        corners: Whether the new pixels are the corners of squares.
    """
    rows, columns = (
        Axis(source, wanted, areas=source > wanted - corners, corners=corners)
        for source, wanted in zip(size, target, strict=True)
    )
    return Resizer(rows, columns)


def make_planes(
    weights: ByteArray, mask: ByteArray, frame: Frame
) -> tuple[ByteArray, ByteArray]:
    """Bring weights and mask to the size of a frame.

    Pixels without data count nothing; where nothing else is around, the weights are
    those of the nearest pixel with data.

    Args:
        weights: (H, W, K) uint8 in 255ths, 0 in all classes where there is no data. Not
            modified.
        mask: (H, W) uint8 class mask, 255 = no data.
        frame: Which part, and which size.

    Returns:
        (K, h, w) uint8 that sum to 255 in every pixel, and the (h, w) mask.

    Raises:
        ImageError: If there is no data at all.
    """
    source, count = weights[frame.rows, frame.columns], weights.shape[2]
    rows, columns = frame.size
    height, width = source.shape[:2]
    resizer = resizer_of((height, width), frame.size, corners=frame.weight_corners)
    planes = np.zeros((count, rows, columns), np.uint8)
    empty = np.zeros((rows, columns), bool)
    band = max(1, _BAND_VALUES // (max(width, columns) * count))
    for start in range(0, rows, band):
        here = slice(start, min(start + band, rows))
        near = resizer.rows.window(here.start, here.stop)
        shares = source[near].astype(np.float32) / np.float32(255)
        values = resizer.part(shares, (near.start, 0), here, slice(0, columns))
        some = values.sum(axis=-1) > 1e-6
        planes[:, here][:, some] = quantized(values[some]).T
        empty[here] = ~some
    if empty.all():
        raise ImageError(
            "no pixel of it has data, so there is nothing to pack. Choose another part "
            "or another image."
        )
    if empty.any():
        for plane in planes:
            _fill_from_nearest(plane, empty)
    shown = mask[frame.rows, frame.columns]
    return planes, shown[np.ix_(resizer.rows.nearest(), resizer.columns.nearest())]


def make_heights(height: FloatArray, frame: Frame) -> FloatArray | None:
    """Bring heights to the size of a frame; missing ones are filled from the nearest.

    Args:
        height: (H, W) float32 in metres, NaN where there is none. Not modified.
        frame: Which part, and which size.

    Returns:
        (h, w) float32 in metres, all of them numbers; None where none is known.
    """
    part = height[frame.rows, frame.columns].astype(np.float32)
    missing = ~np.isfinite(part)
    if missing.all():
        return None
    if missing.any():
        _fill_from_nearest(part, missing)
    size = part.shape[0], part.shape[1]
    return resizer_of(size, frame.height_size, corners=frame.corners).whole(part)


def _fill_from_nearest(plane: NDArray[Any], empty: NDArray[np.bool_]) -> None:
    """Give empty pixels the value of the nearest that is not, in place."""
    _, labels = cv2.distanceTransformWithLabels(
        empty.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(labels.max()) + 1, plane.dtype)
    values[labels[~empty]] = plane[~empty]
    plane[empty] = values[labels[empty]]
