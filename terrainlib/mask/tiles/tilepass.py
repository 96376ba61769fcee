"""One pass of a network over an image, tile by tile, in batches of one shape.

It loads TensorFlow when the network runs, not before.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from terrainlib.mask.tiles.inference import run_network
from terrainlib.mask.tiles.tiling import Grid, Span

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

FloatArray = NDArray[np.float32]
Progress = Callable[[int, int], None]
ShouldStop = Callable[[], bool]

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
        watch: Who follows; its total is the caller's.

    Attributes:
        grid: The tiles.
        batch: How many go through the network together.
        seconds: In the network, until now.
        batches: That went through the network, until now.
    """

    def __init__(
        self, model: "TerrainModel", grid: Grid, source: Input, watch: Watch
    ) -> None:
        self.seconds = 0.0
        self.batches = 0
        self.grid = grid
        self._model = model
        self._source = source
        self._watch = watch
        self.batch = batch_size(grid)

    def advance(self, rows: Span) -> None:
        """Make the input of a row of tiles available."""
        self._source.advance(rows)

    def report(self, tiles: int) -> None:
        """Tell who follows that some more are done."""
        self._watch.report(tiles)

    def run(self, rows: Span) -> Iterator[tuple[Span, FloatArray | None]]:
        """Predict a row of tiles, without those that nobody needs.

        Yields:
            Where each tile lies, and its output (h, w, O) float32; None for a tile in
            whose part of the image there is no data. It ends early where `should_stop`
            says so.
        """
        needed = []
        for column in self.grid.columns:
            if self._source.empty(*self._decided(rows, column)):
                yield column, None
                self._watch.report(1)
            else:
                needed.append(column)
        for first in range(0, len(needed), self.batch):
            if self._watch.stop():
                return
            group = needed[first : first + self.batch]
            places = [slice(column.start, column.stop) for column in group]
            outputs = self.outputs(slice(rows.start, rows.stop), places)
            yield from zip(group, outputs, strict=True)
            self._watch.report(len(group))

    def _decided(self, rows: Span, column: Span) -> tuple[slice, slice]:
        """Return the pixels that a tile has a say in."""
        if self.grid.blended:
            return slice(rows.start, rows.stop), slice(column.start, column.stop)
        return rows.core, column.core

    def outputs(self, rows: slice, places: Sequence[slice]) -> FloatArray:
        """Return the network's output for tiles, at most a batch, (n, h, w, O)."""
        height, width = self.grid.tile
        first = self._source.pixels(rows, places[0])
        batch = np.zeros((self.batch, height, width, first.shape[-1]), np.float32)
        for number, columns in enumerate(places):
            batch[number] = self._source.pixels(rows, columns)
        start = time.perf_counter()
        result = run_network(self._model.network, batch)[: len(places)]
        self.seconds += time.perf_counter() - start
        self.batches += 1
        return result
