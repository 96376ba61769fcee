"""From tiles to parts of the output that are final. No TensorFlow."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from terrainlib.mask.tiles.result import planes_of
from terrainlib.mask.tiles.tiling import Size, Span, blend_weights

if TYPE_CHECKING:
    from terrainlib.mask.tiles.tilepass import TilePass
    from terrainlib.model.modelfile import TerrainModel

FloatArray = NDArray[np.float32]
AfterRow = Callable[[int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A part of a network's output that is final.

    Attributes:
        rows: Rows of the padded image that are final, at the working resolution.
        columns: Columns that are.
        planes: (h, w, P) float32 as `result.planes_of` gives them, for these rows and
            columns and some around them; None where the image has no data.
        origin: Row and column of `planes[0, 0]`.
    """

    rows: slice
    columns: slice
    planes: FloatArray | None
    origin: Size

    def part(self, rows: slice, columns: slice) -> FloatArray | None:
        """Return the planes of some rows and columns that the block holds."""
        if self.planes is None:
            return None
        top, left = self.origin
        return self.planes[
            rows.start - top : rows.stop - top,
            columns.start - left : columns.stop - left,
        ]


def final_blocks(
    model: "TerrainModel",
    tiles: "TilePass",
    *,
    ring: int = 0,
    after_row: AfterRow | None = None,
) -> Iterator[Block]:
    """Run a pass and yield its output in parts that are final, from the top.

    Args:
        model: The model.
        tiles: The pass.
        ring: Px around a block that its planes hold as well, where the image has any.
        after_row: Called with the number of each row of tiles that is done, while its
            input is still there.
    """
    parts = _Blend(model, tiles, ring) if tiles.grid.blended else _Exact(model, ring)
    for number, rows in enumerate(tiles.grid.rows):
        tiles.advance(rows)
        done = 0
        for column, output in tiles.run(rows):
            yield from parts.add(rows, column, output)
            done += 1
        if done < len(tiles.grid.columns):
            return
        if isinstance(parts, _Blend):
            yield from parts.end(number)
        if after_row is not None:
            after_row(number)


class _Exact:
    """Each tile decides its core."""

    def __init__(self, model: "TerrainModel", ring: int) -> None:
        self._model = model
        self._ring = ring

    def add(
        self, rows: Span, column: Span, output: FloatArray | None
    ) -> Iterator[Block]:
        """Take a tile's output."""
        if output is None:
            yield Block(rows.core, column.core, None, (0, 0))
            return
        spans = (rows, column)
        around = [
            _around(span.core, self._ring, span.start, span.stop) for span in spans
        ]
        part = output[
            around[0].start - rows.start : around[0].stop - rows.start,
            around[1].start - column.start : around[1].stop - column.start,
        ]
        origin = (around[0].start, around[1].start)
        yield Block(rows.core, column.core, planes_of(self._model, part), origin)


class _Blend:
    """Each pixel is the weighted mean of its tiles; only rows not final are kept."""

    def __init__(self, model: "TerrainModel", tiles: "TilePass", ring: int) -> None:
        self._model = model
        self._grid = tiles.grid
        self._ring = ring
        self._weights = (
            blend_weights(self._grid.rows),
            blend_weights(self._grid.columns),
        )
        self._sums: FloatArray | None = None
        self._top = 0
        self._done = 0

    def add(
        self, rows: Span, column: Span, output: FloatArray | None
    ) -> Iterator[Block]:
        """Take a tile's output."""
        if output is not None:
            planes = planes_of(self._model, output)
            down = self._weights[0][self._grid.rows.index(rows)]
            across = self._weights[1][self._grid.columns.index(column)]
            if self._sums is None:
                height = self._grid.tile[0] + 2 * self._ring
                shape = (height, self._grid.size[1], planes.shape[-1])
                self._sums = np.zeros(shape, np.float32)
            place = slice(rows.start - self._top, rows.stop - self._top)
            weights = down[:, None, None] * across[:, None]
            self._sums[place, column.start : column.stop] += planes * weights
        yield from ()

    def end(self, number: int) -> Iterator[Block]:
        """End a row of tiles and give the rows that no further tile changes."""
        last = number == len(self._grid.rows) - 1
        stop = self._grid.size[0] if last else self._grid.rows[number].core.stop
        final = slice(self._done, stop if last else max(self._done, stop - self._ring))
        if final.start < final.stop:
            yield from self._blocks(final, stop)
        self._done = final.stop
        top = max(0, self._done - self._ring)
        if self._sums is not None:
            kept = len(self._sums) - (top - self._top)
            self._sums[:kept] = self._sums[top - self._top :].copy()
            self._sums[kept:] = 0
        self._top = top

    def _blocks(self, rows: slice, stop: int) -> Iterator[Block]:
        width = self._grid.size[1]
        around = _around(rows, self._ring, 0, stop)
        for left in range(0, width, self._grid.tile[1]):
            columns = slice(left, min(left + self._grid.tile[1], width))
            beside = _around(columns, self._ring, 0, width)
            planes = None
            if self._sums is not None:
                place = slice(around.start - self._top, around.stop - self._top)
                planes = self._sums[place, beside].copy()
            yield Block(rows, columns, planes, (around.start, beside.start))


def _around(part: slice, ring: int, first: int, last: int) -> slice:
    """Return a part with a ring, within bounds."""
    return slice(max(part.start - ring, first), min(part.stop + ring, last))
