"""What a network is fed, and running it: right results, new weights, threads."""

import gc
import threading
import weakref

import numpy as np
import pytest

from terrainlib.errors import InputError
from terrainlib.model import forward
from terrainlib.model.config import UNetConfig
from terrainlib.model.forward import network_input, relief, run_network
from terrainlib.model.network import build_unet
from terrainlib.model.pixelclassifier import Classifier

COLORS_ONLY = UNetConfig.preset("fast")
WITH_HEIGHT = UNetConfig.preset("fast", height=True)


def test_colours_alone_pass_unchanged() -> None:
    rgb = np.random.default_rng(0).random((5, 6, 3), np.float32)

    np.testing.assert_array_equal(network_input(rgb, None, COLORS_ONLY), rgb)


@pytest.mark.parametrize("shape", [(5, 6), (2, 5, 6)])
def test_relief_becomes_the_fourth_channel(shape: tuple[int, ...]) -> None:
    rgb = np.zeros((*shape, 3), np.float32)
    height = np.full(shape, 800, np.float32)

    result = network_input(rgb, height, WITH_HEIGHT)

    assert result.shape == (*shape, 4)
    assert result.dtype == np.float32
    assert not result.any()  # a plateau has no relief


def test_a_network_with_relief_needs_heights() -> None:
    with pytest.raises(InputError, match=r"needs the heights .* Give a height file"):
        network_input(np.zeros((4, 4, 3), np.float32), None, WITH_HEIGHT)


def test_relief_is_the_root_of_the_range_in_five_pixels() -> None:
    height = np.zeros((9, 9), np.float32)
    height[4, 4] = 250.0

    result = relief(height)

    assert result[4, 4] == result[2, 2] == result[6, 6] == 0.5
    assert result[1, 1] == 0


def test_relief_does_not_depend_on_the_height_above_sea_level() -> None:
    height = np.random.default_rng(0).uniform(0, 900, (12, 12)).astype(np.float32)

    np.testing.assert_allclose(relief(height + 2000), relief(height), atol=1e-4)


def test_a_void_has_no_relief_and_makes_none_around_it() -> None:
    height = np.full((9, 9), 800, np.float32)
    height[3:6, 3:6] = np.nan

    assert not relief(height).any()
    assert not relief(np.full((3, 3), np.nan, np.float32)).any()


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
    build = forward.build

    def watched(*arguments):
        built.append(arguments)
        return build(*arguments)

    monkeypatch.setattr(forward, "build", watched)
    for shape in ((1, 16, 16, 3), (2, 32, 16, 3), (1, 16, 16, 3)):
        run_network(network, noise(*shape))
    assert len(built) == 1


def test_large_networks_read_their_variables(monkeypatch):
    monkeypatch.setattr(forward, "_MAX_CONSTANT_BYTES", 100)
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    assert forward.build(network, 3).weights is None
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

    class Counting(Classifier):
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
