"""One network being trained: the step, the averaged weights, the validation.

The loop over epochs is in `epochs`. It loads TensorFlow.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from terrainlib.data.cache import PairCache
from terrainlib.data.palette import NO_DATA, Classes, color_table
from terrainlib.metrics import confusion_matrix
from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning.pipeline import validation_batches, whole_input
from terrainlib.model.machine import multiplies_bfloat16
from terrainlib.model.modelfile import TerrainModel
from terrainlib.model.network import OUTPUT_NAME, build_unet
from terrainlib.model.start import RGB, take_over

_logger = logging.getLogger(__name__)
_MIXED: Final = "mixed_bfloat16"
_FULL: Final = "float32"


def make_learner(network: Any, config: TrainingConfig) -> Any:
    """Return the twin of a network, with weights of its own that are equal.

    Args:
        network: A `keras.Model` of `build_unet`.
        config: The training; its `precision` decides.

    Returns:
        A `keras.Model` whose weights have the order and the shapes of the network's. It
        gives float32, as the network does.
    """
    policy = _MIXED if in_bfloat16(config) else _FULL

    def twin(layer: Any) -> Any:
        # Probabilities of 8 bits would be too coarse for the logarithm of the loss.
        own = _FULL if layer.name == OUTPUT_NAME else policy
        kind = type(layer)
        if kind is layers.BatchNormalization:
            kind = FusedBatchNormalization
        return kind.from_config(layer.get_config() | {"dtype": own})

    learner = keras.models.clone_model(network, clone_function=twin)
    learner.set_weights(network.get_weights())
    return learner


def in_bfloat16(config: TrainingConfig) -> bool:
    """Return whether a training keeps its activations in bfloat16 on this machine."""
    if config.precision == "auto":
        return multiplies_bfloat16() and not tf.config.list_physical_devices("GPU")
    return config.precision == "bfloat16"


class FusedBatchNormalization(layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation as one operation while training; over the last axis only.

    The values, the gradients and the running statistics are those of Keras' layer.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise (N, H, W, C) by the batch, or when not training by what was seen.

        Args:
            inputs: Features.
            training: Whether the statistics are those of the batch.
            mask: Not used.
        """
        if not training:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
        self._remember(self.moving_mean, mean)
        # The operation gives the estimate of a population's variance; Keras keeps the
        # batch's own.
        self._remember(self.moving_variance, variance * (count - 1) / count)
        return outputs

    def _remember(self, average: Any, value: Any) -> None:
        average.assign(average * self.momentum + value * (1 - self.momentum))


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
    indices = tf.minimum(tf.cast(masks, tf.int32), tf.shape(colors)[0] - 1)
    truth = tf.gather(colors, indices)
    low, high = _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY
    output = tf.clip_by_value(output, low, high)
    terms = truth * tf.math.log(output) + (1 - truth) * tf.math.log(1 - output)
    return _mean_over_known(-tf.reduce_mean(terms, axis=-1), _known(masks))


@dataclass(frozen=True, slots=True)
class Validation:
    """What a pass over the validation pairs gave.

    Attributes:
        loss: Mean loss.
        accuracy: Share of the pixels whose class is right, 0 to 1.
        confusion: (K, K) int64 pixels, rows truth, columns prediction.
        complete: Whether it saw all pairs; False for one that was stopped.
    """

    loss: float
    accuracy: float
    confusion: NDArray[np.int64]
    complete: bool = True


class Trainer:
    """A network, and the twin of it that learns.

    Args:
        config: The training.
        classes: Classes and colours of the masks.
        start: The model whose weights are taken over as far as they fit, if any.
        bands: Names of the bands that the network reads.

    Attributes:
        network: The U-Net that is validated, shown and saved. Its weights are the
            running average of the learner's, or equal to them.
        learner: The twin that takes the steps.
    """

    def __init__(
        self,
        config: TrainingConfig,
        classes: Classes,
        start: TerrainModel | None = None,
        bands: Sequence[str] = RGB,
    ) -> None:
        self.config = config
        self.classes = classes
        self.network = build_unet(config.network)
        if start is not None:
            taken = take_over(self.network, start, classes, bands)
            _logger.info(
                "started from %s: %d layers are its own, %d are new (%s)",
                start.name,
                len(taken.layers),
                len(taken.new),
                ", ".join(taken.new) or "none",
            )
        self.learner = make_learner(self.network, config)
        self.optimizer = _optimizer(config)
        self.optimizer.build(self.learner.trainable_variables)
        self.steps_done = tf.Variable(0, dtype=tf.int64, name="steps_done")
        self._loss = make_loss(config, classes)
        self._train_step = tf.function(self._step)
        self._forward = tf.function(self._predict, reduce_retracing=True)

    @property
    def variables(self) -> list[Any]:
        """Everything that the next step depends on, in a fixed order."""
        return [
            *self.learner.variables,
            *self.optimizer.variables,
            *self.network.weights,
            self.steps_done,
        ]

    def step(self, inputs: Any, masks: Any, rate: float) -> tuple[float, float]:
        """Train on one batch and return its loss and accuracy."""
        self.optimizer.learning_rate.assign(rate)
        loss, share = self._train_step(inputs, masks)
        return float(loss), float(share)

    def validate(
        self, cache: PairCache, should_stop: Callable[[], bool] = lambda: False
    ) -> Validation:
        """Score the network as it is on the pairs of `cache`.

        Args:
            cache: The pairs; at least the first batch of them is looked at.
            should_stop: Asked before each further batch.
        """
        count = self.config.network.classes
        confusion = np.zeros((count, count), np.int64)
        losses: list[float] = []
        shares: list[float] = []
        known: list[int] = []  # pixels that count
        complete = True
        for inputs, masks in validation_batches(cache, self.config):
            if known and should_stop():
                complete = False
                break
            output = self._forward(inputs)
            predicted = predicted_classes(output, self.config, self.classes)
            losses.append(float(self._loss(masks, output)))
            shares.append(float(accuracy(masks, predicted)))
            known.append(int(np.count_nonzero(masks.numpy() != NO_DATA)))
            confusion += confusion_matrix(
                masks.numpy(), predicted.numpy().astype(np.uint8), count
            )
        weights = known if any(known) else None
        return Validation(
            float(np.average(losses, weights=weights)),
            float(np.average(shares, weights=weights)),
            confusion,
            complete,
        )

    def predict(self, pairs: PairCache) -> list[NDArray[np.float32]]:
        """Return the output (h, w, K or 3) for each of some pairs, one pass each."""
        outputs = []
        for row, (height, width) in enumerate(pairs.shapes):
            output = self._forward(whole_input(pairs, self.config, row)[None])
            outputs.append(np.asarray(output.numpy()[0, :height, :width], np.float32))
        return outputs

    def weights(self) -> list[NDArray[np.float32]]:
        """Return copies of the network's weights as they are."""
        return [v.numpy() for v in self.network.weights]

    def _step(self, inputs: Any, masks: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            output = self.learner(inputs, training=True)
            loss = self._loss(masks, output)
        variables = self.learner.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        self.optimizer.apply(gradients, variables)
        self.steps_done.assign_add(1)
        self._average()
        predicted = predicted_classes(output, self.config, self.classes)
        return loss, accuracy(masks, predicted)

    def _average(self) -> None:
        pairs = zip(self.network.weights, self.learner.weights, strict=True)
        if self.config.averaging == 0:
            for average, variable in pairs:
                average.assign(variable)
            return
        steps = tf.cast(self.steps_done, tf.float32)
        decay = tf.minimum(self.config.averaging, (1 + steps) / (10 + steps))
        for average, variable in pairs:
            average.assign_add((1 - decay) * (variable.value - average.value))

    def _predict(self, inputs: Any) -> Any:
        return self.network(inputs, training=False)


def _optimizer(config: TrainingConfig) -> Any:
    """Return Adam, with decoupled weight decay where the configuration wants it."""
    if config.weight_decay == 0:
        return keras.optimizers.Adam(config.learning_rate)
    optimizer = keras.optimizers.AdamW(
        config.learning_rate, weight_decay=config.weight_decay
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
