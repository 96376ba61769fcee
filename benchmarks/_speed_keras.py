"""Training speed with TensorFlow: our loop, and Keras' `fit`. A worker's module.

The options it is told at its start:

- `way`: `ours` (`Trainer.step` fed by `training_batches`) or `fit` (`compile` and `fit`
  on float32 arrays in memory, AdamW and cross-entropy);
- `config`: the training in its JSON form;
- `pairs`: how many pairs an epoch has; None for all of the sample;
- `settings`: what to change: `intra` and `inter` (threads), `xla`, `deterministic`,
  `precision` (of our loop) and `bfloat16` (of Keras' own).

It answers with the network's description, then measures on request.
"""

import time
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks._pairs import config_of, float_arrays, sample_pairs
from benchmarks._worker import Channel
from terrainlib.data.cache import PairCache
from terrainlib.data.sample import open_sample
from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning.pipeline import training_batches
from terrainlib.model.learning.trainer import Trainer
from terrainlib.model.network import build_unet

Timed = tuple[int, float]  # images, seconds


class OwnLoop:
    """The steps of a training as `terrainlib.model.learning.epochs` takes them."""

    def __init__(
        self, config: TrainingConfig, pairs: PairCache, settings: dict[str, Any]
    ) -> None:
        self.config = config
        self.cache = pairs
        self.trainer = _trainer(config, settings)
        self.network = self.trainer.network
        self.steps = max(1, len(self.cache.ids) // config.batch_size)
        self.epochs = 0
        batches = training_batches(self.cache, config, epoch=1, steps=1)
        self.batch: tuple[Any, Any] = next(iter(batches))
        self.epoch()

    def measure(self, seconds: float) -> Timed:
        """Train whole epochs for at least so long."""
        images, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            images += self.epoch()
        return images, time.perf_counter() - begun

    def epoch(self) -> int:
        """Train one epoch and return its images."""
        self.epochs += 1
        images = 0
        for inputs, masks in training_batches(
            self.cache, self.config, epoch=self.epochs, steps=self.steps
        ):
            self.trainer.step(inputs, masks, self.config.learning_rate)
            images += len(inputs)
        return images

    def same_batch(self) -> int:
        """Train as many steps on one batch in memory and return its images."""
        inputs, masks = self.batch
        for _ in range(self.steps):
            self.trainer.step(inputs, masks, self.config.learning_rate)
        return self.steps * len(inputs)

    def input_shares(self, seconds: float) -> list[float]:
        """Return what the input costs of an epoch, 0 to 1, for several in turn.

        Each is an epoch from the pipeline between two on one batch: the machine's slow
        drift then falls out.
        """
        shares: list[float] = []
        begun = time.perf_counter()
        before = _seconds(self.same_batch)
        while not shares or time.perf_counter() - begun < seconds:
            fed = _seconds(self.epoch)
            after = _seconds(self.same_batch)
            shares.append(1 - (before + after) / 2 / fed)
            before = after
        return shares


class KerasFit:
    """The same network in Keras' own loop."""

    def __init__(
        self, config: TrainingConfig, pairs: PairCache, settings: dict[str, Any]
    ) -> None:
        self.config = config
        self.inputs, self.masks = float_arrays(pairs, config)
        self.network = build_unet(config.network)
        self.network.compile(
            optimizer=keras.optimizers.AdamW(
                config.learning_rate, weight_decay=config.weight_decay
            ),
            loss=keras.losses.SparseCategoricalCrossentropy(),
            jit_compile=settings.get("xla", "auto"),
        )
        self._fit(epochs=1)

    def measure(self, seconds: float) -> Timed:
        """Train whole epochs for at least so long."""
        begun = time.perf_counter()
        ended: list[float] = []

        def stop(_epoch: int, _logs: Any) -> None:
            ended.append(time.perf_counter())
            if ended[-1] - begun >= seconds:
                self.network.stop_training = True

        self._fit(epochs=1_000_000, callback=stop)
        return len(ended) * len(self.inputs), ended[-1] - begun

    def _fit(self, *, epochs: int, callback: Any = None) -> None:
        self.network.fit(
            self.inputs,
            self.masks,
            batch_size=self.config.batch_size,
            epochs=epochs,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=callback)],
        )


def main() -> None:
    """Build what is asked for and measure it as often as is asked."""
    channel = Channel()
    settings = channel.options["settings"]
    config = config_of(channel.options)
    config = replace(config, precision=settings.get("precision", config.precision))
    _set_up(config, settings, deterministic=channel.options["way"] == "ours")
    kind = OwnLoop if channel.options["way"] == "ours" else KerasFit
    loop = kind(config, sample_pairs(config, channel.options["pairs"]), settings)
    weights = [np.prod(v.shape) for v in loop.network.trainable_variables]
    channel.tell(parameters=int(sum(weights)), network=loop.network.to_json())
    for request in channel.requests():
        if request["measure"] == "input" and isinstance(loop, OwnLoop):
            channel.tell(shares=loop.input_shares(request["seconds"]))
            continue
        images, seconds = loop.measure(request["seconds"])
        channel.tell(images=images, seconds=seconds)


def _set_up(
    config: TrainingConfig, settings: dict[str, Any], *, deterministic: bool
) -> None:
    """Set what holds for the whole process, as a training does, with the changes."""
    if "intra" in settings:
        tf.config.threading.set_intra_op_parallelism_threads(settings["intra"])
        tf.config.threading.set_inter_op_parallelism_threads(settings["inter"])
    keras.utils.set_random_seed(config.seed)
    if settings.get("deterministic", deterministic and config.deterministic):
        tf.config.experimental.enable_op_determinism()
    if settings.get("bfloat16"):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")


def _trainer(config: TrainingConfig, settings: dict[str, Any]) -> Trainer:
    """Return the trainer, with XLA where it is asked for.

    The library does not offer that, so the trainer's own part is exchanged here.
    """
    trainer = Trainer(config, open_sample().classes)
    if settings.get("xla"):
        trainer._train_step = tf.function(trainer._step, jit_compile=True)  # noqa: SLF001
    return trainer


def _seconds(call: Any) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
