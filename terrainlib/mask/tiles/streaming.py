"""Predicting an image of any size: read, predicted and handed on by rows.

What it takes in memory does not grow with the height of the image. One thread reads
ahead, one finishes behind, and the network runs in the caller's. TensorFlow is loaded
when the network runs.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.heights import Heights
from terrainlib.data.palette import NO_DATA
from terrainlib.data.scene import Scene
from terrainlib.errors import InputError
from terrainlib.mask.tiles.background import Reader, Writer
from terrainlib.mask.tiles.bands import Band, Plane, Sink
from terrainlib.mask.tiles.feeding import PIXELS_AT_ONCE, Feed, Geometry, mirrored_rows
from terrainlib.mask.tiles.finishing import BAND_PX, Finisher
from terrainlib.mask.tiles.tilepass import Block, TilePass, Watch, batch_size
from terrainlib.model.machine import activation_values
from terrainlib.model.pixelclassifier import Classifier
from terrainlib.model.tiling import Grid, Span, exact_grid, round_up
from terrainlib.types import BoolArray, FloatArray, Progress, ShouldStop, Size

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel


@dataclass(frozen=True, slots=True, eq=False)
class _Strip:
    """Some working rows of a scene."""

    rows: slice
    image_rows: slice  # those that belong to them
    pixels: FloatArray  # (n, W', C) network input
    known: NDArray[np.uint8] | None  # bits of (m, W) valid pixels; None where all are


class SceneRows:
    """What a pass over the tiles of a scene is fed, a row of tiles after the other."""

    def __init__(self, feed: Feed, grid: Grid) -> None:
        self._feed = feed
        self._grid = grid
        shape = (grid.tile[0], grid.size[1], feed.channels)
        self._pixels = np.empty(shape, np.float32)
        self._top = self._end = grid.rows[0].start
        self._known: list[_Strip] = []
        between = grid.rows[-1].core.start - grid.rows[0].core.start
        waiting = -(-between // max(1, len(grid.rows) - 1))
        self._ahead = Reader(self._strips(), 1 + waiting // feed.rows_at_once)
        self._source = iter(self._ahead)

    def close(self) -> None:
        """End the reading."""
        self._ahead.close()

    def advance(self, rows: Span) -> None:
        """Make the rows of a row of tiles available; earlier ones may go.

        Raises:
            ImageError: If the scene cannot be read there.
        """
        self._drop(rows.start)
        height, padded = self._feed.geometry.working[0], self._feed.geometry.padded[0]
        while self._end < min(rows.stop, height):
            strip = next(self._source)
            self._pixels[self._place(strip.rows)] = strip.pixels
            self._end = strip.rows.stop
            self._known.append(
                _Strip(strip.rows, strip.image_rows, strip.pixels[:0], strip.known)
            )
        if rows.stop == padded > height == self._end:
            mirrored = mirrored_rows(height, padded) - self._top
            self._pixels[self._place(slice(height, padded))] = self._pixels[mirrored]
            self._end = padded

    def pixels(self, rows: slice, columns: slice) -> FloatArray:
        """Return available pixels, (h, w, C) float32."""
        return self._pixels[self._place(rows), columns]

    def empty(self, rows: slice, columns: slice) -> bool:
        """Return whether no pixel of the image there has data."""
        known = self.known(rows, columns)
        return known is not None and known.size > 0 and not known.any()

    def known(self, rows: slice, columns: slice) -> BoolArray | None:
        """Return where the image has data; None where it has data everywhere.

        Args:
            rows: Rows of the padded working image; so many that are still held.
            columns: Columns of it.

        Returns:
            (h, w) bool for the pixels of the image that belong to them.
        """
        part = self._feed.geometry.image_part(rows, columns)
        strips = [
            strip
            for strip in self._known
            if strip.image_rows.start < part[0].stop
            and strip.image_rows.stop > part[0].start
        ]
        if all(strip.known is None for strip in strips):
            return None
        width = self._feed.geometry.size[1]
        return np.concatenate([_bits(strip, part, width) for strip in strips])

    def _strips(self) -> Iterator[_Strip]:
        """Yield the rows of the scene, cut where rows of tiles end."""
        height, step = self._feed.geometry.working[0], self._feed.rows_at_once
        begin = self._grid.rows[0].start
        for span in self._grid.rows:
            end = min(span.stop, height)
            for start in range(begin, end, step):
                rows = slice(start, min(start + step, end))
                pixels, known = self._feed.read(rows.start, rows.stop)
                bits = None if known.all() else np.packbits(known, axis=1)
                own = self._feed.image_rows(rows.start, rows.stop)
                yield _Strip(rows, own, pixels, bits)
            begin = end

    def _drop(self, top: int) -> None:
        """Forget the rows above `top`."""
        gone = top - self._top
        if gone > 0:
            remaining = self._end - top
            self._pixels[:remaining] = self._pixels[gone : gone + remaining].copy()
            self._top = top
        self._known = [strip for strip in self._known if strip.rows.stop > top]

    def _place(self, rows: slice) -> slice:
        return slice(rows.start - self._top, rows.stop - self._top)


def _bits(strip: _Strip, part: tuple[slice, slice], width: int) -> BoolArray:
    """Return the valid pixels of the part of an image that a strip holds."""
    start = max(part[0].start, strip.image_rows.start) - strip.image_rows.start
    stop = min(part[0].stop, strip.image_rows.stop) - strip.image_rows.start
    if strip.known is None:
        return np.ones((stop - start, part[1].stop - part[1].start), np.bool_)
    first = part[1].start // 8
    bits = np.unpackbits(
        strip.known[start:stop, first : -(-part[1].stop // 8)],
        axis=1,
        count=min(width, -(-part[1].stop // 8) * 8) - first * 8,
    )
    left = part[1].start - first * 8
    return bits[:, left : left + part[1].stop - part[1].start].astype(np.bool_)


MAX_BUFFER_BYTES: Final = 4 * 2**30
_TILE_PX: Final = (
    800  # smaller than those of images in memory: half of it for 1/10 more
)
_BUFFER_BYTES: Final = 256 * 2**20  # for rows of tiles, before their height is lowered
_BLOCKS_WAITING: Final = 2
_BLOCKS_HELD: Final = 2 + _BLOCKS_WAITING  # with the one being given and the one taken
_READ_BYTES: Final = 22  # a px and band of the rows just being read and resampled
# Memory of a pass, in values that all convolutions give together: measured.
_VALUES_HELD: Final = 1.3
_CLASSIFIER_BYTES: Final = 200  # a px and band: 7 features in float64, and their sums


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How to predict a scene.

    Attributes:
        heights: Its heights, needed by models that use them, ignored by others.
        scale: Working px per image px, instead of the model's own.
        tile_size: Largest size of the tiles in working px; None lets memory and speed
            decide.
        tile_rows: Which rows of tiles to predict, and with them the rows of the scene
            that they decide; None for all. The pixels are those of the whole.
        progress: Called with the numbers of tiles done and in all.
        should_stop: Asked before each batch of tiles.
    """

    heights: Heights | None = None
    scale: float | None = None
    tile_size: int | None = None
    tile_rows: slice | None = None
    progress: Progress | None = None
    should_stop: ShouldStop | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StreamReport:
    """What a prediction of a scene has done.

    Attributes:
        counts: (K,) int64, pixels of each class in the finished rows.
        no_data: Pixels without data in the finished rows.
        unsure: Pixels with data whose best two classes are closer than
            `confidence.UNSURE_MARGIN`.
        rows: Rows of the image that are finished; all that were asked for, unless it
            was stopped.
        stopped: Whether it ended early because it was asked to.
        seconds: That it took.
        network_seconds: Of these, in the network.
        tiles: Tiles predicted.
        megapixels_per_second: Finished pixels of the image, over all seconds.
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
        self._model = model
        self._sinks = tuple(sink) if isinstance(sink, Sequence) else (sink,)
        feed = Feed(model, scene, options.heights, options.scale)
        self._size = feed.geometry.size
        wants: set[Plane] = {plane for sink in self._sinks for plane in sink.wants}
        grid = grid_of(
            model,
            feed.geometry,
            wants=wants,
            name=scene.name,
            tile_size=options.tile_size,
        )
        if options.tile_rows is not None:
            grid = replace(grid, rows=grid.rows[options.tile_rows])
        self.source = SceneRows(feed, grid)
        self._watch = Watch(options.progress, options.should_stop)
        ring = _ring_of(feed.geometry)
        self._tiles = TilePass(model, grid, self.source, self._watch, ring=ring)
        self._rows = rows_of(feed.geometry, grid)
        self._finisher = Finisher(
            model.classes, feed.geometry, wants, self._hand_on, self._rows
        )

    def predict(self) -> None:
        """Run over all tiles."""
        with Writer(self._finisher.take, _BLOCKS_WAITING) as finishing:
            for block in self._tiles.blocks():
                finishing.put(self._job(block))
        self._finisher.end()

    def report(self, seconds: float) -> StreamReport:
        """Return what was done."""
        tally, tiles = self._finisher.tally, self._tiles
        rows = tally.rows - self._rows.start
        return StreamReport(
            counts=tally.counts[: len(self._model.classes)],
            no_data=int(tally.counts[NO_DATA]),
            unsure=tally.unsure,
            rows=rows,
            stopped=self._watch.stopped,
            seconds=seconds,
            network_seconds=tiles.seconds,
            tiles=self._watch.done,
            megapixels_per_second=rows * self._size[1] / 1e6 / seconds,
        )

    def _job(self, block: Block) -> tuple[Block, BoolArray | None]:
        return block, self.source.known(block.rows, block.columns)

    def _hand_on(self, band: Band) -> None:
        for sink in self._sinks:
            sink.write(band)


def grid_of(
    model: "TerrainModel",
    geometry: Geometry,
    *,
    wants: Collection[Plane],
    name: str,
    tile_size: int | None = None,
) -> Grid:
    """Return the tiles of a large image: as large as memory and speed allow.

    Where the image is wide, its tiles are less high and wider.

    Raises:
        InputError: If even the lowest rows of tiles would not fit into memory.
    """
    row = _row_bytes(model, geometry, wants)
    field = model.record.receptive_field + _ring_of(geometry)
    multiple = model.config.size_multiple
    sides: Size | int
    if tile_size is None:
        least = 4 * round_up(field, multiple)
        height = max(least, min(_TILE_PX, _BUFFER_BYTES // row))
        sides = (height, max(_TILE_PX, _TILE_PX**2 // height))
    else:
        sides = tile_size
    grid = exact_grid(
        geometry.padded, receptive_field=field, multiple=multiple, tile_size=sides
    )
    if grid.tile[0] * row > MAX_BUFFER_BYTES:
        raise InputError(
            f"{geometry.size[1]} px are too wide: {grid.tile[0] * row / 2**30:.1f} GiB "
            f"would be needed; the limit is {MAX_BUFFER_BYTES / 2**30:.0f}. Use a "
            "smaller scale, ask for the classes alone, or cut the image.",
            file=name,
        )
    return grid


def rows_of(geometry: Geometry, grid: Grid) -> slice:
    """Return the rows of the image that the tiles of a grid decide."""
    rows = slice(grid.rows[0].core.start, grid.rows[-1].core.stop)
    return geometry.image_part(rows, slice(0, geometry.padded[1]))[0]


def memory_bytes(
    model: "TerrainModel", geometry: Geometry, grid: Grid, wants: Collection[Plane]
) -> int:
    """Return what predicting a large image takes above the loaded model, about."""
    tile = grid.tile[0] * grid.tile[1]
    if isinstance(model.network, Classifier):
        network: float = _CLASSIFIER_BYTES * model.config.bands
    else:
        side = 16 * model.config.size_multiple
        network = 4 * _VALUES_HELD * activation_values(model.config, side) / side**2
    planes = len(model.classes) + 3 * (model.config.output == "colors")
    pixels = geometry.size[0] * geometry.size[1]
    return int(
        _row_bytes(model, geometry, wants) * grid.tile[0]
        + network * batch_size(grid) * tile
        + 4 * planes * _BLOCKS_HELD * tile
        + _READ_BYTES * model.config.bands * min(PIXELS_AT_ONCE, pixels)
        + 2 * min(BAND_PX, pixels)
    )


def _ring_of(geometry: Geometry) -> int:
    """Return how many working px around a part the image's pixels there depend on."""
    return max(geometry.up.rows.reach, geometry.up.columns.reach)


def _row_bytes(
    model: "TerrainModel", geometry: Geometry, wants: Collection[Plane]
) -> int:
    """Return what one working row takes in all that holds rows over the full width."""
    depth = len(model.classes)
    finished = 1 + 3 * ("soft" in wants) + depth * ("weights" in wants)
    finished += "margin" in wants
    read = 2 * 4 * model.config.input_channels * geometry.padded[1]  # held, and ahead
    image_pixels = geometry.size[0] * geometry.size[1] / geometry.working[0]
    return max(1, int(read + image_pixels * finished))
