"""From the cache of pairs to batches: order, augmentation, `tf.data`.

Everything random is a function of (seed, epoch, index), so that nothing has to be
remembered for a training to be taken up again. It loads TensorFlow.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from terrainlib.data.cache import PairCache
from terrainlib.model.config import TrainingConfig
from terrainlib.model.inputs import network_input

_PREFETCHED_BATCHES = 2
Batch = tuple[NDArray[np.float32], NDArray[np.uint8]]


def epoch_order(count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of `count` pairs in an epoch, (count,) int64."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def training_batches(
    cache: PairCache, config: TrainingConfig, *, epoch: int, steps: int
) -> Any:
    """Return an epoch's shuffled, augmented batches.

    Args:
        cache: The pairs to train on.
        config: Batch size, augmentation and seed.
        epoch: Number of the epoch, from 1.
        steps: Batches to make; the images left over wait for another epoch.

    Returns:
        A `tf.data.Dataset` of inputs (N, S, S, C) float32 and masks (N, S, S) uint8.
    """
    order = epoch_order(len(cache.ids), seed=config.seed, epoch=epoch)
    size = min(config.batch_size, len(order))

    def batches() -> Iterator[Batch]:
        for step in range(steps):
            chosen = order[step * size : (step + 1) * size]
            pairs = [_augmented_pair(cache, config, epoch, int(i)) for i in chosen]
            inputs, masks = zip(*pairs, strict=True)
            yield np.stack(inputs), np.stack(masks)

    return _dataset(batches, config, size)


def validation_batches(cache: PairCache, config: TrainingConfig) -> Any:
    """Return the pairs in their order as they are, in batches; the last may be short.

    Returns:
        A `tf.data.Dataset` of inputs (N, S, S, C) float32 and masks (N, S, S) uint8.
    """
    count = len(cache.ids)

    def batches() -> Iterator[Batch]:
        for start in range(0, count, config.batch_size):
            part = slice(start, start + config.batch_size)
            heights = None if cache.heights is None else cache.heights[part]
            yield (
                prepared(cache.images[part], heights, config),
                np.asarray(cache.masks[part]),
            )

    return _dataset(batches, config, None)


def prepared(
    images: NDArray[np.uint8],
    heights: NDArray[np.float32] | None,
    config: TrainingConfig,
) -> NDArray[np.float32]:
    """Return the network's input for cached images (..., S, S, 3) and heights."""
    rgb = np.asarray(images, np.float32) / np.float32(255)
    return network_input(rgb, heights, config.network)


def _dataset(batches: Any, config: TrainingConfig, size: int | None) -> Any:
    pixels = config.network.image_size
    channels = config.network.input_channels
    signature = (
        tf.TensorSpec((size, pixels, pixels, channels), tf.float32),
        tf.TensorSpec((size, pixels, pixels), tf.uint8),
    )
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return data.prefetch(_PREFETCHED_BATCHES)


def _augmented_pair(
    cache: PairCache, config: TrainingConfig, epoch: int, index: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return one pair as the network sees it in this epoch."""
    random = np.random.default_rng((config.seed, epoch, index))
    heights = None if cache.heights is None else cache.heights[index]
    image = prepared(cache.images[index], heights, config)
    mask = np.asarray(cache.masks[index])
    if config.flips:
        across, down = random.random(2) < 0.5
        image, mask = _flipped(image, mask, bool(across), bool(down))
    if config.quarter_turns:
        turns = int(random.integers(4))
        image, mask = np.rot90(image, turns), np.rot90(mask, turns)
    if config.jitter:
        gain, shift = 1 + config.jitter * random.uniform(-1, 1, (2, 3))
        image = image.copy()
        colors = (image[..., :3] - 0.5) * gain + 0.5 + (shift - 1) / 2
        image[..., :3] = np.clip(colors, 0, 1)
    return image, mask


def _flipped(image: Any, mask: Any, across: bool, down: bool) -> tuple[Any, Any]:
    rows = slice(None, None, -1 if down else 1)
    columns = slice(None, None, -1 if across else 1)
    return image[rows, columns], mask[rows, columns]
