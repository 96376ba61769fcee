"""Where tiles lie, so that together they give exactly what one pass would.

A network's output depends on the input within its receptive field only, and on where
its pooling grid lies. Tiles therefore start on multiples of the network's size
multiple, overlap by a margin of at least the receptive field on each side, and end at
the real border where there is one: of each tile only the part is used whose
surroundings the tile holds. No TensorFlow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

TILE_SIZE_PX: Final = 768  # with a margin of 128: 2.25 times the work of one pass


@dataclass(frozen=True, slots=True)
class Grid:
    """How an image is cut into tiles; all lengths are multiples of one number.

    Attributes:
        size: (H, W) of the padded image in px.
        tile: (H, W) of every tile in px.
        margin: Px at the inner sides of a tile whose output is not used.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    margin: int


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile.

    Attributes:
        source: Rows and columns of the image to feed to the network.
        target: Rows and columns of the image that the tile decides.
        core: The same pixels, counted within the tile.
    """

    source: tuple[slice, slice]
    target: tuple[slice, slice]
    core: tuple[slice, slice]


def exact_grid(
    size: tuple[int, int],
    *,
    receptive_field: int,
    multiple: int,
    tile_size: int = TILE_SIZE_PX,
) -> Grid:
    """Return the grid whose tiles give exactly what one pass gives.

    Args:
        size: (H, W) of the padded image in px, multiples of `multiple`.
        receptive_field: Px that an output pixel depends on in each direction.
        multiple: What the sizes fed to the network are multiples of.
        tile_size: Wanted size in px. It is raised where a tile would be less than half
            core, and lowered to the image's where that is smaller.
    """
    margin = round_up(receptive_field, multiple)
    wanted = round_up(max(tile_size, 4 * margin), multiple)
    return Grid(size, (min(wanted, size[0]), min(wanted, size[1])), margin)


def tiles(grid: Grid) -> list[Tile]:
    """Return the tiles of a grid, row by row; their targets cover each pixel once."""
    lengths = list(zip(grid.size, grid.tile, strict=True))
    rows, columns = (list(_spans(*length, grid.margin)) for length in lengths)
    return [
        Tile(
            source=(row[0], column[0]),
            target=(row[1], column[1]),
            core=(row[2], column[2]),
        )
        for row in rows
        for column in columns
    ]


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple that is not below `value`.

    Example:
        >>> round_up(100, 16)
        112
    """
    return -(-value // multiple) * multiple


def _spans(length: int, tile: int, margin: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yield source, target and core of each tile along one axis."""
    step = max(1, tile - 2 * margin)  # a single tile may be all margin
    starts = [*range(0, length - tile, step), length - tile]
    cuts = [0, *(start + margin for start in starts[1:]), length]
    for start, first, end in zip(starts, cuts[:-1], cuts[1:], strict=True):
        yield (
            slice(start, start + tile),
            slice(first, end),
            slice(first - start, end - start),
        )
