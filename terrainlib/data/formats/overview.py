"""A small picture of a large one, from no more of it than can be read at once.

A file is decoded by blocks, and every block costs the same however few of its pixels
are looked at. So the blocks decide: where those that the small picture touches are too
many, an evenly spread part of them is read, and what lies between is filled from what
lies around it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.raster import Raster, spread
from terrainlib.types import BoolArray, FloatArray, Window

_BUDGET_BYTES: Final = 128_000_000
_LEAST_BLOCK_BYTES: Final = 128_000  # decoding so much takes as long as asking for it
_OVERSAMPLING: Final = 2  # so that areas are averaged, not picked
_HIDDEN_GAP_PX: Final = 4  # of the oversampled picture; less does not show
_GOLDEN: Final = 0.618


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What an overview is made from: an image, or an overview inside its file.

    Attributes:
        shape: (H, W), px.
        block: Rows and columns of the blocks that it is decoded by.
        pixel_bytes: Bytes that are decoded for a pixel; 0 if it is in memory.
        read: Returns the pixels under a window.
        scale: Turns them into (h, w, 3) float32 RGB in [0, 1].
    """

    shape: tuple[int, int]
    block: tuple[int, int]
    pixel_bytes: int
    read: Callable[[Window], Raster]
    scale: Callable[[Raster], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """A small picture.

    Attributes:
        rgb: (h, w, 3) float32 in [0, 1], 0 where there is no data.
        valid: (h, w) bool.
        blurred: Whether it shows means because only parts of the image were read.
    """

    rgb: FloatArray
    valid: BoolArray
    blurred: bool


def fitted(height: int, width: int, size: int) -> tuple[int, int]:
    """Return the height and width of a picture of at most `size` px; never enlarged."""
    factor = min(1.0, size / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def overview(layer: Layer, small: tuple[int, int]) -> Overview:
    """Return a small picture of (h, w) px."""
    plan = _plan(layer, small, _OVERSAMPLING)
    blurred = plan.every > 1 and max(plan.gap()) > _HIDDEN_GAP_PX
    if blurred:  # finer detail than is shown is of no use
        plan = _plan(layer, small, 1)
    rows, columns = plan.wanted
    rgb = np.zeros((len(rows), len(columns), 3), np.float32)
    valid, known = (np.zeros(rgb.shape[:2], bool) for _ in range(2))
    for row, column in plan.blocks():
        part = layer.read((_span(rows[row]), _span(columns[column])))
        inside = np.ix_(rows[row] - rows[row][0], columns[column] - columns[column][0])
        part = replace(part, pixels=part.pixels[inside], valid=part.valid[inside])
        rgb[row, column] = layer.scale(part)
        valid[row, column] = part.valid
        known[row, column] = True
    if plan.every > 1:
        rgb, valid = _filled(rgb, valid, known, plan.gap(), keep=not blurred)
    return Overview(*_averaged(rgb, valid, small), blurred)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What is looked at.

    Attributes:
        wanted: Numbers of rows, and of columns; evenly spread, increasing.
        groups: Which of them lie in each row, and column, of blocks.
        every: One of so many blocks is read.
    """

    wanted: tuple[NDArray[np.int64], NDArray[np.int64]]
    groups: tuple[list[slice], list[slice]]
    every: int

    @property
    def is_line(self) -> bool:
        """Whether there is only one row or column of blocks."""
        return min(len(group) for group in self.groups) == 1

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield which rows and columns of the picture are read together.

        The blocks form a lattice of the golden ratio, in which no gap is long.
        """
        rows, columns = self.groups
        step = 1 if self.is_line else round(self.every * _GOLDEN)
        middle = (len(rows) // 2 * step + len(columns) // 2) % self.every
        for y, row in enumerate(rows):
            for x, column in enumerate(columns):
                if (y * step + x) % self.every == middle:
                    yield row, column

    def gap(self) -> tuple[int, int]:
        """Return the rows and columns from one block that is read to the next."""
        reach = self.every if self.is_line else self.every**0.5
        down, across = (
            1
            if len(group) == 1
            else max(2, round(reach * max(part.stop - part.start for part in group)))
            for group in self.groups
        )
        return down, across


def _plan(layer: Layer, small: tuple[int, int], oversampling: int) -> _Plan:
    """Return what to look at for a small picture of (h, w) px."""
    rows, columns = (
        np.array(spread(length, min(length, oversampling * count)))
        for length, count in zip(layer.shape, small, strict=True)
    )
    block = _read_together(layer, small)
    groups = _groups(rows, block[0]), _groups(columns, block[1])
    size = block[0] * block[1] * layer.pixel_bytes
    cost = max(size, _LEAST_BLOCK_BYTES) if size else 0
    every = -(-cost * len(groups[0]) * len(groups[1]) // _BUDGET_BYTES)
    return _Plan((rows, columns), groups, max(1, every))


def _read_together(layer: Layer, small: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns to read at once: blocks, or some of them if small.

    Blocks are joined only along the sides where pixels of every one are wanted.
    """
    size = list(layer.block)
    free = [
        axis
        for axis in (0, 1)
        if _OVERSAMPLING * small[axis] * size[axis] >= layer.shape[axis]
    ]
    while (
        layer.pixel_bytes and size[0] * size[1] * layer.pixel_bytes < _LEAST_BLOCK_BYTES
    ):
        free = [axis for axis in free if size[axis] < layer.shape[axis]]
        if not free:
            break
        size[min(free, key=lambda axis: size[axis])] *= 2
    return size[0], size[1]


def _groups(wanted: NDArray[np.int64], block: int) -> list[slice]:
    """Return which of the wanted rows lie in each block that holds any."""
    starts = np.flatnonzero(np.diff(wanted // block, prepend=-1)).tolist()
    return [
        slice(a, b) for a, b in zip(starts, [*starts[1:], len(wanted)], strict=True)
    ]


def _filled(
    rgb: FloatArray,
    valid: BoolArray,
    known: BoolArray,
    gap: tuple[int, int],
    *,
    keep: bool,
) -> tuple[FloatArray, BoolArray]:
    """Return means of what is known around each pixel, by boxes that span the gaps.

    Normalised convolution (Knutsson and Westin 1993, doi:10.1109/CVPR.1993.341081).

    Args:
        rgb: (h, w, 3) float32, 0 where nothing is known or there is no data.
        valid: (h, w) bool.
        known: (h, w) bool.
        gap: Rows and columns from one known part to the next.
        keep: Whether known pixels stay as they are.
    """
    import cv2

    sums, weight = np.dstack([rgb, valid]), known.astype(np.float32)
    box = (gap[1] | 1, gap[0] | 1)
    passes = 0
    while passes < 2 or not weight.all():
        sums, weight = (
            np.asarray(cv2.blur(a, box, borderType=cv2.BORDER_CONSTANT), np.float32)
            for a in (sums, weight)
        )
        passes += 1
    shown = sums[..., 3] >= weight / 2
    filled = sums[..., :3] / np.maximum(sums[..., 3:], np.float32(1e-9))
    if keep:
        filled[known], shown[known] = rgb[known], valid[known]
    filled[~shown] = 0
    return np.clip(filled, 0.0, 1.0), shown


def _averaged(
    rgb: FloatArray, valid: BoolArray, small: tuple[int, int]
) -> tuple[FloatArray, BoolArray]:
    """Return means of the pixels with data, where at least half have them."""
    import cv2

    if valid.shape == small:
        return rgb, valid
    size = small[::-1]
    share = cv2.resize(valid.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    shown = np.asarray(share >= 0.5)
    mean = np.zeros((*small, 3), np.float32)
    np.divide(sums, share[..., None], out=mean, where=shown[..., None])
    return np.minimum(mean, 1.0), shown


def _span(numbers: NDArray[np.int64]) -> slice:
    return slice(int(numbers[0]), int(numbers[-1]) + 1)
