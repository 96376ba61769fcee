"""Changing the resolution, the same for a whole image and for any part of it.

Each axis is done by itself: a target pixel is a weighted sum of a few source pixels,
and the weights follow from whole numbers counted from the image's first pixel. A part
computed alone therefore has the values that it has in the whole. No TensorFlow.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.types import FloatArray, Size

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
    """

    source: int
    target: int
    areas: bool

    def window(self, start: int, stop: int) -> slice:
        """Return which source pixels the target pixels `start` to `stop` are made of.

        Args:
            start: First target pixel.
            stop: One more than the last; more than `start`.
        """
        if self.source == self.target:
            return slice(start, stop)
        if self.areas:
            first = start * self.source // self.target
            return slice(first, -(-stop * self.source // self.target))
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
        if self.source == self.target:
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
        target = np.arange(start, stop, dtype=np.int64)
        if self.areas:
            low, high = target * self.source, (target + 1) * self.source
            first = low // self.target
            taps = int((-(-high // self.target) - first).max())
            pixels = first + np.arange(taps)[:, None]
            covered = np.minimum(high, (pixels + 1) * self.target)
            covered -= np.maximum(low, pixels * self.target)
            return pixels, (np.maximum(covered, 0) / self.source).astype(np.float32)
        centre = (2 * target + 1) * self.source - self.target
        left = centre // (2 * self.target)
        share = (centre - left * 2 * self.target) / (2 * self.target)
        pixels = np.clip(np.stack([left, left + 1]), 0, self.source - 1)
        return pixels, np.stack([1 - share, share]).astype(np.float32)

    def _left(self, target: int) -> int:
        """Return the source pixel left of a target pixel's centre; -1 at the edge."""
        return ((2 * target + 1) * self.source - self.target) // (2 * self.target)


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
        values = _contiguous(values) if self.rows.source != self.rows.target else values
        return self.rows.apply(values, origin[0], rows.start, rows.stop)

    def _across(self, values: FloatArray, origin: Size, columns: slice) -> FloatArray:
        if self.columns.source == self.columns.target:
            return values[:, columns.start - origin[1] : columns.stop - origin[1]]
        turned = _contiguous(values.swapaxes(0, 1))
        result = self.columns.apply(turned, origin[1], columns.start, columns.stop)
        return _contiguous(result.swapaxes(0, 1))


def _contiguous(values: NDArray[Any]) -> FloatArray:
    return np.ascontiguousarray(values, np.float32)
