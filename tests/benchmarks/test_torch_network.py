"""The PyTorch form of a network computes what the Keras one does."""

from typing import Any

import numpy as np
import pytest

from terrainlib.model.config import UNetConfig

torch = pytest.importorskip("torch")


def _copy_weights(source: Any, target: Any) -> None:
    """Put the weights of a Keras network into its PyTorch form."""
    for layer in source.layers:
        values = [torch.from_numpy(value) for value in layer.get_weights()]
        if not values:
            continue
        part = target.part(layer.name)
        parts = list(part) if isinstance(part, torch.nn.Sequential) else [part]
        part = next(p for p in parts if getattr(p, "weight", None) is not None)
        if isinstance(part, torch.nn.BatchNorm2d):
            names = ("weight", "bias", "running_mean", "running_var")
        else:
            names = ("weight", "bias") if layer.use_bias else ("weight",)
            values[0] = values[0].permute(3, 2, 0, 1)
        with torch.no_grad():
            for name, value in zip(names, values, strict=True):
                getattr(part, name).copy_(value)


@pytest.mark.parametrize("preset", ["fast", "notebook", "best"])
def test_same_weights_give_the_same_output(preset: str) -> None:
    import keras

    from benchmarks._torch_network import TorchNetwork, parameters
    from terrainlib.model.network import build_unet
    from terrainlib.model.reading.layers import graph_of

    keras.utils.set_random_seed(0)
    network = build_unet(UNetConfig.preset(preset, filters=(4, 6, 8)))
    image = np.random.default_rng(0).random((2, 32, 48, 3), np.float32)
    network(image, training=True)  # moves the averages of the normalisation
    peer = TorchNetwork(graph_of(network)).eval()
    _copy_weights(network, peer)
    with torch.no_grad():
        output = peer(torch.from_numpy(image).permute(0, 3, 1, 2))
    expected = network(image, training=False).numpy()
    np.testing.assert_allclose(output.permute(0, 2, 3, 1), expected, atol=1e-5)
    trained = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    assert parameters(peer) == trained
