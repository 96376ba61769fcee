"""The losses that networks are trained with. They load TensorFlow.

Pixels without data count in none of them.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from terrainlib.data.palette import NO_DATA, Classes, color_table
from terrainlib.model.config import TrainingConfig

_SMALLEST_PROBABILITY = 1e-7
LossFunction = Callable[[Any, Any], Any]


def make_loss(config: TrainingConfig, classes: Classes) -> LossFunction:
    """Return the loss of a training.

    Args:
        config: The training; `network.output` decides the kind.
        classes: Classes and colours of the masks.

    Returns:
        A function of the masks (N, H, W) uint8 class indices and the network's output
        (N, H, W, K or 3) float32 that gives a scalar: cross-entropy, blended with soft
        Dice where the configuration wants it, or for `colors` the binary cross-entropy
        of the mask's colours that the original trains on.
    """
    if config.network.output == "colors":
        colors = tf.constant(color_table(classes), tf.float32) / 255.0
        return lambda masks, output: _color_loss(masks, output, colors)
    count = config.network.classes
    share = config.dice_weight

    def loss(masks: Any, output: Any) -> Any:
        """Blend cross-entropy and soft Dice."""
        known = _known(masks)
        truth = tf.one_hot(tf.cast(masks, tf.int32), count)  # 255 gives all zeros
        value = _mean_over_known(_cross_entropy(truth, output), known)
        if share == 0:
            return value
        return (1 - share) * value + share * _dice_loss(truth, output, known)

    return loss


def predicted_classes(output: Any, config: TrainingConfig, classes: Classes) -> Any:
    """Return the class index (N, H, W) int64 that an output stands for."""
    if config.network.output == "classes":
        return tf.argmax(output, axis=-1)
    colors = tf.constant(color_table(classes), tf.float32) / 255.0
    distances = tf.stack(
        [tf.reduce_sum(tf.square(output - color), -1) for color in tf.unstack(colors)],
        axis=-1,
    )
    return tf.argmin(distances, axis=-1)


def accuracy(masks: Any, predicted: Any) -> Any:
    """Return the share of the pixels with data whose class is right, a scalar."""
    hits = tf.cast(tf.equal(tf.cast(masks, tf.int64), predicted), tf.float32)
    return _mean_over_known(hits, _known(masks))


def _known(masks: Any) -> Any:
    return tf.cast(tf.not_equal(masks, NO_DATA), tf.float32)


def _mean_over_known(values: Any, known: Any) -> Any:
    return tf.reduce_sum(values * known) / tf.maximum(tf.reduce_sum(known), 1.0)


def _cross_entropy(truth: Any, output: Any) -> Any:
    logs = tf.math.log(tf.maximum(output, _SMALLEST_PROBABILITY))
    return -tf.reduce_sum(truth * logs, axis=-1)


def _dice_loss(truth: Any, output: Any, known: Any) -> Any:
    """Return one minus the soft Dice coefficient, the mean over the batch's classes.

    Milletari, Navab, Ahmadi: V-Net (2016), doi:10.1109/3DV.2016.79.
    """
    output = output * known[..., None]
    both = 2 * tf.reduce_sum(truth * output, axis=(0, 1, 2))
    sizes = tf.reduce_sum(truth, axis=(0, 1, 2)) + tf.reduce_sum(output, axis=(0, 1, 2))
    present = tf.cast(tf.reduce_sum(truth, axis=(0, 1, 2)) > 0, tf.float32)
    losses = 1 - (both + 1) / (sizes + 1)
    return tf.reduce_sum(losses * present) / tf.maximum(tf.reduce_sum(present), 1.0)


def _color_loss(masks: Any, output: Any, colors: Any) -> Any:
    """Return the binary cross-entropy between the mask's colours and the output."""
    indices = tf.minimum(tf.cast(masks, tf.int32), tf.shape(colors)[0] - 1)
    truth = tf.gather(colors, indices)
    low, high = _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY
    output = tf.clip_by_value(output, low, high)
    terms = truth * tf.math.log(output) + (1 - truth) * tf.math.log(1 - output)
    return _mean_over_known(-tf.reduce_mean(terms, axis=-1), _known(masks))
