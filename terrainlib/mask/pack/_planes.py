"""Resampling of weights, masks and heights for a pack, rows by rows.

A pixel is a square of ground. Values stand either for squares (n squares over the
length) or for corners of squares (n points from rim to rim, as a terrain's heights).
Shrinking averages the ground around each; enlarging goes in a straight line from
centre to centre.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA
from terrainlib.errors import ImageError
from terrainlib.mask.pack.target import Frame
from terrainlib.mask.tiles.bands import Bytes, quantized

FloatArray = NDArray[np.float32]

_BAND_VALUES: Final = 2**22
_KNOWN_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """How n values come of L along one side.

    Attributes:
        first: (n,) int64, first of the source values that count for each.
        weights: (n, T) float32, what the T values from there count; each row sums to 1.
        nearest: (n,) int64, the source value whose square holds each.
    """

    first: NDArray[np.int64]
    weights: FloatArray
    nearest: NDArray[np.int64]

    @property
    def keeps(self) -> bool:
        """Whether the values stay what they are."""
        return bool(self.weights.shape[1] == 1)


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Weights and class mask at the size of a pack.

    Attributes:
        weights: (K, h, w) uint8, summing to 255 in every pixel.
        mask: (h, w) uint8 class indices, 255 = no data.
    """

    weights: Bytes
    mask: Bytes


def axis_of(length: int, count: int, *, corners: bool) -> Axis:
    """Return how `count` values come of `length`.

    Args:
        length: Source values, at least 1.
        count: Values wanted, at least 1, or 2 for corners.
        corners: Whether they stand for corners, rim to rim, or for squares.
    """
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
    weights: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    mask: Bytes | None,
    frame: Frame,
) -> Planes:
    """Bring weights and mask to the size of a frame.

    Pixels without data count nothing; where nothing else is around, the weights are
    those of the nearest pixel with data, and the mask says no data.

    Args:
        weights: (H, W, K) float32 probabilities or uint8 in 255ths, or 0 in all
            classes where there is no data. Not modified.
        valid: (H, W) bool, False where there is no data; None if the weights say so.
        mask: (H, W) uint8 class mask to show; None for the most probable classes.
        frame: Which part, and which size.

    Raises:
        ImageError: If there is no data at all.
    """
    rows, columns = frame.size
    source = weights[frame.rows, frame.columns]
    down = axis_of(source.shape[0], rows, corners=frame.weight_corners)
    across = axis_of(source.shape[1], columns, corners=frame.weight_corners)
    unknown = None if valid is None else ~valid[frame.rows, frame.columns]
    count = weights.shape[2]
    planes = np.zeros((count, rows, columns), np.uint8)
    index = np.full((rows, columns), NO_DATA, np.uint8)
    empty = np.zeros((rows, columns), bool)
    band = max(1, _BAND_VALUES // (max(source.shape[1], columns) * count))
    for start in range(0, rows, band):
        here = slice(start, min(start + band, rows))
        values = resampled(*_rows_for(source, unknown, down, here), across)
        known = values.sum(axis=-1)
        some = known > 1e-6
        planes[:, here][:, some] = quantized(values[some]).T
        best = values.argmax(axis=-1).astype(np.uint8)
        index[here] = np.where(known >= _KNOWN_SHARE, best, NO_DATA)
        empty[here] = ~some
    if mask is not None:
        part = mask[frame.rows, frame.columns]
        index = part[down.nearest[:, None], across.nearest[None, :]]
    if empty.all():
        raise ImageError(
            "no pixel of it has data, so there is nothing to pack. Choose another part "
            "or another image."
        )
    if empty.any():
        for plane in planes:
            fill_from_nearest(plane, empty)
    return Planes(planes, index)


def make_heights(height: FloatArray, frame: Frame) -> FloatArray:
    """Bring heights to the size of a frame; missing ones are filled from the nearest.

    Args:
        height: (H, W) float32 in metres, NaN where there is none, not everywhere.
        frame: Which part, and which size.

    Returns:
        (h, w) float32 in metres, all of them numbers.
    """
    part = height[frame.rows, frame.columns].astype(np.float32)
    missing = ~np.isfinite(part)
    if missing.any():
        fill_from_nearest(part, missing)
    down, across = (
        axis_of(length, count, corners=frame.corners)
        for length, count in zip(part.shape, frame.height_size, strict=True)
    )
    return resampled(part, down, across)


def fill_from_nearest(plane: NDArray[Any], empty: NDArray[np.bool_]) -> None:
    """Give empty pixels the value of the nearest that is not, in place.

    Args:
        plane: (H, W) of any type.
        empty: (H, W) bool, not True everywhere.
    """
    _, labels = cv2.distanceTransformWithLabels(
        empty.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(labels.max()) + 1, plane.dtype)
    values[labels[~empty]] = plane[~empty]
    plane[empty] = values[labels[empty]]


def _rows_for(
    source: NDArray[Any], unknown: NDArray[np.bool_] | None, down: Axis, here: slice
) -> tuple[FloatArray, Axis]:
    """Return the source rows that some rows come of, and how they do."""
    first = down.first[here]
    stop = min(int(first[-1]) + down.weights.shape[1], source.shape[0])
    start = int(first[0])
    values = source[start:stop].astype(np.float32)
    if source.dtype == np.uint8:
        values /= np.float32(255)
    if unknown is not None:
        values[unknown[start:stop]] = 0
    return values, Axis(first - start, down.weights[here], down.nearest[here])


def _along(values: FloatArray, axis: Axis, side: int) -> FloatArray:
    """Resample along the rows (0) or the columns (1)."""
    if axis.keeps:
        return np.take(values, axis.first, axis=side)
    shape = [1] * values.ndim
    shape[side] = -1
    last = values.shape[side] - 1
    total: FloatArray | None = None
    for tap in range(axis.weights.shape[1]):
        picked = np.take(values, np.minimum(axis.first + tap, last), axis=side)
        picked *= axis.weights[:, tap].reshape(shape)
        total = picked if total is None else np.add(total, picked, out=total)
    return values if total is None else total
