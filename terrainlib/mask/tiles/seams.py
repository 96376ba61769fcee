"""The seam certificate: how much a mask depends on where its tiles lay.

Windows with a tile border in their middle are predicted once more, and the output is
compared with what was handed on there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.mask.tiles.blocks import Block
from terrainlib.mask.tiles.tilepass import TilePass
from terrainlib.mask.tiles.tiling import Grid, Size, Span, round_up
from terrainlib.types import Count, Finite

MAX_WINDOWS: Final = 8
_HALF_PX: Final = 32  # of the square around a border that is compared


@dataclass(frozen=True, slots=True)
class SeamCertificate:
    """What predicting across tile borders once more has shown.

    Attributes:
        largest_difference: Of a probability, or of a colour in [0, 1] for networks of
            colours, anywhere in the windows.
        windows: How many were compared.
    """

    largest_difference: Finite
    windows: Count


@dataclass(frozen=True, slots=True, eq=False)
class _Patch:
    """A square over a tile border.

    Attributes:
        after: Number of the row of tiles after which its output is final.
        window: Row and column where the tile begins that is predicted again.
        rows: Rows compared, in px of the padded image.
        columns: Columns compared.
        seen: (h, w, O) float32, the output handed on; NaN where there was none.
    """

    after: int
    window: Size
    rows: slice
    columns: slice
    seen: NDArray[np.float32]


class SeamCheck:
    """Follows a pass and predicts again where its tiles meet.

    Args:
        tiles: The pass.
        working: (h, w) of the image at the working resolution, without padding.
        outputs: Channels of the network's output.
        ring: As for `blocks.final_blocks`.

    Attributes:
        windows: How many will be predicted again.
    """

    def __init__(self, tiles: TilePass, working: Size, outputs: int, ring: int) -> None:
        self._tiles = tiles
        self._outputs = outputs
        self._patches = _patches(tiles.grid, working, outputs, ring)
        self._largest = 0.0
        self._compared = 0
        self.windows = len(self._patches)

    @property
    def certificate(self) -> SeamCertificate | None:
        """What was found until now; None where nothing was compared."""
        if not self._compared:
            return None
        return SeamCertificate(self._largest, self._compared)

    def observe(self, block: Block) -> None:
        """Note what is handed on."""
        if block.planes is None:
            return
        for patch in self._patches:
            rows = _common(patch.rows, block.rows)
            columns = _common(patch.columns, block.columns)
            if rows.start < rows.stop and columns.start < columns.stop:
                part = block.part(rows, columns)
                top, left = patch.rows.start, patch.columns.start
                patch.seen[
                    rows.start - top : rows.stop - top,
                    columns.start - left : columns.stop - left,
                ] = part[..., : self._outputs] if part is not None else np.nan

    def after_row(self, number: int) -> None:
        """Predict again what a row of tiles has completed."""
        ready = [patch for patch in self._patches if patch.after == number]
        height, width = self._tiles.grid.tile
        for first in range(0, len(ready), self._tiles.batch):
            group = ready[first : first + self._tiles.batch]
            top = group[0].window[0]
            places = [slice(p.window[1], p.window[1] + width) for p in group]
            outputs = self._tiles.outputs(slice(top, top + height), places)
            for patch, output in zip(group, outputs, strict=True):
                self._compare(patch, output)
            self._tiles.report(len(group))

    def _compare(self, patch: _Patch, output: NDArray[np.float32]) -> None:
        again = output[
            patch.rows.start - patch.window[0] : patch.rows.stop - patch.window[0],
            patch.columns.start - patch.window[1] : patch.columns.stop
            - patch.window[1],
        ]
        differences = np.abs(again - patch.seen)
        seen = np.isfinite(differences)
        if seen.any():
            self._largest = max(self._largest, float(differences[seen].max()))
            self._compared += 1


def rows_kept(grid: Grid) -> int:
    """Return how many rows above a row of tiles a check needs."""
    half = round_up(_HALF_PX, grid.multiple)
    return half + grid.margin if grid.blended else half


def _patches(grid: Grid, working: Size, outputs: int, ring: int) -> list[_Patch]:
    """Return squares over tile borders, evenly spread."""
    if len(grid) == 1:
        return []
    downs: Sequence[tuple[int, Span | None]] = list(enumerate(grid.rows))[1:]
    acrosses: Sequence[Span | None] = grid.columns[1:]
    places = [
        (number, row, column)
        for number, row in downs or [(0, None)]
        for column in acrosses or [None]
    ]
    chosen = np.linspace(0, len(places) - 1, min(MAX_WINDOWS, len(places)))
    patches = []
    for index in np.unique(np.rint(chosen).astype(int)):
        number, row, column = places[index]
        last = working[0]
        if grid.blended and number + 1 < len(grid.rows):
            last = min(last, grid.rows[number].core.stop - ring)
        elif not grid.blended:
            last = min(last, grid.rows[number].core.stop)
        top, rows = _along(grid, 0, row, last)
        left, columns = _along(grid, 1, column, working[1])
        if rows.start < rows.stop and columns.start < columns.stop:
            shape = (rows.stop - rows.start, columns.stop - columns.start, outputs)
            seen = np.full(shape, np.nan, np.float32)
            patches.append(_Patch(number, (top, left), rows, columns, seen))
    return patches


def _along(grid: Grid, axis: int, span: Span | None, last: int) -> tuple[int, slice]:
    """Return along one axis where a window begins, and what of it is compared.

    Args:
        grid: The tiles.
        axis: 0 for rows, 1 for columns.
        span: The tile that begins at the border; None where there is one tile only.
        last: One more than the last px that may be compared.
    """
    length, tile = grid.size[axis], grid.tile[axis]
    half = round_up(_HALF_PX, grid.multiple)
    middle = length // 2 if span is None else span.core.start
    # Rows: the border as high in the window as its surroundings allow, so that few
    # rows need to be kept. Columns: in its middle.
    above = half + grid.margin if axis == 0 else tile // 2
    start = min(max(0, middle - above), length - tile) // grid.multiple * grid.multiple
    first = start + (grid.margin if start > 0 else 0)
    end = start + tile - (grid.margin if start + tile < length else 0)
    low, high = max(middle - half, first), min(middle + half, end, last)
    return start, slice(low, high)


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))
