"""Changing the resolution, the same for a whole image and for any part of it.

Each axis is done by itself: a target pixel is a weighted sum of a few source pixels,
and the weights follow from whole numbers counted from the image's first pixel. A part
computed alone therefore has the values that it has in the whole. No TensorFlow.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.types import BoolArray, FloatArray, Size

_VALUES_AT_ONCE: Final = 2**16  # of a step's arrays, so that they stay in the cache


@dataclass(frozen=True, slots=True)
class Axis:
    """How the pixels of one axis become more or fewer.

    Attributes:
        source: Pixels before.
        target: Pixels after.
        areas: Whether a target pixel is the mean of the length it covers (as OpenCV's
            INTER_AREA, for shrinking), or a mixture of the two source pixels nearest
            to its centre (as INTER_LINEAR).
        corners: Whether the target pixels are points from the one end of the axis to
            its other, as the heights of a terrain, instead of the middles of squares.
    """

    source: int
    target: int
    areas: bool
    corners: bool = False

    @property
    def unchanged(self) -> bool:
        """Whether the pixels stay as they are."""
        return self.source == self.target and not self.corners

    def nearest(self) -> NDArray[np.int64]:
        """Return the source pixel in whose square each target pixel lies."""
        places = self._center(np.arange(self.target)) // self._unit
        return np.asarray(np.minimum(places, self.source - 1))

    def window(self, start: int, stop: int) -> slice:
        """Return which source pixels the target pixels `start` to `stop` are made of.

        Args:
            start: First target pixel.
            stop: One more than the last; more than `start`.
        """
        if self.unchanged:
            return slice(start, stop)
        if self.areas:
            low, high = self._length(np.array([start, stop - 1]))
            return slice(int(low[0]) // self._unit, -(-int(high[1]) // self._unit))
        last = self.source - 1
        first, end = self._left(start), self._left(stop - 1) + 1
        return slice(min(max(first, 0), last), min(max(end, 0), last) + 1)

    def edge(self, source_pixel: int) -> int:
        """Return the first target pixel that belongs to a source pixel.

        The pixels between the edges of two neighbouring parts of the source belong to
        one of them only, and all of them together are all target pixels.
        """
        return -(-source_pixel * self.target // self.source)

    @property
    def reach(self) -> int:
        """How many source px beyond a part of the source its own target pixels need."""
        if self.source == self.target:
            return 0
        ratio = -(-self.source // self.target)
        return ratio if self.areas or ratio == 1 else ratio + 1

    def apply(
        self, values: FloatArray, first: int, start: int, stop: int
    ) -> FloatArray:
        """Return target pixels, made from source pixels along the first axis.

        Args:
            values: (n, ...) float32, C-contiguous: at least the source pixels of
                `window(start, stop)`.
            first: Which source pixel `values[0]` is.
            start: First target pixel.
            stop: One more than the last.

        Returns:
            (stop - start, ...) float32.
        """
        if self.unchanged:
            return values[start - first : stop - first]
        flat = values.reshape(len(values), -1)
        result = np.empty((stop - start, flat.shape[1]), np.float32)
        step = max(1, _VALUES_AT_ONCE // max(1, flat.shape[1]))
        for low in range(start, stop, step):
            high = min(low + step, stop)
            part = result[low - start : high - start]
            self._mix(flat, first, (low, high), part)
        return result.reshape(stop - start, *values.shape[1:])

    def _mix(
        self, values: FloatArray, first: int, span: tuple[int, int], result: FloatArray
    ) -> None:
        """Write the weighted sums of rows of (n, m) `values` into `result`."""
        pixels, weights = self._taps(*span)
        pixels = np.clip(pixels - first, 0, len(values) - 1)
        np.take(values, pixels[0], axis=0, out=result, mode="clip")
        result *= weights[0][:, None]
        for tap in range(1, len(pixels)):
            addend = np.take(values, pixels[tap], axis=0, mode="clip")
            addend *= weights[tap][:, None]
            result += addend

    def _taps(self, start: int, stop: int) -> tuple[NDArray[np.int64], FloatArray]:
        """Return the source pixels of target pixels and their weights, (taps, n)."""
        target, unit = np.arange(start, stop, dtype=np.int64), self._unit
        if self.areas:
            low, high = self._length(target)
            first = low // unit
            taps = int((-(-high // unit) - first).max())
            pixels = first + np.arange(taps)[:, None]
            covered = np.minimum(high, (pixels + 1) * unit)
            covered -= np.maximum(low, pixels * unit)
            shares = np.maximum(covered, 0) / (high - low)
            return pixels, shares.astype(np.float32)
        left = self._left(target)
        share = (self._center(target) - unit // 2 - left * unit) / unit
        pixels = np.clip(np.stack([left, left + 1]), 0, self.source - 1)
        return pixels, np.stack([1 - share, share]).astype(np.float32)

    @property
    def _unit(self) -> int:
        """Lengths are counted in parts of a source pixel: how many parts it has."""
        return 2 * (self.target - self.corners)

    def _center(self, target: Any) -> Any:
        return (2 * target + (not self.corners)) * self.source

    def _length(self, target: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Return where the length that a target pixel covers begins and ends."""
        center, end = self._center(target), self.source * self._unit
        return np.maximum(center - self.source, 0), np.minimum(
            center + self.source, end
        )

    def _left(self, target: Any) -> Any:
        """Return the source pixel left of a target pixel's centre; -1 at the edge."""
        return (self._center(target) - self._unit // 2) // self._unit


@dataclass(frozen=True, slots=True)
class Resizer:
    """How an image changes its resolution.

    Attributes:
        rows: What happens along the rows' axis.
        columns: The same for the columns.
    """

    rows: Axis
    columns: Axis

    @classmethod
    def between(cls, size: Size, target: Size, *, linear: bool = False) -> Self:
        """Return what brings an image of one size to another.

        Args:
            size: (H, W) before, px.
            target: (H, W) after, px.
            linear: Mix neighbours even where the image shrinks.
        """
        areas = target[0] <= size[0] and target[1] <= size[1] and not linear
        return cls(Axis(size[0], target[0], areas), Axis(size[1], target[1], areas))

    def window(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Return the source pixels that target pixels are made of."""
        return (
            self.rows.window(rows.start, rows.stop),
            self.columns.window(columns.start, columns.stop),
        )

    def part(
        self, values: FloatArray, origin: Size, rows: slice, columns: slice
    ) -> FloatArray:
        """Return a part of the target.

        Args:
            values: (n, m) or (n, m, C) float32: at least the source pixels of
                `window(rows, columns)`.
            origin: Which source row and column `values[0, 0]` is.
            rows: Rows of the target.
            columns: Columns of the target.

        Returns:
            The part, float32 (rows, columns) or (rows, columns, C).
        """
        if self.rows.target <= self.rows.source:  # the smaller array comes second
            return self._across(self._down(values, origin, rows), origin, columns)
        return self._down(self._across(values, origin, columns), origin, rows)

    def whole(self, values: FloatArray) -> FloatArray:
        """Return the whole target of the whole source (H, W) or (H, W, C)."""
        everything = slice(0, self.rows.target), slice(0, self.columns.target)
        return self.part(values, (0, 0), *everything)

    def _down(self, values: FloatArray, origin: Size, rows: slice) -> FloatArray:
        values = values if self.rows.unchanged else _contiguous(values)
        return self.rows.apply(values, origin[0], rows.start, rows.stop)

    def _across(self, values: FloatArray, origin: Size, columns: slice) -> FloatArray:
        if self.columns.unchanged:
            return values[:, columns.start - origin[1] : columns.stop - origin[1]]
        turned = _contiguous(values.swapaxes(0, 1))
        result = self.columns.apply(turned, origin[1], columns.start, columns.stop)
        return _contiguous(result.swapaxes(0, 1))


def _contiguous(values: NDArray[Any]) -> FloatArray:
    return np.ascontiguousarray(values, np.float32)


def shrink(picture: NDArray[Any], longest_px: int, *, nearest: bool) -> NDArray[Any]:
    """Return a picture (H, W[, C]) whose longer side is at most `longest_px`.

    With `nearest` no values are mixed, as in masks; else areas are averaged.
    """
    height, width = picture.shape[:2]
    factor = longest_px / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return cv2.resize(picture, size, interpolation=method)


def mean_of_squares(
    pixels: FloatArray, known: BoolArray, step: int
) -> tuple[FloatArray, BoolArray]:
    """Return the means over squares of `step` px, what has no data left out.

    Args:
        pixels: (H, W, B) float32; NaN where a band knows nothing.
        known: (H, W), where there is data.
        step: Side of a square, px.

    Returns:
        (h, w, B) float32, and where there is data, (h, w); rounded up, so that the last
        squares may reach beyond the edge.
    """
    if step == 1:
        return pixels, known
    height, width = known.shape
    edges = ((0, -height % step), (0, -width % step))
    pixels = np.pad(pixels, (*edges, (0, 0)), mode="edge")
    known = np.pad(known, edges, mode="edge")
    if known.all() and not np.isnan(pixels[..., -1]).any():
        small = (known.shape[1] // step, known.shape[0] // step)
        mean = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
        mean = np.asarray(mean, np.float32).reshape(small[1], small[0], -1)
        return mean, np.ones((small[1], small[0]), bool)
    shape = (known.shape[0] // step, step, known.shape[1] // step, step)
    inside = known.reshape(shape).sum(axis=(1, 3))
    valid = known[..., None] & ~np.isnan(pixels)
    filled = np.where(valid, pixels, 0).reshape(*shape, -1).sum(axis=(1, 3))
    counts = valid.reshape(*shape, -1).sum(axis=(1, 3))
    metres = np.where(counts > 0, filled / np.maximum(counts, 1), np.nan)
    metres = np.where(inside[..., None] > 0, metres, 0)
    return np.asarray(metres, np.float32), inside > 0
