"""Resampling of weights, masks and heights for a pack, rows by rows.

A pixel is a square of ground. Values stand either for squares (n squares over the
length) or for corners of squares (n points from edge to edge, as a terrain's heights).
Shrinking averages the ground around each; enlarging goes in a straight line from
centre to centre.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import ImageError
from terrainlib.mask.tiles.bands import quantized
from terrainlib.types import ByteArray, FloatArray

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


class Axis(NamedTuple):
    """How n values come of L along one side.

    Attributes:
        first: (n,) int64, first of the source values that count for each.
        weights: (n, T) float32, what the T values from there count; each row sums to 1.
        nearest: (n,) int64, the source value whose square holds each.
    """

    first: NDArray[np.int64]
    weights: FloatArray
    nearest: NDArray[np.int64]


def axis_of(length: int, count: int, *, corners: bool) -> Axis:
    """Return how `count` values come of `length`, both at least 1 (2 for corners)."""
    step = length / (count - 1 if corners else count)
    centers = (np.arange(count) + (0.0 if corners else 0.5)) * step
    nearest = np.minimum(centers.astype(np.int64), length - 1)
    if step == 1 and not corners:
        return Axis(nearest, np.ones((count, 1), np.float32), nearest)
    if step > 1:
        low = np.maximum(centers - step / 2, 0)
        high = np.minimum(centers + step / 2, length)
        first = np.minimum(low.astype(np.int64), length - 1)
        squares = first[:, None] + np.arange(int(np.ceil(step)) + 1)
        shares = np.minimum(high[:, None], squares + 1) - np.maximum(
            low[:, None], squares
        )
        weights = np.maximum(shares, 0)
    else:
        position = np.clip(centers - 0.5, 0, length - 1)
        first = np.minimum(position.astype(np.int64), max(length - 2, 0))
        weights = np.stack([1 - (position - first), position - first], axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    return Axis(first, weights.astype(np.float32), nearest)


def resampled(values: FloatArray, down: Axis, across: Axis) -> FloatArray:
    """Resample (H, W) or (H, W, K) values to (h, w) or (h, w, K)."""
    return _along(_along(values, down, 0), across, 1)


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
    down, across = (
        axis_of(length, wanted, corners=frame.weight_corners)
        for length, wanted in zip(source.shape[:2], frame.size, strict=True)
    )
    planes = np.zeros((count, rows, columns), np.uint8)
    empty = np.zeros((rows, columns), bool)
    band = max(1, _BAND_VALUES // (max(source.shape[1], columns) * count))
    for start in range(0, rows, band):
        here = slice(start, start + band)
        first = down.first[here]
        top, stop = int(first[0]), int(first[-1]) + down.weights.shape[1]
        part = Axis(first - top, down.weights[here], down.nearest[here])
        near = source[top:stop].astype(np.float32) / np.float32(255)
        values = resampled(near, part, across)
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
    return planes, shown[down.nearest[:, None], across.nearest[None, :]]


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
    down, across = (
        axis_of(length, count, corners=frame.corners)
        for length, count in zip(part.shape, frame.height_size, strict=True)
    )
    return resampled(part, down, across)


def _fill_from_nearest(plane: NDArray[Any], empty: NDArray[np.bool_]) -> None:
    """Give empty pixels the value of the nearest that is not, in place."""
    _, labels = cv2.distanceTransformWithLabels(
        empty.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(labels.max()) + 1, plane.dtype)
    values[labels[~empty]] = plane[~empty]
    plane[empty] = values[labels[empty]]


def _along(values: FloatArray, axis: Axis, side: int) -> FloatArray:
    """Resample along the rows (0) or the columns (1), a tap after the other."""
    if axis.weights.shape[1] == 1:
        return np.take(values, axis.first, axis=side)
    shape = [1] * values.ndim
    shape[side] = -1
    last = values.shape[side] - 1
    total = np.float32(0)
    for tap in range(axis.weights.shape[1]):
        picked = np.take(values, np.minimum(axis.first + tap, last), axis=side)
        picked *= axis.weights[:, tap].reshape(shape)
        total = np.add(total, picked, out=picked)
    return np.asarray(total)
