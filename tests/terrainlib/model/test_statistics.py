"""What the record of a model says about the images it was trained on."""

import json

import numpy as np
import pytest

from terrainlib.data.cache import PairCache
from terrainlib.model.looks import (
    LOOKS_KEY,
    Looks,
    class_shares,
    confusion_groups,
    training_statistics,
)


def cache(images: np.ndarray) -> PairCache:
    count, size = images.shape[:2]
    masks = np.zeros((count, size, size), np.uint8)
    ids = tuple(str(number) for number in range(count))
    return PairCache(images, masks, None, ids, 1.0)


def noise(count: int, size: int = 16) -> PairCache:
    rng = np.random.default_rng(7)
    return cache(rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8))


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


def test_pixels_without_a_class_do_not_count() -> None:
    pairs = cache(np.full((2, 4, 4, 3), 255, np.uint8))
    pairs.images[:, :3] = 0
    pairs.masks[:, :3] = 255
    pairs.masks[1] = 255

    assert training_statistics(pairs)["color_mean"] == [1.0, 1.0, 1.0]
    assert training_statistics(pairs)["contrast"] == 0


def test_of_many_images_400_are_looked_at() -> None:
    images = np.zeros((451, 2, 2, 3), np.uint8)
    assert training_statistics(cache(images))["images"] == 400


@pytest.mark.parametrize(("count", "known"), [(7, False), (8, True), (30, True)])
def test_the_distribution_over_images_needs_eight(count: int, known: bool) -> None:
    statistics = training_statistics(noise(count))

    assert (LOOKS_KEY in statistics) == known
    if known:
        looks = Looks.from_dict(json.loads(json.dumps(statistics[LOOKS_KEY])))
        assert looks is not None
        assert looks.window_px == 16


def test_images_too_small_to_measure_give_single_numbers_only() -> None:
    assert LOOKS_KEY not in training_statistics(noise(20, size=4))


def test_equal_images_have_a_distribution_too() -> None:
    pairs = cache(np.full((9, 32, 32, 3), 99, np.uint8))
    assert Looks.from_dict(training_statistics(pairs)[LOOKS_KEY]) is not None


def test_the_record_stays_small() -> None:
    assert len(json.dumps(training_statistics(noise(30)))) < 6_000


def test_class_shares_are_of_the_pixels_with_data() -> None:
    pairs = cache(np.zeros((2, 2, 2, 3), np.uint8))
    pairs.masks[0] = [[0, 0], [1, 255]]
    pairs.masks[1] = 255

    assert class_shares(pairs, ("a", "b", "c")) == {"a": 0.66667, "b": 0.33333, "c": 0}


@pytest.mark.parametrize(
    ("images", "classes", "groups"),
    [(48, 7, 48), (750, 7, 50), (8, 2, 8), (300, 40, 12), (7, 2, None), (90, 64, None)],
)
def test_confusion_matrices_are_grouped_and_lose_no_pixel(
    images: int, classes: int, groups: int | None
) -> None:
    rng = np.random.default_rng(images)
    confusions = rng.integers(0, 1000, (images, classes, classes))

    found = confusion_groups(confusions)

    if groups is None:
        assert found is None
    else:
        assert found is not None
        assert np.shape(found) == (groups, classes, classes)
        np.testing.assert_array_equal(np.sum(found, axis=0), confusions.sum(axis=0))
        json.dumps(found)
