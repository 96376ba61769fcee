"""The twin of a network that learns: its layers and weights, put together to be fast.

A U-Net is saved, validated and used in plain Keras layers and float32. While it is
trained, a twin takes its place: batch normalisation is one fused operation in place of
a dozen, and where the processor multiplies bfloat16 numbers, activations are kept in
them (weights and their updates stay float32; Kalamkar et al.: A Study of BFLOAT16 for
Deep Learning Training, 2019, arXiv:1905.12322). It loads TensorFlow.
"""

from typing import Any, Final

import keras
import tensorflow as tf
from keras import layers

from terrainlib.model.config import TrainingConfig
from terrainlib.model.machine import multiplies_bfloat16
from terrainlib.model.network import OUTPUT_NAME

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
