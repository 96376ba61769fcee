"""The losses: hand-computed values, pixels without data."""

import numpy as np
import pytest

from terrainlib.data.palette import KAGGLE_CLASSES, color_table
from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning.trainer import accuracy, make_loss, predicted_classes

TWO = {"network": {"classes": 2}}


def outputs(*rows: list[float]) -> np.ndarray:
    """Return an output (1, 1, W, C) of one row of pixels."""
    return np.array([[rows]], np.float32)


def masks(*indices: int) -> np.ndarray:
    return np.array([[indices]], np.uint8)


def test_cross_entropy_is_the_mean_log_of_the_true_class() -> None:
    loss = make_loss(
        TrainingConfig.preset("fast", dice_weight=0.0, **TWO), KAGGLE_CLASSES[:2]
    )

    value = float(loss(masks(0, 1), outputs([0.5, 0.5], [0.75, 0.25])))

    assert value == pytest.approx((np.log(2) + np.log(4)) / 2, rel=1e-6)


def test_pixels_without_data_do_not_count() -> None:
    loss = make_loss(
        TrainingConfig.preset("fast", dice_weight=0.5, **TWO), KAGGLE_CLASSES[:2]
    )

    with_gap = float(loss(masks(0, 255), outputs([0.5, 0.5], [0.9, 0.1])))
    without = float(loss(masks(0), outputs([0.5, 0.5])))

    assert with_gap == pytest.approx(without, rel=1e-6)
    assert float(accuracy(masks(0, 255), np.array([[[0, 1]]]))) == 1.0


def test_dice_of_a_perfect_mask_is_zero_and_of_a_wrong_one_is_large() -> None:
    loss = make_loss(
        TrainingConfig.preset("fast", dice_weight=1.0, **TWO), KAGGLE_CLASSES[:2]
    )

    right = float(loss(masks(0, 1), outputs([1, 0], [0, 1])))
    wrong = float(loss(masks(0, 1), outputs([0, 1], [1, 0])))

    assert right == pytest.approx(0, abs=1e-6)
    assert wrong == pytest.approx(1 - 1 / 3)


def test_the_notebooks_loss_compares_the_masks_colours() -> None:
    config = TrainingConfig.preset("notebook")
    loss = make_loss(config, KAGGLE_CLASSES)
    water = color_table(KAGGLE_CLASSES)[0] / 255
    given = np.array([0.2, 0.5, 0.9])
    expected = -np.mean(water * np.log(given) + (1 - water) * np.log(1 - given))

    assert float(loss(masks(0), outputs(list(given)))) == pytest.approx(
        expected, rel=1e-5
    )


def test_a_colour_stands_for_its_nearest_class() -> None:
    colors = color_table(KAGGLE_CLASSES) / 255 + 0.01
    output = np.array([[colors]], np.float32)

    predicted = predicted_classes(
        output, TrainingConfig.preset("notebook"), KAGGLE_CLASSES
    )

    assert np.asarray(predicted).tolist() == [[[0, 1, 2, 3, 4, 5, 6]]]


def test_accuracy_is_the_share_of_right_pixels() -> None:
    share = accuracy(masks(0, 1, 1, 1), np.array([[[0, 1, 0, 0]]]))

    assert float(share) == 0.5
