"""Predicting an image of any size: read, predicted and handed on by rows.

What it takes in memory does not grow with the height of the image. One thread reads
ahead, one finishes behind, and the network runs in the caller's. TensorFlow is loaded
when the network runs.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA
from terrainlib.data.scene import Heights, Scene
from terrainlib.errors import ConfigError
from terrainlib.mask.tiles.background import Behind
from terrainlib.mask.tiles.bands import Band, Plane, Sink
from terrainlib.mask.tiles.blocks import Block, final_blocks
from terrainlib.mask.tiles.estimate import grid_of, remember_speed, ring_of
from terrainlib.mask.tiles.feeding import Feed, Known
from terrainlib.mask.tiles.finishing import Finisher
from terrainlib.mask.tiles.scenerows import SceneRows
from terrainlib.mask.tiles.seams import SeamCertificate, SeamCheck, rows_kept
from terrainlib.mask.tiles.tilepass import Progress, ShouldStop, TilePass, Watch
from terrainlib.mask.tiles.tiling import round_up

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

StreamTiling = Literal["exact", "blend"]
STREAM_TILINGS: Final[tuple[StreamTiling, ...]] = get_args(StreamTiling)

_BLOCKS_WAITING: Final = 2


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How to predict a scene.

    Attributes:
        heights: Its heights, needed by models that use them, ignored by others.
        tiling: `exact`, which gives what one pass would give, or `blend`, which lets
            tiles overlap by half and mixes them, for about four times the work.
        scale: Working px per image px, instead of the model's own.
        tile_size: Largest size of the tiles in working px; None lets memory and speed
            decide.
        progress: Called with the numbers of tiles done and in all.
        should_stop: Asked before each batch of tiles.
        certificate: Whether to predict once more across tile borders, and compare.
    """

    heights: Heights | None = None
    tiling: StreamTiling = "exact"
    scale: float | None = None
    tile_size: int | None = None
    progress: Progress | None = None
    should_stop: ShouldStop | None = None
    certificate: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class StreamReport:
    """What a prediction of a scene has done.

    Attributes:
        counts: (K,) int64, pixels of each class in the finished rows.
        no_data: Pixels without data in the finished rows.
        unsure: Pixels with data whose best two classes are closer than
            `confidence.UNSURE_MARGIN`.
        rows: Rows of the image that are finished; all, unless it was stopped.
        stopped: Whether it ended early because it was asked to.
        seconds: That it took.
        network_seconds: Of these, in the network.
        tiles: Tiles predicted, and windows predicted again.
        megapixels_per_second: Finished pixels of the image, over all seconds.
        seams: What predicting again across tile borders has shown; None where there
            are none, or where that was not wanted.
    """

    counts: NDArray[np.int64]
    no_data: int
    unsure: int
    rows: int
    stopped: bool
    seconds: float
    network_seconds: float
    tiles: int
    megapixels_per_second: float
    seams: SeamCertificate | None


def predict_scene(
    model: "TerrainModel",
    scene: Scene,
    sink: Sink | Sequence[Sink],
    *,
    options: StreamOptions | None = None,
) -> StreamReport:
    """Predict the mask of a scene and hand it to a sink in bands.

    Asked to stop, it hands on what is finished and, for the rest, bands without data.

    Args:
        model: The model.
        scene: The image.
        sink: What takes the bands, or several that take each one after the other. They
            are called from another thread than the caller's.
        options: How to predict.

    Raises:
        ConfigError: If an option is out of its bounds.
        InputError: If heights are missing or do not fit, or the image is too wide.
        TerrainError: What reading the scene or a sink raised; bands already handed on
            stay with the sink.
    """
    start = time.perf_counter()
    options = options or StreamOptions()
    run = _Run(model, scene, sink, options)
    with closing(run.source):
        run.predict()
    return run.report(time.perf_counter() - start)


class _Run:
    """One prediction of a scene, with all its parts."""

    def __init__(
        self,
        model: "TerrainModel",
        scene: Scene,
        sink: Sink | Sequence[Sink],
        options: StreamOptions,
    ) -> None:
        _check(options)
        self._model = model
        self._sinks = tuple(sink) if isinstance(sink, Sequence) else (sink,)
        feed = Feed(model, scene, options.heights, options.scale)
        self._ring = ring_of(feed.geometry)
        wants: set[Plane] = {plane for sink in self._sinks for plane in sink.wants}
        grid = grid_of(
            model,
            feed.geometry,
            blended=options.tiling == "blend",
            wants=wants,
            name=scene.name,
            tile_size=options.tile_size,
        )
        self._watch = Watch(options.progress, options.should_stop)
        kept = max(rows_kept(grid), round_up(2 * self._ring, grid.multiple))
        self.source = SceneRows(feed, grid, kept + grid.multiple)
        self._tiles = TilePass(model, grid, self.source, self._watch)
        self._finisher = Finisher(
            model.classes,
            feed.geometry,
            wants,
            self._hand_on,
            colors=model.config.output == "colors",
        )
        working, outputs = feed.geometry.working, model.config.output_channels
        self._seams: SeamCheck | None = None
        if options.certificate:
            self._seams = SeamCheck(self._tiles, working, outputs, self._ring)
        self._size = feed.geometry.size

    def predict(self) -> None:
        """Run over all tiles."""
        windows = self._seams.windows if self._seams else 0
        self._watch.total = len(self._tiles.grid) + windows
        self._watch.report(0)
        after_row = self._seams.after_row if self._seams else None
        blocks = final_blocks(
            self._model, self._tiles, ring=self._ring, after_row=after_row
        )
        with Behind(self._finisher.take, _BLOCKS_WAITING) as finishing:
            for block in blocks:
                if self._seams is not None:
                    self._seams.observe(block)
                finishing.put(self._job(block))
        self._finisher.end()

    def report(self, seconds: float) -> StreamReport:
        """Return what was done."""
        tally, tiles = self._finisher.tally, self._tiles
        pixels = tiles.grid.tile[0] * tiles.grid.tile[1] * tiles.batch * tiles.batches
        remember_speed(self._model, pixels, tiles.seconds)
        return StreamReport(
            counts=tally.counts[: len(self._model.classes)],
            no_data=int(tally.counts[NO_DATA]),
            unsure=tally.unsure,
            rows=tally.rows,
            stopped=self._watch.stopped,
            seconds=seconds,
            network_seconds=tiles.seconds,
            tiles=self._watch.done,
            megapixels_per_second=tally.rows * self._size[1] / 1e6 / seconds,
            seams=self._seams.certificate if self._seams else None,
        )

    def _job(self, block: Block) -> tuple[Block, Known | None]:
        return block, self.source.known(block.rows, block.columns)

    def _hand_on(self, band: Band) -> None:
        for sink in self._sinks:
            sink.write(band)


def _check(options: StreamOptions) -> None:
    if options.tiling not in STREAM_TILINGS:
        raise ConfigError(
            f"the tiling must be exact or blend, not {options.tiling!r}. Choose one "
            "of them."
        )
