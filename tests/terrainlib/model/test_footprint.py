"""Memory and arithmetic from the configuration, against the network itself."""

import math
from typing import Any

import keras
import numpy as np
import pytest

from terrainlib.model.config import TrainingConfig, UNetConfig
from terrainlib.model.machine import (
    activation_values,
    convolutions,
    multiplications,
    pair_bytes,
    training_bytes,
)
from terrainlib.model.network import OUTPUT_NAME, build_unet

SIZE = 64


def feature_layers(network: Any) -> list[Any]:
    """Return the convolutions but the last."""
    layers = [item for item in network.layers if hasattr(item, "kernel")]
    return [item for item in layers if item.name != OUTPUT_NAME]


@pytest.mark.parametrize("preset", ["notebook", "fast", "best"])
def test_values_and_arithmetic_are_those_of_the_network(preset: str) -> None:
    config = UNetConfig.preset(preset, height=True)
    network = build_unet(config)
    layers = feature_layers(network)
    shapes = keras.Model(network.input, [layer.output for layer in layers])(
        np.zeros((1, SIZE, SIZE, 4), np.float32)
    )
    values = work = 0
    for layer, output in zip(layers, shapes, strict=True):
        values += math.prod(output.shape)
        share = 4 if isinstance(layer, keras.layers.Conv2DTranspose) else 1
        pixels = math.prod(output.shape[1:3])
        slow = 1 if layer.trainable else 3  # few channels
        work += slow * pixels * math.prod(layer.kernel.shape) // share

    assert activation_values(config, SIZE) == pytest.approx(values, rel=0.1)
    assert multiplications(config, SIZE) == pytest.approx(3 * work, rel=0.1)
    weights = sum(layer.weights for layer in convolutions(config, SIZE))
    assert weights == pytest.approx(network.count_params(), rel=0.1)


@pytest.mark.parametrize(
    ("preset", "size", "batch", "measured_mb"),
    [  # peak resident memory of a process after three steps in float32
        ("fast", 128, 8, 1177),
        ("fast", 256, 8, 2163),
        ("best", 128, 4, 1250),
        ("notebook", 128, 32, 1764),
    ],
)
def test_the_memory_of_a_training_is_estimated_with_some_reserve(
    preset: str, size: int, batch: int, measured_mb: int
) -> None:
    config = TrainingConfig.preset(
        preset, network={"image_size": size}, batch_size=batch
    )

    assert 1 < training_bytes(config) / (measured_mb * 2**20) < 1.5


def test_crops_and_not_images_decide_the_memory_of_a_step() -> None:
    small = TrainingConfig.preset("best", network={"image_size": 128})
    crops = TrainingConfig.preset("best", network={"image_size": 512}, crop_size=128)

    assert training_bytes(small) == training_bytes(crops)


def test_a_prepared_pair_takes_a_byte_a_channel_and_four_for_the_height() -> None:
    assert pair_bytes(10, heights=False) == 100 * (3 + 1)
    assert pair_bytes(10, heights=True) == 100 * (3 + 1 + 4)
