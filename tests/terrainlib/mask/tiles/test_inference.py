"""Running networks: which runtime, right results, new weights, threads, freeing."""

import gc
import importlib
import importlib.util
import logging
import sys
import threading
import weakref

import numpy as np
import pytest

from terrainlib.errors import ConfigError
from terrainlib.mask.tiles import _openvino, runtimes
from terrainlib.mask.tiles.inference import run_network
from terrainlib.model.baseline import PixelClassifier
from terrainlib.model.config import UNetConfig
from terrainlib.model.network import build_unet

PRESETS = ["fast", "notebook", "best"]
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def plain(network, batch: np.ndarray) -> np.ndarray:
    """Return what Keras itself gives."""
    return np.asarray(network(batch, training=False))


def tiny_network(seed: int = 3):
    import keras

    keras.utils.set_random_seed(seed)
    return build_unet(UNetConfig.preset("fast", filters=(4, 4), image_size=16))


class Fake:
    """A runtime in OpenVINO's place: right but for what it adds or raises."""

    def __init__(self, added: float = 0.0, *, fails_at: int | None = None) -> None:
        self.added = added
        self.fails_at = fails_at
        self.calls = 0

    def __call__(self, function):
        def forward(batch):
            self.calls += 1
            if self.calls == self.fails_at:
                raise RuntimeError("out of luck")
            return np.asarray(function(batch)) + np.float32(self.added)

        return forward


@pytest.fixture
def openvino_replaced(monkeypatch):
    """Return a function that asks for OpenVINO and puts another in its place."""

    def replace(fake: Fake) -> Fake:
        monkeypatch.setenv("TERRAINLIB_RUNTIME", "openvino")
        monkeypatch.setattr(runtimes, "OpenVino", fake)
        return fake

    return replace


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 48, 32), (1, 128, 64)])
def test_the_output_is_what_keras_gives(random_models, preset, shape):
    network, batch = random_models[preset].network, noise(*shape, 3)
    result = run_network(network, batch)
    assert result.dtype == np.float32
    assert np.ptp(result) > 0.1
    assert np.abs(result - plain(network, batch)).max() < 1e-5


@pytest.mark.parametrize(
    "runtime", ["tensorflow", pytest.param("openvino", marks=needs_openvino)]
)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_batch_gives_what_its_images_give_alone(
    random_models, preset, runtime, monkeypatch
):
    monkeypatch.setenv("TERRAINLIB_RUNTIME", runtime)
    forward = runtimes.build(random_models[preset].network, 3).forward
    batch = noise(4, 64, 80, 3)
    for image, expected in zip(batch, forward(batch), strict=True):
        assert np.abs(forward(image[None])[0] - expected).max() < 1e-5


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
    network.get_layer("stem_norm").moving_mean.assign([1, -1, 2, 0])
    assert np.abs(run_network(network, batch) - plain(network, batch)).max() < 1e-5


def test_a_network_is_built_once_for_all_sizes(monkeypatch):
    network, built = tiny_network(), []
    build = runtimes.build

    def watched(*arguments):
        built.append(arguments)
        return build(*arguments)

    monkeypatch.setattr("terrainlib.mask.tiles.inference.build", watched)
    for shape in ((1, 16, 16, 3), (2, 32, 16, 3), (1, 16, 16, 3)):
        run_network(network, noise(*shape))
    assert len(built) == 1


def test_large_networks_read_their_variables(monkeypatch):
    monkeypatch.setattr(runtimes, "_MAX_CONSTANT_BYTES", 100)
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    assert runtimes.build(network, 3).weights is None
    run_network(network, batch)
    network.get_layer("mask").bias.assign([3, 0, 0, 0, 0, 0, 0])
    assert np.abs(run_network(network, batch) - plain(network, batch)).max() < 1e-5


def test_weights_that_change_later_count_in_another_runtime_too(openvino_replaced):
    fake = openvino_replaced(Fake())
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    run_network(network, batch)
    network.get_layer("mask").bias.assign([3, 0, 0, 0, 0, 0, 0])
    assert np.abs(run_network(network, batch) - plain(network, batch)).max() < 1e-5
    assert fake.calls == 4  # checked and run, twice


def test_networks_too_large_to_convert_stay_with_tensorflow(
    openvino_replaced, monkeypatch, caplog
):
    fake = openvino_replaced(Fake(added=1e-4))
    monkeypatch.setattr(runtimes, "_MAX_CONVERTED_BYTES", 100)
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    assert np.abs(run_network(network, batch) - plain(network, batch)).max() < 1e-5
    assert fake.calls == 0
    assert "the network is too large to convert" in caplog.text


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


def test_a_runtime_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("TERRAINLIB_RUNTIME", "abacus")
    sentence = "TERRAINLIB_RUNTIME must be tensorflow or openvino, not 'abacus'"
    with pytest.raises(ConfigError, match=sentence):
        run_network(tiny_network(), noise(1, 16, 16, 3))


def test_tensorflow_is_used_where_nothing_is_asked_for(monkeypatch):
    monkeypatch.delenv("TERRAINLIB_RUNTIME", raising=False)
    fake = Fake()
    monkeypatch.setattr(runtimes, "OpenVino", fake)
    run_network(tiny_network(), noise(1, 16, 16, 3))
    assert fake.calls == 0


def test_another_runtime_that_agrees_is_used(openvino_replaced):
    fake = openvino_replaced(Fake(added=1e-4))
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    difference = run_network(network, batch) - plain(network, batch)
    assert fake.calls == 2  # the check, and this
    assert 5e-5 < np.abs(difference).max() < 2e-4


@pytest.mark.parametrize("added", [0.002, float("nan")])
def test_another_runtime_that_disagrees_is_not_used(openvino_replaced, added, caplog):
    fake = openvino_replaced(Fake(added=added))
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    result = run_network(network, batch)
    assert fake.calls == 1
    assert np.abs(result - plain(network, batch)).max() < 1e-5
    assert "OpenVINO differs from TensorFlow by" in caplog.text


@pytest.mark.parametrize("call", [1, 3])
def test_tensorflow_takes_over_where_another_runtime_fails(
    openvino_replaced, call, caplog
):
    fake = openvino_replaced(Fake(fails_at=call))
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    for _ in range(4):
        result = run_network(network, batch)
        assert np.abs(result - plain(network, batch)).max() < 1e-5
    assert fake.calls == call  # never asked again
    assert caplog.text.count("so TensorFlow is: out of luck") == 1


def test_tensorflow_takes_over_where_openvino_is_missing(monkeypatch, caplog):
    monkeypatch.setenv("TERRAINLIB_RUNTIME", "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    network, batch = tiny_network(), noise(1, 16, 16, 3)
    result = run_network(network, batch)
    assert np.abs(result - plain(network, batch)).max() < 1e-5
    assert "OpenVINO cannot be used" in caplog.text


@needs_openvino
@pytest.mark.parametrize("preset", PRESETS)
def test_openvino_gives_what_keras_gives(random_models, preset, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("TERRAINLIB_RUNTIME", "openvino")
    network = random_models[preset].network
    forward = runtimes.build(network, 3).forward
    assert "OpenVINO is used" in caplog.text
    results = []
    for number, shape in enumerate(
        [(1, 32, 32), (2, 48, 32), (1, 64, 64), (1, 32, 32)]
    ):
        batch = noise(*shape, 3, seed=number)
        result = forward(batch)
        assert np.abs(result - plain(network, batch)).max() < 1e-5
        results.append((result, result.copy()))
    assert all((result == copy).all() for result, copy in results)  # not overwritten


@needs_openvino
def test_a_network_in_openvino_is_freed_after_use(monkeypatch):
    monkeypatch.setenv("TERRAINLIB_RUNTIME", "openvino")
    network = tiny_network()
    run_network(network, noise(1, 16, 16, 3))
    reference = weakref.ref(network)
    del network
    gc.collect()
    assert reference() is None


def test_the_package_that_reports_openvinos_use_is_out_of_reach_meanwhile(monkeypatch):
    there = object()
    monkeypatch.setitem(sys.modules, "openvino_telemetry", there)
    with _openvino.nothing_reported(), pytest.raises(ImportError):
        importlib.import_module("openvino_telemetry")
    assert sys.modules["openvino_telemetry"] is there
