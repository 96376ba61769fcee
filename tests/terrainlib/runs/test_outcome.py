"""What the record of a model says about the images it was trained on."""

import numpy as np
import pytest

from terrainlib.data.cache import PairCache
from terrainlib.runs.outcome import class_shares, training_statistics


def cache(images: np.ndarray) -> PairCache:
    count, size = images.shape[:2]
    masks = np.zeros((count, size, size), np.uint8)
    ids = tuple(str(number) for number in range(count))
    return PairCache(images, masks, None, ids, 1.0)


def test_uniform_images_have_their_colour_and_no_contrast() -> None:
    images = np.tile(np.array([255, 51, 0], np.uint8), (3, 4, 4, 1))
    assert training_statistics(cache(images)) == {
        "images": 3,
        "color_mean": [1.0, 0.2, 0.0],
        "color_std": [0.0, 0.0, 0.0],
        "contrast": 0.0,
    }


def test_contrast_is_within_images_and_not_between_them() -> None:
    between = np.zeros((2, 4, 4, 3), np.uint8)
    between[1] = 255
    within = np.zeros((2, 4, 4, 3), np.uint8)
    within[:, :2] = 255
    assert training_statistics(cache(between))["contrast"] == 0
    assert training_statistics(cache(between))["color_std"] == [0.5, 0.5, 0.5]
    assert training_statistics(cache(within))["contrast"] == pytest.approx(0.5)


def test_of_many_images_200_are_looked_at() -> None:
    images = np.zeros((451, 2, 2, 3), np.uint8)
    assert training_statistics(cache(images))["images"] == 200


def test_class_shares_are_of_the_pixels_with_data() -> None:
    pairs = cache(np.zeros((2, 2, 2, 3), np.uint8))
    pairs.masks[0] = [[0, 0], [1, 255]]
    pairs.masks[1] = 255

    assert class_shares(pairs, ("a", "b", "c")) == {"a": 0.66667, "b": 0.33333, "c": 0}
