"""How far an input pixel reaches, computed and measured."""

import keras
import numpy as np
import pytest

from terrainlib.model.config import MAX_LEVELS, PRESETS, Encoder, UNetConfig
from terrainlib.model.modelfile import receptive_field
from terrainlib.model.network import build_unet
from terrainlib.model.reading.layers import graph_of, half_width


def measured_reach(config: UNetConfig) -> int:
    """Return how far a single bright pixel on black is seen in the output.

    All kernels are positive, so that nothing cancels, and black stays exactly zero, so
    that nothing is swallowed by rounding.
    """
    network = build_unet(config)
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            kernel, *bias = layer.get_weights()
            nothing = [np.zeros_like(values) for values in bias]
            layer.set_weights([np.full_like(kernel, 0.2), *nothing])
    features = keras.Model(network.input, network.layers[-1].input)
    period = config.size_multiple
    rows = 512
    images = np.zeros((period, rows, period, 3), np.float32)
    starts = rows // 2 + np.arange(period)
    images[np.arange(period), starts, 0] = 1.0
    seen = np.asarray(features(images, training=False)).any(axis=(2, 3))
    reaches = [
        np.abs(np.flatnonzero(line) - start).max()
        for line, start in zip(seen, starts, strict=True)
    ]
    return int(max(reaches))


@pytest.mark.parametrize("name", PRESETS)
def test_a_bright_pixel_reaches_exactly_as_far_as_computed(name: str) -> None:
    levels = len(UNetConfig.preset(name).filters)
    config = UNetConfig.preset(name, filters=(1,) * levels)

    assert receptive_field(config) == measured_reach(config)


def test_two_levels_by_hand() -> None:
    # 2 at the top, then (2 + 2 + 1) at half resolution, then 2 at the top again.
    assert receptive_field(UNetConfig(filters=(1, 1), stem_stride=1)) == 10


@pytest.mark.parametrize("levels", range(2, MAX_LEVELS + 1))
@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("encoder", ["own", "imagenet"])
def test_layers_and_configuration_reach_equally_far(
    encoder: Encoder, stem_stride: int, levels: int
) -> None:
    config = UNetConfig(
        filters=tuple(range(1, levels + 1)),
        stem_stride=stem_stride,
        encoder=encoder,
        dropout=0.1,
    )

    assert half_width(graph_of(build_unet(config))) == receptive_field(config)


def test_one_convolution_reaches_half_its_kernel() -> None:
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Conv2D(1, 5, padding="same")(image))

    assert half_width(graph_of(network)) == 2
