"""From the cache of pairs to batches: order, crops, augmentation, threads.

Everything random is a function of (seed, epoch, index), so that nothing has to be
remembered for a training to be taken up again, and so that the threads that prepare
batches ahead of the network change nothing in them. Bytes become float32 by a table of
256 values, which carries the jitter as well. It loads TensorFlow.

Training sees crops of S x S px. An epoch has as many of an image as its area holds, and
a crop may hang over the image's border by up to half its size; what lies outside is
the image mirrored. So every pixel is seen equally often, wherever it lies, and where an
image is S x S px it is seen whole. Of images smaller than a crop the rest is no data.
Where most of an image is not labelled, crops lie over what is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from terrainlib.data.cache import PairCache
from terrainlib.data.palette import NO_DATA
from terrainlib.data.parallel import ordered_map
from terrainlib.model.config import TrainingConfig
from terrainlib.model.forward import RELIEF_WINDOW_PX, network_input
from terrainlib.model.machine import input_threads
from terrainlib.model.modelfile import receptive_field
from terrainlib.model.tiling import exact_grid, round_up
from terrainlib.types import ByteArray, FloatArray, Size

_BATCHES_AHEAD = 2  # of each thread
_RELIEF_REACH_PX = RELIEF_WINDOW_PX // 2
_FLIPS = {(True, False): 1, (False, True): 0, (True, True): -1}
_TURNS = {
    1: cv2.ROTATE_90_COUNTERCLOCKWISE,
    2: cv2.ROTATE_180,
    3: cv2.ROTATE_90_CLOCKWISE,
}
_MOST_TURNED_BYTES = 16  # of a pixel; OpenCV turns few kinds of larger ones
_UNIT = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
# How an image goes on beyond its border. Crops repeat the pixel at the border, so that
# it is seen as often as others; what is predicted does not.
_CROPPED: Final = cv2.BORDER_REFLECT
_PREDICTED: Final = cv2.BORDER_REFLECT_101
Batch = tuple[Any, Any]  # tensors: inputs (N, h, w, C) float32, masks (N, h, w) uint8


class _Window(NamedTuple):
    """A rectangle of a working image, which may reach beyond the image.

    Attributes:
        top: Its first row; negative above the image.
        left: Its first column.
        height: Rows.
        width: Columns.
    """

    top: int
    left: int
    height: int
    width: int

    def widened(self, margin: int) -> "_Window":
        """Return the rectangle with a margin on every side."""
        more = 2 * margin
        top, left = self.top - margin, self.left - margin
        return _Window(top, left, self.height + more, self.width + more)

    def of(self, array: Any, border: int) -> Any:
        """Return the rectangle of an array (H, W, ...), mirrored beyond its border.

        Args:
            array: The pixels.
            border: How OpenCV goes on beyond them.
        """
        rows, columns = array.shape[:2]
        bottom, right = self.top + self.height, self.left + self.width
        inside = array[
            max(0, self.top) : min(rows, bottom),
            max(0, self.left) : min(columns, right),
        ]
        above, before = max(0, -self.top), max(0, -self.left)
        below, behind = max(0, bottom - rows), max(0, right - columns)
        if not (above or before or below or behind):
            return inside
        wider = cv2.copyMakeBorder(inside, above, below, before, behind, border)
        return wider.reshape(*wider.shape[:2], *array.shape[2:])


def _crops_a_pass(cache: PairCache, config: TrainingConfig) -> NDArray[np.float64]:
    """Return how many crops of each pair show every pixel once on average, (N,)."""
    sides = np.maximum(np.array(cache.shapes) / config.crop_px, 1.0)
    return np.asarray(sides.prod(axis=1), np.float64)


def epoch_crops(cache: PairCache, config: TrainingConfig) -> int:
    """Return how many crops an epoch has: as many as show every pixel once."""
    return round(float(_crops_a_pass(cache, config).sum()))


def epoch_pairs(
    cache: PairCache, config: TrainingConfig, *, epoch: int
) -> NDArray[np.int64]:
    """Return the pair that each crop of an epoch is of, sorted, (E,) int64.

    A pair occurs as often as it has crops a pass. The fractions take turns: over many
    epochs each pair gets its share.
    """
    ends = np.cumsum(_crops_a_pass(cache, config))
    ends *= epoch_crops(cache, config) / ends[-1]
    ends[-1] = round(ends[-1])
    start = np.random.default_rng((config.seed, epoch, 0, 1)).random()
    counts = np.diff(np.floor(ends + start), prepend=0).astype(np.int64)
    return np.repeat(np.arange(len(counts)), counts)


def epoch_order(count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of `count` crops in an epoch, (count,) int64."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def training_batches(
    cache: PairCache,
    config: TrainingConfig,
    *,
    epoch: int,
    steps: int,
    workers: int | None = None,
) -> Iterator[Batch]:
    """Yield an epoch's shuffled, cropped, augmented batches.

    Args:
        cache: The pairs to train on.
        config: Batch size, crop size, augmentation and seed.
        epoch: Number of the epoch, from 1.
        steps: Batches to make; the crops left over wait for another epoch.
        workers: Threads that prepare batches ahead; None suits the machine. It changes
            neither the batches nor their order.

    Yields:
        Tensors: inputs (N, S, S, C) float32 and masks (N, S, S) uint8, S being the crop
        size.
    """
    pairs = epoch_pairs(cache, config, epoch=epoch)
    order = epoch_order(len(pairs), seed=config.seed, epoch=epoch)
    size = min(config.batch_size, len(order))

    def batch(step: int) -> Batch:
        chosen = order[step * size : (step + 1) * size]
        crops = [
            _augmented_crop(cache, config, int(pairs[i]), (epoch, int(i)))
            for i in chosen
        ]
        inputs, masks = zip(*crops, strict=True)
        return _tensors(np.stack(inputs), np.stack(masks))

    workers = workers or input_threads()
    ahead = _BATCHES_AHEAD * workers
    return ordered_map(batch, range(steps), workers=workers, ahead=ahead)


@dataclass(frozen=True, slots=True)
class _Tile:
    """A part of a pair that goes through the network at once.

    Attributes:
        row: Row of the pair in the cache.
        window: What goes in; it may reach beyond the image below and on the right.
        core: The rows and columns of it that are right: their surroundings are in it.
    """

    row: int
    window: _Window
    core: tuple[slice, slice]


def validation_batches(cache: PairCache, config: TrainingConfig) -> Iterator[Batch]:
    """Yield all pairs as they are, padded and in tiles as a prediction takes them.

    Pairs of one shape come together, in their order; the last batch may be few. Where
    training sees crops, fewer of the larger images make a batch.

    Yields:
        Tensors: inputs (N, h, w, C) float32 and masks (N, h, w) uint8. Every pixel of a
        mask occurs once: where tiles overlap or end beyond the image, one of them has
        it and the others 255.
    """
    rows = range(len(cache.ids))
    tiles = [tile for row in rows for tile in _tiles(cache, config, row)]
    tiles.sort(key=_tile_shape)

    def batch(part: list[_Tile]) -> Batch:
        inputs = [
            _window_input(cache, config, tile.row, tile.window, _UNIT, _PREDICTED)
            for tile in part
        ]
        masks = [_tile_mask(cache, tile) for tile in part]
        return _tensors(np.stack(inputs), np.stack(masks))

    batches = []
    for (height, width), group in groupby(tiles, key=_tile_shape):
        alike = list(group)
        pixels = config.batch_size * config.crop_px**2
        size = max(1, pixels // (height * width))
        batches += [alike[i : i + size] for i in range(0, len(alike), size)]
    return ordered_map(batch, batches, workers=1, ahead=_BATCHES_AHEAD)


def whole_input(cache: PairCache, config: TrainingConfig, row: int) -> FloatArray:
    """Return the network's input for a pair, padded to the size multiple, (H, W, C)."""
    height, width = _padded(cache.shapes[row], config)
    window = _Window(0, 0, height, width)
    return _window_input(cache, config, row, window, _UNIT, _PREDICTED)


def _padded(shape: Size, config: TrainingConfig) -> Size:
    multiple = config.network.size_multiple
    return round_up(shape[0], multiple), round_up(shape[1], multiple)


def _tiles(cache: PairCache, config: TrainingConfig, row: int) -> Iterator[_Tile]:
    grid = exact_grid(
        _padded(cache.shapes[row], config),
        receptive_field=receptive_field(config.network),
        multiple=config.network.size_multiple,
    )
    for down in grid.rows:
        for across in grid.columns:
            yield _Tile(
                row,
                _Window(down.start, across.start, *grid.tile),
                (_moved(down.core, -down.start), _moved(across.core, -across.start)),
            )


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _tile_shape(tile: _Tile) -> Size:
    return tile.window.height, tile.window.width


def _tile_mask(cache: PairCache, tile: _Tile) -> ByteArray:
    """Return the mask of a tile's core, (h, w); 255 around it and beyond the image."""
    window, core = tile.window, tile.core
    own = cache.masks[tile.row][window.top :, window.left :]
    mask = np.full((window.height, window.width), NO_DATA, np.uint8)
    part = own[core]
    rows, columns = core[0].start, core[1].start
    mask[rows : rows + part.shape[0], columns : columns + part.shape[1]] = part
    return mask


def _tensors(inputs: FloatArray, masks: ByteArray) -> Batch:
    return tf.convert_to_tensor(inputs), tf.convert_to_tensor(masks)


def _augmented_crop(
    cache: PairCache, config: TrainingConfig, row: int, draw: tuple[int, int]
) -> tuple[FloatArray, ByteArray]:
    """Return a crop of a pair as the network sees it, (S, S, C) and (S, S).

    What is drawn keeps its place in the order of draws, whatever else is switched on
    after it: flips, turns, jitter, place.

    Args:
        cache: The pairs.
        config: The training.
        row: Row of the pair in the cache.
        draw: Epoch, and number of the crop in it: with the seed they decide.
    """
    random = np.random.default_rng((config.seed, *draw))
    across = down = False
    turns = 0
    table = _UNIT
    if config.flips:
        across, down = (bool(flip) for flip in random.random(2) < 0.5)
    if config.quarter_turns:
        turns = int(random.integers(4))
    if config.jitter:
        bands = cache.images[row].shape[2]
        gain, shift = 1 + config.jitter * random.uniform(-1, 1, (2, bands))
        colors = (_UNIT - 0.5) * gain + 0.5 + (shift - 1) / 2
        table = np.clip(colors, 0, 1).astype(np.float32)
    window = _crop_window(random, cache.masks[row].shape, config.crop_px)
    window = _over_labels(random, cache.masks[row], window)
    image = _window_input(cache, config, row, window, table, _CROPPED)
    mask = _crop_mask(cache.masks[row], window)
    return _turned(image, across, down, turns), _turned(mask, across, down, turns)


def _crop_window(
    random: np.random.Generator, shape: tuple[int, ...], size: int
) -> _Window:
    """Return a place for a crop, at random along each side that is longer than it.

    The first and the last place are half as likely as others: with the mirrored pixels
    every pixel is then shown by as many places as any other.
    """
    top, left = (
        round(share * side) - size // 2 if side > size else 0
        for share, side in zip(random.random(2), shape, strict=True)
    )
    return _Window(top, left, size, size)


def _over_labels(
    random: np.random.Generator, mask: ByteArray, window: _Window
) -> _Window:
    """Return a crop that shows a labelled pixel, where most of an image has none.

    Each labelled pixel is as likely as any other, and may lie anywhere in the crop.
    Where at least half of the pixels are labelled the crop stays where it is.
    """
    size = window.height
    labelled = np.flatnonzero(mask != NO_DATA)
    if max(mask.shape) <= size or not 0 < 2 * len(labelled) < mask.size:
        return window
    place = np.unravel_index(labelled[int(random.integers(len(labelled)))], mask.shape)
    starts = [
        int(np.clip(at - int(random.integers(size)), 0, max(0, side - size)))
        for at, side in zip(place, mask.shape, strict=True)
    ]
    return _Window(starts[0], starts[1], size, size)


def _crop_mask(mask: ByteArray, window: _Window) -> ByteArray:
    """Return the mask of a crop; no data where the image is smaller than the crop."""
    part: ByteArray = window.of(mask, _CROPPED)
    rows, columns = mask.shape
    if rows < window.height or columns < window.width:
        part[rows:] = NO_DATA
        part[:, columns:] = NO_DATA
    return part


def _window_input(
    cache: PairCache,
    config: TrainingConfig,
    row: int,
    window: _Window,
    table: FloatArray,
    border: int,
) -> FloatArray:
    """Return the network's input for a part of a pair, (h, w, C).

    The relief is that of the whole image: it is computed with the margin it looks at.

    Args:
        cache: The pairs.
        config: The training.
        row: Row of the pair in the cache.
        window: The part.
        table: (256, 1 or B) float32, the colours that bytes stand for.
        border: How OpenCV goes on beyond the image.
    """
    relief = config.network.height and cache.heights is not None
    margin = _RELIEF_REACH_PX if relief else 0
    outer = window.widened(margin)
    pixels = np.ascontiguousarray(outer.of(cache.images[row], border))
    colors = np.broadcast_to(table, (256, pixels.shape[2]))[None]
    looked_up: Any = cv2.LUT(pixels, np.ascontiguousarray(colors))
    rgb: FloatArray = looked_up.reshape(pixels.shape)
    height = None if cache.heights is None else outer.of(cache.heights[row], border)
    image = network_input(rgb, height, config.network)
    part: FloatArray = _Window(margin, margin, *window[2:]).of(image, border)
    return part


def _turned(array: Any, across: bool, down: bool, turns: int) -> Any:
    """Return an array (H, W, ...) mirrored, then turned left by quarter turns.

    OpenCV copies the pixels in a fifth of the time that NumPy's turned views take.
    """
    array = np.ascontiguousarray(array)
    shape = array.shape
    if across or down:
        array = cv2.flip(array, _FLIPS[across, down])
    if turns and array[0, 0].nbytes > _MOST_TURNED_BYTES:
        array = np.ascontiguousarray(np.rot90(array, turns))
    elif turns:
        array = cv2.rotate(array, _TURNS[turns])
    return array.reshape(*array.shape[:2], *shape[2:])
