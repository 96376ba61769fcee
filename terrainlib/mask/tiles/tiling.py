"""Where tiles lie: exactly what one pass would give, or overlapping and blended.

A network's output depends on the input within its receptive field only, and on where
its pooling grid lies. Exact tiles therefore start on multiples of the network's size
multiple, overlap by a margin of at least the receptive field on each side, and end at
the real border where there is one: of each tile only the part is used whose
surroundings the tile holds. Blended tiles overlap by half, and each pixel is the mean
of its tiles, those weighing most in whose middle it lies. No TensorFlow.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]

TILE_SIZE_PX: Final = 1024  # with a margin of 64: 1.3 times the work of one pass


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis, in px of the padded image.

    Attributes:
        start: Where the tile begins.
        stop: Where it ends.
        core: The px that are final once this tile and those before it are done; the
            cores of an axis follow each other without a gap.
    """

    start: int
    stop: int
    core: slice


@dataclass(frozen=True, slots=True)
class Grid:
    """How an image is cut into tiles; all lengths are multiples of one number.

    Attributes:
        size: (H, W) of the padded image in px.
        tile: (H, W) of every tile in px.
        margin: Px of surroundings that an output pixel needs, rounded up.
        multiple: What the lengths are multiples of.
        rows: The tiles along the rows' axis, from the top.
        columns: Those along the columns' axis, from the left.
        blended: Whether tiles overlap by half and are blended.
    """

    size: Size
    tile: Size
    margin: int
    multiple: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    blended: bool = False

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


def round_up(value: int, multiple: int) -> int:
    """Return the next multiple that is not below a value."""
    return -(-value // multiple) * multiple


def exact_grid(
    size: Size,
    *,
    receptive_field: int,
    multiple: int,
    tile_size: int | Size = TILE_SIZE_PX,
) -> Grid:
    """Return the grid whose tiles give exactly what one pass gives.

    Args:
        size: (H, W) of the padded image in px, multiples of `multiple`.
        receptive_field: Px that an output pixel depends on in each direction.
        multiple: What the sizes fed to the network are multiples of.
        tile_size: Largest size in px, of both sides or (H, W). It is raised where a
            tile would be less than half core; tiles are made smaller where as many of
            them still cover the image.
    """
    margin = round_up(receptive_field, multiple)
    largest = _largest(tile_size, margin, multiple)
    rows, columns = (
        _exact(length, tile, margin, multiple)
        for length, tile in zip(size, largest, strict=True)
    )
    return Grid(size, _tile(rows, columns), margin, multiple, rows, columns)


def blend_grid(
    size: Size,
    *,
    receptive_field: int,
    multiple: int,
    tile_size: int | Size = TILE_SIZE_PX,
) -> Grid:
    """Return the grid whose tiles overlap by half, spread evenly; see `exact_grid`."""
    margin = round_up(receptive_field, multiple)
    largest = _largest(tile_size, margin, multiple)
    rows, columns = (
        _overlapping(length, tile, multiple)
        for length, tile in zip(size, largest, strict=True)
    )
    tile = _tile(rows, columns)
    return Grid(size, tile, margin, multiple, rows, columns, blended=True)


def blend_weights(spans: tuple[Span, ...]) -> list[NDArray[np.float32]]:
    """Return the weight of each px of each tile along one axis.

    A Hann window, ``sin²(pi (i + 1/2) / n)``, divided by the sum of those of all tiles
    at the same px: the weights sum to 1 everywhere, so that the image's rim, where
    there is one tile only, has its full weight.

    Returns:
        One (n,) float32 a tile.
    """
    length = spans[0].stop - spans[0].start
    window = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    total = np.zeros(spans[-1].stop)
    for span in spans:
        total[span.start : span.stop] += window
    return [
        (window / total[span.start : span.stop]).astype(np.float32) for span in spans
    ]


def _largest(tile_size: int | Size, margin: int, multiple: int) -> Size:
    sides = (tile_size, tile_size) if isinstance(tile_size, int) else tile_size
    least = max(4 * margin, 2 * multiple)
    height, width = (round_up(max(side, least), multiple) for side in sides)
    return height, width


def _tile(rows: tuple[Span, ...], columns: tuple[Span, ...]) -> Size:
    return rows[0].stop - rows[0].start, columns[0].stop - columns[0].start


def _exact(length: int, largest: int, margin: int, multiple: int) -> tuple[Span, ...]:
    """Return the tiles along one axis of `length` px."""
    if length <= largest:
        return (Span(0, length, slice(0, length)),)
    inner = length - 2 * margin
    count = math.ceil(inner / (largest - 2 * margin))
    tile = round_up(math.ceil(inner / count) + 2 * margin, multiple)
    count = math.ceil(inner / (tile - 2 * margin))  # rounding up may have saved one
    starts = [min(n * (tile - 2 * margin), length - tile) for n in range(count)]
    cuts = [0, *(start + margin for start in starts[1:]), length]
    return tuple(_spans(starts, cuts, tile))


def _overlapping(length: int, largest: int, multiple: int) -> tuple[Span, ...]:
    """Return tiles along one axis, each beginning in the middle of the one before."""
    if length <= largest:
        return (Span(0, length, slice(0, length)),)
    count = math.ceil((length - largest) / (largest // 2)) + 1
    step = (length - largest) / (count - 1)
    starts = [math.floor(n * step / multiple) * multiple for n in range(count - 1)]
    starts.append(length - largest)
    return tuple(_spans(starts, [0, *starts[1:], length], largest))


def _spans(starts: list[int], cuts: list[int], tile: int) -> Iterator[Span]:
    for start, first, end in zip(starts, cuts[:-1], cuts[1:], strict=True):
        yield Span(start, start + tile, slice(first, end))
