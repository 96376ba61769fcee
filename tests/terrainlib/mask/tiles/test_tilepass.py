"""Running networks: right results, new weights, threads, freeing."""

import gc
import threading
import weakref

import numpy as np
import pytest

from terrainlib.mask.tiles import tilepass
from terrainlib.mask.tiles.tilepass import run_network
from terrainlib.model.config import UNetConfig
from terrainlib.model.network import build_unet
from terrainlib.model.pixelclassifier import PixelClassifier

PRESETS = ["fast", "notebook", "best"]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def plain(network, batch: np.ndarray) -> np.ndarray:
    """Return what Keras itself gives."""
    return np.asarray(network(batch, training=False))


def tiny_network(seed: int = 3):
    import keras

    keras.utils.set_random_seed(seed)
    return build_unet(UNetConfig.preset("fast", filters=(4, 4), image_size=16))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 48, 32), (1, 128, 64)])
def test_the_output_is_what_keras_gives(random_models, preset, shape):
    network, batch = random_models[preset].network, noise(*shape, 3)
    result = run_network(network, batch)
    assert result.dtype == np.float32
    assert np.ptp(result) > 0.1
    assert np.abs(result - plain(network, batch)).max() < 1e-5


@pytest.mark.parametrize("preset", PRESETS)
def test_a_batch_gives_what_its_images_give_alone(random_models, preset):
    network, batch = random_models[preset].network, noise(4, 64, 80, 3)
    for image, expected in zip(batch, run_network(network, batch), strict=True):
        assert np.abs(run_network(network, image[None])[0] - expected).max() < 1e-5


def test_weights_that_change_later_count():
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    before = run_network(network, batch)
    network.get_layer("mask").bias.assign([3, 0, 0, 0, 0, 0, 0])
    after = run_network(network, batch)
    assert np.abs(after - before).max() > 0.1
    assert np.abs(after - plain(network, batch)).max() < 1e-5


def test_statistics_of_the_normalisation_that_change_later_count():
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    run_network(network, batch)
    mean = network.get_layer("stem_norm").moving_mean
    mean.assign(mean + 1)
    assert np.abs(run_network(network, batch) - plain(network, batch)).max() < 1e-5


def test_a_network_is_built_once_for_all_sizes(monkeypatch):
    network, built = tiny_network(), []
    build = tilepass.build

    def watched(*arguments):
        built.append(arguments)
        return build(*arguments)

    monkeypatch.setattr(tilepass, "build", watched)
    for shape in ((1, 16, 16, 3), (2, 32, 16, 3), (1, 16, 16, 3)):
        run_network(network, noise(*shape))
    assert len(built) == 1


def test_large_networks_read_their_variables(monkeypatch):
    monkeypatch.setattr(tilepass, "_MAX_CONSTANT_BYTES", 100)
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    assert tilepass.build(network, 3).weights is None
    run_network(network, batch)
    network.get_layer("mask").bias.assign([3, 0, 0, 0, 0, 0, 0])
    assert np.abs(run_network(network, batch) - plain(network, batch)).max() < 1e-5


def test_a_network_is_freed_after_use():
    network = tiny_network()
    run_network(network, noise(1, 16, 16, 3))
    reference = weakref.ref(network)
    del network
    gc.collect()
    assert reference() is None


def test_one_network_runs_at_a_time():
    running, most = 0, 0
    entered = threading.Event()

    class Counting(PixelClassifier):
        def __init__(self):
            pass

        def __call__(self, batch):
            nonlocal running, most
            running += 1
            most = max(most, running)
            entered.wait(0.02)  # never set: others get their chance to come in
            running -= 1
            return batch

    network = Counting()
    threads = [
        threading.Thread(target=run_network, args=(network, noise(1, 2, 2, 3)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (running, most) == (0, 1)
