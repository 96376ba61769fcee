"""Tiny random networks, for the tests of running them and of prediction."""

from typing import Any

import numpy as np
import pytest

from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import TerrainModel
from tests.mask_models import make_model

FILTERS = {"fast": (4, 4, 4), "notebook": (2, 2, 3, 4, 4), "best": (2, 2, 3, 4, 4)}


def spread_out(network: Any, images: np.ndarray) -> None:
    """Scale the last layer so that each of its channels is as often low as high."""
    import keras

    last = network.layers[-1]
    features = keras.Model(network.input, last.input)(images, training=False)
    kernel, bias = last.get_weights()
    values = (np.asarray(features) @ kernel[0, 0] + bias).reshape(-1, len(bias))
    factor = 2 / values.std(axis=0)
    last.set_weights([kernel * factor, (bias - values.mean(axis=0)) * factor])


@pytest.fixture(scope="session")
def random_models() -> dict[str, TerrainModel]:
    """Return a tiny network of each preset, with random weights and statistics."""
    import keras

    from terrainlib.model.modelfile import receptive_field
    from terrainlib.model.network import build_unet

    models = {}
    for number, (preset, filters) in enumerate(FILTERS.items()):
        config = UNetConfig.preset(preset, filters=filters, image_size=32)
        keras.utils.set_random_seed(number + 1)
        network = build_unet(config)
        rng = np.random.default_rng(number)
        for weight in network.weights:
            if weight.path.endswith("moving_mean"):
                weight.assign(rng.normal(0, 0.1, weight.shape))
            if weight.path.endswith("beta"):  # so that what lies deep is seen
                weight.assign(rng.normal(0.3, 0.1, weight.shape))
        spread_out(network, rng.random((1, 64, 64, 3), dtype=np.float32))
        models[preset] = make_model(
            network, config, receptive_field=receptive_field(config)
        )
    return models
