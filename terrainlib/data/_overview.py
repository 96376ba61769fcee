"""A small picture of a large one, from no more of it than can be read at once.

A file is decoded by blocks, and every block costs the same however few of its pixels
are looked at. So the blocks decide: where those that the small picture touches are too
many, evenly spread rows and columns of them are read, and the gaps are filled by what
lies on both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data._raster import Raster
from terrainlib.data._windows import Window, spread

_BUDGET_BYTES: Final = 128_000_000
_LEAST_BLOCK_BYTES: Final = (
    128_000  # what asking for a block costs, however small it is
)
_OVERSAMPLING: Final = 2  # so that areas are averaged, not picked

Read = Callable[[Window], Raster]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What an overview is made from: an image, or an overview inside its file.

    Attributes:
        shape: (H, W), px.
        block: Rows and columns of the blocks that it is decoded by.
        pixel_bytes: Bytes that are decoded for a pixel; 0 if it is in memory.
        read: Returns the pixels under a window.
    """

    shape: tuple[int, int]
    block: tuple[int, int]
    pixel_bytes: int
    read: Read


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """The rows or columns of an image that are looked at.

    Attributes:
        wanted: (n,) numbers of evenly spread rows, increasing.
        kept: Those of them that are read, increasing.
        block: Rows of a block.
    """

    wanted: NDArray[np.int64]
    kept: NDArray[np.int64]
    block: int

    def groups(self) -> list[tuple[slice, slice]]:
        """Return the kept rows of each block: where in the image, and which of them."""
        starts = np.flatnonzero(np.diff(self.kept // self.block, prepend=-1))
        ends = [*starts[1:], len(self.kept)]
        return [
            (slice(int(self.kept[a]), int(self.kept[b - 1]) + 1), slice(int(a), int(b)))
            for a, b in zip(starts, ends, strict=True)
        ]

    @property
    def places(self) -> NDArray[np.int64]:
        """Which of the wanted rows are kept, (k,)."""
        return np.searchsorted(self.wanted, self.kept)

    @property
    def gap(self) -> int:
        """Greatest distance from one kept row to the next, in wanted rows."""
        ends = (-1, len(self.wanted))
        return int(np.diff(self.places, prepend=ends[0], append=ends[1]).max())


def fitted(height: int, width: int, size: int) -> tuple[int, int]:
    """Return the height and width of a picture of at most `size` px; never enlarged."""
    factor = min(1.0, size / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def lattices(layer: Layer, small: tuple[int, int]) -> tuple[Lattice, Lattice]:
    """Return the rows and columns to look at for a small picture of (h, w) px."""
    wanted = [
        np.array(spread(length, min(length, _OVERSAMPLING * count)))
        for length, count in zip(layer.shape, small, strict=True)
    ]
    blocks = [np.unique(w // b) for w, b in zip(wanted, layer.block, strict=True)]
    size = layer.block[0] * layer.block[1] * layer.pixel_bytes
    cost = max(size, _LEAST_BLOCK_BYTES)
    share = min(1.0, _BUDGET_BYTES / (cost * len(blocks[0]) * len(blocks[1])))
    across = _some(len(blocks[1]), share**0.5)
    down = _some(len(blocks[0]), share * len(blocks[1]) / across)
    rows, columns = (
        Lattice(w, w[np.isin(w // b, touched[spread(len(touched), count)])], b)
        for w, b, touched, count in zip(
            wanted, layer.block, blocks, (down, across), strict=True
        )
    )
    return rows, columns


def gather(read: Read, rows: Lattice, columns: Lattice) -> Raster:
    """Return the kept rows and columns of an image, read block by block."""
    across = columns.groups()
    strips = [
        [_picked(read, rows, columns, row, column) for column in across]
        for row in rows.groups()
    ]
    pixels = [
        np.concatenate([part.pixels for part in strip], axis=1) for strip in strips
    ]
    valid = [np.concatenate([part.valid for part in strip], axis=1) for strip in strips]
    return replace(
        strips[0][0], pixels=np.concatenate(pixels), valid=np.concatenate(valid)
    )


def small_picture(
    rgb: NDArray[np.float32],
    valid: NDArray[np.bool_],
    axes: tuple[Lattice, Lattice],
    small: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return gathered pixels as the small picture.

    Args:
        rgb: Kept rows and columns, float32 RGB in [0, 1].
        valid: Where of them there is data, bool.
        axes: Which rows and columns they are.
        small: (h, w) of the small picture, px.

    Returns:
        (h, w, 3) float32 in [0, 1], and (h, w) bool.
    """
    import cv2

    if any(axis.gap > 1 for axis in axes):
        rgb, valid = _without_gaps(rgb, valid, axes)
    if valid.shape == small:
        return rgb, valid
    share = cv2.resize(
        valid.astype(np.float32), small[::-1], interpolation=cv2.INTER_AREA
    )
    mean = cv2.resize(rgb, small[::-1], interpolation=cv2.INTER_AREA)
    shown = share >= 0.5
    result = np.zeros((*small, 3), np.float32)
    np.divide(mean, share[..., None], out=result, where=shown[..., None])
    return np.minimum(result, 1.0), shown


def _without_gaps(
    rgb: NDArray[np.float32], valid: NDArray[np.bool_], axes: tuple[Lattice, Lattice]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return all wanted pixels: those that were read, and means of them between.

    The mean of what was read and is valid within a box that spans the gaps, taken twice
    (normalised convolution: Knutsson and Westin 1993, doi:10.1109/CVPR.1993.341081).
    """
    import cv2

    inside = np.ix_(*(axis.places for axis in axes))
    values = np.zeros((*(len(axis.wanted) for axis in axes), 4), np.float32)
    values[inside] = np.dstack([rgb, valid])  # colours are 0 where there is no data
    known = np.zeros(values.shape[:2], np.float32)
    known[inside] = 1
    box = tuple(2 * (axis.gap - 1) + 1 for axis in axes[::-1])
    for _ in range(2):
        values, known = (
            cv2.blur(array, box, borderType=cv2.BORDER_CONSTANT)
            for array in (values, known)
        )
    weight = values[..., 3:]
    filled = values[..., :3] / np.maximum(weight, np.float32(1e-6))
    shown = values[..., 3] >= known / 2
    filled[inside], shown[inside] = rgb, valid
    filled[~shown] = 0
    return filled, shown


def _some(count: int, share: float) -> int:
    """Return a share of a number, at least 1 and at most all."""
    return max(1, min(count, int(count * share)))


def _picked(
    read: Read,
    rows: Lattice,
    columns: Lattice,
    row: tuple[slice, slice],
    column: tuple[slice, slice],
) -> Raster:
    """Return the kept pixels of one block."""
    part = read((row[0], column[0]))
    inside = np.ix_(
        rows.kept[row[1]] - row[0].start, columns.kept[column[1]] - column[0].start
    )
    return replace(part, pixels=part.pixels[inside], valid=part.valid[inside])
