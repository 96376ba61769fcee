"""The twin that learns is the network, only faster."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from terrainlib.model.config import Precision, TrainingConfig
from terrainlib.model.learning.trainer import FusedBatchNormalization, make_learner
from terrainlib.model.machine import multiplies_bfloat16
from terrainlib.model.network import build_unet

SIZE = 32


def twins(preset: str, precision: Precision, *, noise: float = 0.1) -> tuple[Any, Any]:
    """Return a small network with statistics that are not those of its start, twice."""
    config = TrainingConfig.preset(
        preset,
        network={"filters": (4, 8, 8), "image_size": SIZE, "dropout": 0.0},
        precision=precision,
    )
    keras.utils.set_random_seed(3)
    network = build_unet(config.network)
    random = np.random.default_rng(3)
    network.set_weights(
        [w + noise * random.random(w.shape, np.float32) for w in network.get_weights()]
    )
    return network, make_learner(network, config)


def images() -> Any:
    return np.random.default_rng(5).random((3, SIZE, SIZE, 3), np.float32)


def weights_after_a_step(network: Any) -> list[Any]:
    """Return the gradients, then the running statistics, after one training step."""
    with tf.GradientTape() as tape:
        output = tf.cast(network(images(), training=True), tf.float32)
        loss = tf.reduce_mean(tf.square(output - 0.3))
    trained = [variable.value for variable in network.trainable_variables]
    gradients = [g.numpy() for g in tape.gradient(loss, trained)]
    return gradients + [v.numpy() for v in network.non_trainable_variables]


@pytest.mark.parametrize("preset", ["fast", "notebook"])
def test_a_step_of_the_learner_is_a_step_of_the_network(preset: str) -> None:
    network, learner = twins(preset, "float32")

    expected, found = weights_after_a_step(network), weights_after_a_step(learner)

    assert any(isinstance(x, FusedBatchNormalization) for x in learner.layers)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


def test_the_learner_predicts_as_the_network_does() -> None:
    network, learner = twins("fast", "float32")

    np.testing.assert_allclose(
        learner(images(), training=False), network(images(), training=False), atol=1e-6
    )


def test_in_bfloat16_weights_and_probabilities_stay_float32() -> None:
    network, learner = twins("fast", "bfloat16", noise=0.0)

    output = learner(images(), training=False)

    assert {v.dtype for v in learner.weights} == {"float32"}
    assert {layer.compute_dtype for layer in learner.layers[1:]} == {
        "bfloat16",
        "float32",
    }
    assert output.dtype == tf.float32
    np.testing.assert_allclose(output, network(images(), training=False), atol=0.1)
    np.testing.assert_allclose(output.numpy().sum(-1), 1.0, atol=1e-5)


def test_weights_of_the_twins_are_equal_but_not_shared() -> None:
    network, learner = twins("fast", "float32")
    before = network.get_weights()

    learner.set_weights([w + 1 for w in learner.get_weights()])

    for now, then in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor: 0\nflags\t\t: fpu avx512_bf16 sse\n", True),
        ("flags : amx_bf16\n", True),
        ("flags : fpu avx512f avx2\n", False),
        ("model name : avx512_bf16\n", False),
        ("", False),
    ],
)
def test_the_processor_is_asked_for_bfloat16(
    tmp_path: Path, text: str, expected: bool
) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text(text)

    assert multiplies_bfloat16(facts) is expected


def test_a_machine_that_says_nothing_of_itself_has_no_bfloat16(tmp_path: Path) -> None:
    assert not multiplies_bfloat16(tmp_path / "missing")
