"""From the cache of pairs to batches: order, crops, augmentation, threads.

Everything random is a function of (seed, epoch, index), so that nothing has to be
remembered for a training to be taken up again, and so that the threads that prepare
batches ahead of the network change nothing in them. Bytes become float32 by a table of
256 values, which carries the jitter as well. It loads TensorFlow.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from terrainlib.data.cache import PairCache
from terrainlib.data.parallel import ordered_map
from terrainlib.model.config import TrainingConfig
from terrainlib.model.inputs import RELIEF_WINDOW_PX, network_input
from terrainlib.model.machine import input_threads
from terrainlib.types import ByteArray, FloatArray

_BATCHES_AHEAD = 2  # of each thread
_RELIEF_REACH_PX = RELIEF_WINDOW_PX // 2
_FLIPS = {(True, False): 1, (False, True): 0, (True, True): -1}
_TURNS = {
    1: cv2.ROTATE_90_COUNTERCLOCKWISE,
    2: cv2.ROTATE_180,
    3: cv2.ROTATE_90_CLOCKWISE,
}
_TURNED_CHANNELS = 4
_UNIT = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
Batch = tuple[Any, Any]  # tensors: inputs (N, S, S, C) float32, masks (N, S, S) uint8


class _Window(NamedTuple):
    """A square of a working image: its top row, left column and size in px."""

    top: int
    left: int
    size: int

    def widened(self, margin: int, limit: int) -> "_Window":
        """Return the square with a margin, moved to lie within an image of `limit`."""
        size = min(limit, self.size + 2 * margin)
        top = min(max(0, self.top - margin), limit - size)
        left = min(max(0, self.left - margin), limit - size)
        return _Window(top, left, size)

    def of(self, array: Any) -> Any:
        """Return the square of an array (H, W, ...)."""
        rows = slice(self.top, self.top + self.size)
        return array[rows, self.left : self.left + self.size]


def epoch_order(count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of `count` pairs in an epoch, (count,) int64."""
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
        steps: Batches to make; the images left over wait for another epoch.
        workers: Threads that prepare batches ahead; None suits the machine. It changes
            neither the batches nor their order.

    Yields:
        Tensors: inputs (N, S, S, C) float32 and masks (N, S, S) uint8, S being the crop
        size or, without one, the image size.
    """
    order = epoch_order(len(cache.ids), seed=config.seed, epoch=epoch)
    size = min(config.batch_size, len(order))

    def batch(step: int) -> Batch:
        chosen = order[step * size : (step + 1) * size]
        pairs = [_augmented_pair(cache, config, epoch, int(i)) for i in chosen]
        inputs, masks = zip(*pairs, strict=True)
        return _tensors(np.stack(inputs), np.stack(masks))

    workers = workers or input_threads()
    ahead = _BATCHES_AHEAD * workers
    return ordered_map(batch, range(steps), workers=workers, ahead=ahead)


def validation_batches(cache: PairCache, config: TrainingConfig) -> Iterator[Batch]:
    """Yield the pairs in their order, whole and as they are; the last may be few.

    Where training sees crops, fewer of the larger images make a batch.

    Yields:
        Tensors: inputs (N, S, S, C) float32 and masks (N, S, S) uint8.
    """
    count, whole = len(cache.ids), config.network.image_size
    crop = config.crop_size or whole
    size = max(1, config.batch_size * crop**2 // whole**2)

    def batch(start: int) -> Batch:
        part = slice(start, start + size)
        heights = None if cache.heights is None else cache.heights[part]
        inputs = prepared(cache.images[part], heights, config)
        return _tensors(inputs, np.asarray(cache.masks[part]))

    return ordered_map(batch, range(0, count, size), workers=1, ahead=_BATCHES_AHEAD)


def prepared(
    images: NDArray[np.uint8],
    heights: FloatArray | None,
    config: TrainingConfig,
) -> FloatArray:
    """Return the network's input for cached images (..., S, S, B) and heights."""
    bands = np.asarray(images, np.float32) / np.float32(255)
    return network_input(bands, heights, config.network)


def _tensors(inputs: FloatArray, masks: ByteArray) -> Batch:
    return tf.convert_to_tensor(inputs), tf.convert_to_tensor(masks)


def _augmented_pair(
    cache: PairCache, config: TrainingConfig, epoch: int, index: int
) -> tuple[FloatArray, ByteArray]:
    """Return one pair as the network sees it in this epoch.

    What is drawn keeps its place in the order of draws, whatever else is switched on
    after it: flips, turns, jitter, crop.
    """
    random = np.random.default_rng((config.seed, epoch, index))
    across = down = False
    turns = 0
    table = _UNIT
    if config.flips:
        across, down = (bool(flip) for flip in random.random(2) < 0.5)
    if config.quarter_turns:
        turns = int(random.integers(4))
    if config.jitter:
        drawn = random.uniform(-1, 1, (2, config.network.bands))
        gain, shift = 1 + config.jitter * drawn
        values = (_UNIT - 0.5) * gain + 0.5 + (shift - 1) / 2
        table = np.clip(values, 0, 1).astype(np.float32)
    window = _window(random, config)
    image = _window_input(cache, config, index, window, table)
    mask = window.of(cache.masks[index])
    return _turned(image, across, down, turns), _turned(mask, across, down, turns)


def _window(random: np.random.Generator, config: TrainingConfig) -> _Window:
    """Return the part of an image to train on, at random where crops are wanted."""
    if config.crop_size is None:
        return _Window(0, 0, config.network.image_size)
    last = config.network.image_size - config.crop_size
    top, left = random.integers(0, last + 1, 2)
    return _Window(int(top), int(left), config.crop_size)


def _window_input(
    cache: PairCache,
    config: TrainingConfig,
    index: int,
    window: _Window,
    table: FloatArray,
) -> FloatArray:
    """Return the network's input for a part of a pair, (S, S, C).

    The relief is that of the whole image: it is computed with the margin it looks at.

    Args:
        cache: The pairs.
        config: The training.
        index: Row of the pair in the cache.
        window: The part.
        table: (256, 1 or B) float32, the values that bytes stand for in each band.
    """
    relief = config.network.height and cache.heights is not None
    margin = _RELIEF_REACH_PX if relief else 0
    outer = window.widened(margin, config.network.image_size)
    pixels = np.ascontiguousarray(outer.of(cache.images[index]))
    values = np.broadcast_to(table, (256, pixels.shape[-1]))[None]
    found = cv2.LUT(pixels, np.ascontiguousarray(values))
    bands = np.asarray(found, np.float32).reshape(pixels.shape)
    height = None if cache.heights is None else outer.of(cache.heights[index])
    image = network_input(bands, height, config.network)
    top, left = window.top - outer.top, window.left - outer.left
    part: FloatArray = _Window(top, left, window.size).of(image)
    return part


def _turned(array: Any, across: bool, down: bool, turns: int) -> Any:
    """Return an array (H, W, ...) mirrored, then turned left by quarter turns.

    OpenCV copies the pixels in a fifth of the time that NumPy's turned views take. It
    turns up to 4 channels, and drops an only one.
    """
    array = np.ascontiguousarray(array)
    shape = array.shape
    if across or down:
        array = cv2.flip(array, _FLIPS[across, down]).reshape(shape)
    if turns == 0:
        return array
    if array.ndim == 3 and shape[2] > _TURNED_CHANNELS:
        return np.ascontiguousarray(np.rot90(array, turns))
    turned = cv2.rotate(array, _TURNS[turns])
    return turned if turned.ndim == array.ndim else turned[..., None]
