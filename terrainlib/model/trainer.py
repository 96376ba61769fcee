"""One network being trained: the step, the averaged weights, the validation.

The loop over epochs is in `training`. It loads TensorFlow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from terrainlib.data.cache import PairCache
from terrainlib.data.palette import Classes
from terrainlib.metrics import confusion_matrix
from terrainlib.model.config import TrainingConfig
from terrainlib.model.learner import make_learner
from terrainlib.model.losses import accuracy, make_loss, predicted_classes
from terrainlib.model.network import build_unet
from terrainlib.model.pipeline import prepared, validation_batches


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

    Attributes:
        network: The U-Net that is validated, shown and saved. Its weights are the
            running average of the learner's, or equal to them.
        learner: The twin that takes the steps.
    """

    def __init__(self, config: TrainingConfig, classes: Classes) -> None:
        self.config = config
        self.classes = classes
        self.network = build_unet(config.network)
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
        sizes: list[int] = []
        complete = True
        for inputs, masks in validation_batches(cache, self.config):
            if sizes and should_stop():
                complete = False
                break
            output = self._forward(inputs)
            predicted = predicted_classes(output, self.config, self.classes)
            losses.append(float(self._loss(masks, output)))
            shares.append(float(accuracy(masks, predicted)))
            sizes.append(len(masks))
            confusion += confusion_matrix(
                masks.numpy(), predicted.numpy().astype(np.uint8), count
            )
        return Validation(
            float(np.average(losses, weights=sizes)),
            float(np.average(shares, weights=sizes)),
            confusion,
            complete,
        )

    def predict(
        self, images: NDArray[np.uint8], heights: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return the output (N, S, S, K or 3) for images (N, S, S, 3) of the cache."""
        output = self._forward(prepared(images, heights, self.config))
        return np.asarray(output.numpy(), np.float32)

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
        """Move the network towards its learner, faster in the first steps."""
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
