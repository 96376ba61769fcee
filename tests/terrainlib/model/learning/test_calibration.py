"""Temperature scaling: a known temperature found back, and folded into the network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.model.config import TrainingConfig, UNetConfig
from terrainlib.model.learning.calibration import (
    MAX_TEMPERATURE,
    MIN_PIXELS,
    MIN_TEMPERATURE,
    fit_temperature,
    fold_temperature,
    network_temperature,
)
from terrainlib.model.learning.pipeline import whole_input
from terrainlib.model.modelfile import load_model
from terrainlib.model.network import build_unet
from terrainlib.model.reading.writer import save_model
from terrainlib.model.record import ModelRecord, class_list
from tests.models import KERAS_COPY_WARNING
from tests.terrainlib.model.conftest import make_pairs

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def honest(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits of seven classes, and truths drawn with just these odds."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (count, 7))
    edges = softmax(logits).cumsum(axis=-1)
    truth = (random.random((count, 1)) > edges[:, :-1]).sum(axis=-1)
    return logits, truth.astype(np.uint8)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.5])
def test_a_network_that_is_too_sure_by_a_factor_is_found_out(factor: float) -> None:
    logits, truth = honest(200_000)
    found = fit_temperature(softmax(factor * logits).astype(np.float32), truth)
    assert found == pytest.approx(factor, rel=0.02)


def test_two_classes_agree_with_the_temperature_worked_out_by_hand() -> None:
    # 0.9 sure and right in 3 of 4 pixels: ln(9) / T = ln(3), so T = 2
    probabilities = np.tile(np.array([0.9, 0.1], np.float32), (4000, 1))
    truth = (np.arange(4000) % 4 == 0).astype(np.uint8)
    assert fit_temperature(probabilities, truth) == 2.0


def test_pixels_without_data_do_not_count() -> None:
    logits, truth = honest(20_000)
    probabilities = softmax(2 * logits).astype(np.float32).reshape(100, 200, 7)
    masks = truth.reshape(100, 200).copy()
    masks[:50] = 255
    found = fit_temperature(probabilities, masks)
    assert found == fit_temperature(probabilities[50:], masks[50:])
    assert found == pytest.approx(2, rel=0.05)


def test_what_is_always_right_or_never_stays_within_bounds() -> None:
    sure = np.tile(np.array([0.9, 0.1], np.float32), (2000, 1))
    assert fit_temperature(sure, np.zeros(2000, np.uint8)) == MIN_TEMPERATURE
    assert fit_temperature(sure, np.ones(2000, np.uint8)) == MAX_TEMPERATURE
    certain = np.tile(np.array([1.0, 0.0], np.float32), (2000, 1))
    assert fit_temperature(certain, np.ones(2000, np.uint8)) == MAX_TEMPERATURE


def test_without_enough_pixels_or_any_opinion_nothing_is_changed() -> None:
    logits, truth = honest(MIN_PIXELS)
    probabilities = softmax(2.5 * logits).astype(np.float32)
    assert fit_temperature(probabilities, truth) != 1
    truth[0] = 255
    assert fit_temperature(probabilities, truth) == 1
    flat = np.full((2000, 4), 0.25, np.float32)
    assert fit_temperature(flat, np.zeros(2000, np.uint8)) == 1


def a_network(config: UNetConfig, *, sureness: float = 4) -> Any:
    """Return a network whose last layer is `sureness` times as sure as at first."""
    keras.utils.set_random_seed(3)
    network = build_unet(config)
    bias = np.random.default_rng(3).normal(0, 0.3, config.output_channels)
    kernel = network.get_layer("mask").get_weights()[0]
    network.get_layer("mask").set_weights([sureness * kernel, bias])
    return network


CONFIG = UNetConfig.preset("fast", image_size=32, filters=(4, 8), encoder="own")


def pixels() -> np.ndarray:
    return np.random.default_rng(1).random((2, 32, 32, 3), np.float32)


def test_folding_divides_the_logits_and_leaves_the_classes() -> None:
    network = a_network(CONFIG)
    before = np.asarray(network(pixels()))
    fold_temperature(network, 2.5)
    after = np.asarray(network(pixels()))
    expected = softmax(np.log(before.astype(np.float64)) / 2.5)
    assert np.abs(after - expected).max() < 1e-5
    assert np.abs(after - before).max() > 0.01
    assert (after.argmax(axis=-1) == before.argmax(axis=-1)).all()
    assert len(np.unique(after.argmax(axis=-1))) > 1


def test_a_saved_model_predicts_calibrated_here_and_in_plain_keras(
    tmp_path: Path,
) -> None:
    network = a_network(CONFIG)
    fold_temperature(network, 1.7)
    record = ModelRecord(
        config=CONFIG.to_dict(), classes=class_list(KAGGLE_CLASSES), temperature=1.7
    )
    expected = np.asarray(network(pixels()))
    for path in save_model(network, record, tmp_path):
        model = load_model(path)
        plain = keras.models.load_model(path, compile=False)
        assert model.record.temperature == 1.7
        assert (np.asarray(model.network(pixels())) == expected).all()
        assert (np.asarray(plain(pixels())) == expected).all()


def test_a_networks_temperature_is_that_of_its_output_on_the_pairs() -> None:
    config = TrainingConfig(
        epochs=1, network=replace(CONFIG, image_size=16, height=True), batch_size=8
    )
    pairs, network = make_pairs(20), a_network(config.network, sureness=8)
    seen = []

    def forward(batch: np.ndarray) -> np.ndarray:
        seen.append(batch.shape)
        return np.asarray(network(batch, training=False))

    inputs = np.stack([whole_input(pairs, config, row) for row in range(20)])
    odds = softmax(np.log(np.maximum(forward(inputs), 1e-30)) / 2.5).cumsum(axis=-1)
    chances = np.random.default_rng(2).random((*odds.shape[:3], 1))
    pairs.masks[:] = (chances > odds[..., :-1]).sum(axis=-1)
    pairs.masks[0, :8] = 255
    found = network_temperature(forward, pairs, config)
    assert seen[1:] == [(8, 16, 16, 4), (8, 16, 16, 4), (4, 16, 16, 4)]
    assert found == pytest.approx(2.5, rel=0.05)
    fold_temperature(network, found)
    assert network_temperature(forward, pairs, config) == pytest.approx(1, abs=1e-3)


def test_of_many_pixels_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "terrainlib.model.learning.calibration"
    monkeypatch.setattr(f"{module}._MAX_RUN_PX", 5 * 256)
    monkeypatch.setattr(f"{module}._MAX_VALUES", 7 * 700)
    fitted: list[tuple[int, ...]] = []

    def fit(probabilities: np.ndarray, truth: np.ndarray) -> float:
        fitted.append(probabilities.shape + truth.shape)
        return 1.5

    monkeypatch.setattr(f"{module}.fit_temperature", fit)
    network = replace(CONFIG, image_size=16)
    config = TrainingConfig(epochs=1, network=network, batch_size=4)
    seen = []

    def forward(batch: np.ndarray) -> np.ndarray:
        seen.append(len(batch))
        return np.full((*batch.shape[:3], 7), 1 / 7, np.float32)

    assert network_temperature(forward, make_pairs(12), config) == 1.5
    assert seen == [4, 1]
    assert fitted == [(640, 7, 640)]  # every second one of 5 * 256


def test_colours_have_no_temperature() -> None:
    network = UNetConfig.preset("notebook", image_size=32)
    config = TrainingConfig(epochs=1, network=network)
    assert network_temperature(_forbidden, make_pairs(4), config) == 1


def _forbidden(batch: np.ndarray) -> np.ndarray:
    raise AssertionError(batch)
