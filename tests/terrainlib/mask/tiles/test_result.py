"""What is kept of a prediction's probabilities, and what is made of it later."""

from collections.abc import Callable

import numpy as np
import pytest

from terrainlib.data.imagery import Image
from terrainlib.data.palette import NO_DATA
from terrainlib.mask.prediction import predict_image
from terrainlib.mask.tiles import result as module
from terrainlib.mask.tiles.result import KeptProbabilities, Prediction
from terrainlib.model.modelfile import TerrainModel
from tests.synthetic import terrain

SIZE = 61


@pytest.fixture
def prediction(color_model: Callable[..., TerrainModel]) -> Prediction:
    """A prediction at half the image's resolution, with a corner without data."""
    image = Image.from_array(terrain(SIZE, seed=4)[0])
    image.valid[:9, :7] = False
    return predict_image(color_model(scale=0.5), image)


@pytest.fixture(params=[SIZE * 5, SIZE * SIZE], autouse=True)
def _pixels_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", request.param)


def test_classes_are_those_of_the_prediction_and_margins_those_of_its_probabilities(
    prediction: Prediction,
):
    classes, margins = prediction.classes_and_margins()

    np.testing.assert_array_equal(classes, prediction.classes)
    ordered = np.sort(prediction.probabilities, axis=-1)
    expected = (ordered[..., -1] - ordered[..., -2]) * 255
    known = prediction.valid
    assert (margins[known] <= expected[known] + 1e-3).all()
    assert (margins[known] > expected[known] - 1 - 1e-3).all()
    assert (margins[~known] == 0).all()


def test_what_is_kept_is_the_probabilities_and_half_a_65535th_at_most_off(
    prediction: Prediction,
):
    kept = KeptProbabilities.of(prediction)

    rows = np.concatenate([kept.rows(0, 17), kept.rows(17, SIZE)])

    assert kept.working.shape[:2] == (31, 31)
    assert kept.working.dtype == np.uint16
    assert rows.dtype == np.float32
    assert np.abs(rows - prediction.probabilities).max() < 0.6 / 65535


def test_weights_sum_to_255_and_to_nothing_where_there_is_no_data(
    prediction: Prediction,
):
    weights = KeptProbabilities.of(prediction).weights(prediction.classes)

    known = prediction.valid
    assert weights.shape == (SIZE, SIZE, len(prediction.palette))
    assert (weights.sum(axis=2) == np.where(known, 255, 0)).all()
    furthest = np.abs(weights[known] / 255 - prediction.probabilities[known]).max()
    assert furthest < 1.2 / 255


def test_bands_follow_each_other_and_hold_the_mask_that_was_given(
    prediction: Prediction,
):
    mask = np.where(prediction.classes == NO_DATA, NO_DATA, 2).astype(np.uint8)

    bands = list(KeptProbabilities.of(prediction).bands(mask))

    ends = [0, *(band.rows.stop for band in bands)]
    assert [band.rows.start for band in bands] == ends[:-1]
    assert ends[-1] == SIZE
    given = np.concatenate([band.classes for band in bands])
    np.testing.assert_array_equal(given, mask)
