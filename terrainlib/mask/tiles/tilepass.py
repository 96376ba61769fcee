"""One pass of a network over an image: tiles in batches, their output in final blocks.

It loads TensorFlow when the network runs, not before.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from terrainlib.mask.tiles.result import planes_of
from terrainlib.model.forward import run_network
from terrainlib.model.tiling import Grid, Span
from terrainlib.types import FloatArray, Progress, ShouldStop, Size

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel


BATCH_PX: Final = 2**19  # more at once takes memory and gains nothing on a processor


class Input(Protocol):
    """The padded pixels that a network is fed, (H', W', C)."""

    def advance(self, rows: Span) -> None:
        """Make the rows of a row of tiles available; earlier ones may go."""

    def pixels(self, rows: slice, columns: slice) -> FloatArray:
        """Return available pixels, (h, w, C) float32."""

    def empty(self, rows: slice, columns: slice, /) -> bool:
        """Return whether no pixel of the image there has data, so nothing is needed."""


@dataclass(slots=True)
class Watch:
    """Who follows a pass, if anybody does.

    Attributes:
        progress: Called with the numbers of tiles done and in all.
        should_stop: Asked before each batch.
        total: Tiles in all.
        done: Tiles done.
        stopped: Whether `should_stop` said so.
    """

    progress: Progress | None = None
    should_stop: ShouldStop | None = None
    total: int = 0
    done: int = 0
    stopped: bool = False

    def report(self, tiles: int) -> None:
        """Count tiles and tell how far it is."""
        self.done += tiles
        if self.progress is not None:
            self.progress(self.done, self.total)

    def stop(self) -> bool:
        """Ask whether to stop."""
        asked = self.should_stop
        self.stopped = self.stopped or (asked is not None and asked())
        return self.stopped


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

    def core(self) -> FloatArray | None:
        """Return the planes of its own rows and columns, without those around."""
        if self.planes is None:
            return None
        top, left = self.origin
        return self.planes[
            self.rows.start - top : self.rows.stop - top,
            self.columns.start - left : self.columns.stop - left,
        ]


def batch_size(grid: Grid) -> int:
    """Return how many tiles of a row go through the network together."""
    together = max(1, BATCH_PX // (grid.tile[0] * grid.tile[1]))
    batches = -(-len(grid.columns) // together)
    return -(-len(grid.columns) // batches)


class TilePass:
    """Runs a network over the tiles of a grid.

    Args:
        model: The model.
        grid: The tiles.
        source: What they are cut from.
        watch: Who follows.
        ring: Px around a block that its planes hold as well, where the image has any.

    Attributes:
        grid: The tiles.
        batch: How many go through the network together.
        seconds: In the network, until now.
        batches: That went through the network, until now.
    """

    def __init__(
        self,
        model: "TerrainModel",
        grid: Grid,
        source: Input,
        watch: Watch,
        *,
        ring: int = 0,
    ) -> None:
        self.grid = grid
        self.batch = batch_size(grid)
        self.seconds = 0.0
        self.batches = 0
        self._model = model
        self._source = source
        self._watch = watch
        self._ring = ring

    def blocks(self) -> Iterator[Block]:
        """Run the pass and yield its output from the top, row of tiles by row of tiles.

        It ends early where `should_stop` says so.
        """
        self._watch.total = len(self.grid)
        self._watch.report(0)
        for rows in self.grid.rows:
            self._source.advance(rows)
            yield from self._row(rows)
            if self._watch.stopped:
                return

    def _row(self, rows: Span) -> Iterator[Block]:
        """Predict a row of tiles, without those in whose core there is no data."""
        needed = []
        for column in self.grid.columns:
            if self._source.empty(rows.core, column.core):
                yield Block(rows.core, column.core, None, (0, 0))
                self._watch.report(1)
            else:
                needed.append(column)
        for first in range(0, len(needed), self.batch):
            if self._watch.stop():
                return
            group = needed[first : first + self.batch]
            outputs = self._outputs(rows, group)
            for column, output in zip(group, outputs, strict=True):
                yield self._block(rows, column, output)
            self._watch.report(len(group))

    def _outputs(self, rows: Span, group: list[Span]) -> FloatArray:
        """Return the network's output for tiles, at most a batch, (n, h, w, O)."""
        lines = slice(rows.start, rows.stop)
        tiles = [self._source.pixels(lines, slice(c.start, c.stop)) for c in group]
        batch = np.zeros((self.batch, *tiles[0].shape), np.float32)
        for number, tile in enumerate(tiles):
            batch[number] = tile
        start = time.perf_counter()
        result = run_network(self._model.network, batch)[: len(group)]
        self.seconds += time.perf_counter() - start
        self.batches += 1
        return result

    def _block(self, rows: Span, column: Span, output: FloatArray) -> Block:
        down, across = (_around(span, self._ring) for span in (rows, column))
        part = output[
            down.start - rows.start : down.stop - rows.start,
            across.start - column.start : across.stop - column.start,
        ]
        planes = planes_of(self._model, part)
        return Block(rows.core, column.core, planes, (down.start, across.start))


def _around(span: Span, ring: int) -> slice:
    return slice(
        max(span.core.start - ring, span.start), min(span.core.stop + ring, span.stop)
    )
