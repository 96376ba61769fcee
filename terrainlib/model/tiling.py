"""Where tiles lie, so that they give exactly what one pass would give.

A network's output depends on the input within its receptive field only, and on where
its pooling grid lies. Exact tiles therefore start on multiples of the network's size
multiple, overlap by a margin of at least the receptive field on each side, and end at
the real border where there is one: of each tile only the part is used whose
surroundings the tile holds. No TensorFlow.
"""

import math
from dataclasses import dataclass
from typing import Final

from terrainlib.types import Size

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
    """

    size: Size
    tile: Size
    margin: int
    multiple: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

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
    tile = rows[0].stop - rows[0].start, columns[0].stop - columns[0].start
    return Grid(size, tile, margin, multiple, rows, columns)


def _largest(tile_size: int | Size, margin: int, multiple: int) -> Size:
    sides = (tile_size, tile_size) if isinstance(tile_size, int) else tile_size
    least = max(4 * margin, 2 * multiple)
    height, width = (round_up(max(side, least), multiple) for side in sides)
    return height, width


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
    cores = map(slice, cuts[:-1], cuts[1:])
    return tuple(
        Span(start, start + tile, core)
        for start, core in zip(starts, cores, strict=True)
    )
