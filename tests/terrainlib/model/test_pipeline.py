"""Batches: order and augmentation as functions of seed, epoch and index."""

import numpy as np
import pytest

from terrainlib.data.cache import PairCache
from terrainlib.model.config import TrainingConfig
from terrainlib.model.pipeline import (
    epoch_order,
    training_batches,
    validation_batches,
)

NETWORK = {"image_size": 16, "filters": (2, 3)}


def config(**changes: object) -> TrainingConfig:
    values = {"batch_size": 4, "network": NETWORK, "flips": False, **changes}
    return TrainingConfig.preset("fast", **values)


def epoch(pairs: PairCache, settings: TrainingConfig, number: int = 1) -> np.ndarray:
    batches = training_batches(pairs, settings, epoch=number, steps=3)
    return np.concatenate([inputs.numpy() for inputs, _ in batches])


def test_the_order_changes_with_the_epoch_and_the_seed_and_else_never() -> None:
    first = epoch_order(50, seed=1, epoch=1)

    np.testing.assert_array_equal(first, epoch_order(50, seed=1, epoch=1))
    assert sorted(first) == list(range(50))
    assert (first != epoch_order(50, seed=1, epoch=2)).any()
    assert (first != epoch_order(50, seed=2, epoch=1)).any()


def test_an_epoch_shows_every_pair_once_in_zero_to_one(pairs: PairCache) -> None:
    shown = epoch(pairs, config())

    order = epoch_order(12, seed=0, epoch=1)
    expected = np.asarray(pairs.images)[order].astype(np.float32) / 255
    np.testing.assert_allclose(shown, expected)
    assert shown.dtype == np.float32
    assert 0 <= shown.min() < shown.max() <= 1


@pytest.mark.parametrize(
    "changes", [{"flips": True}, {"quarter_turns": True}, {"jitter": 0.2}]
)
def test_augmentation_is_the_same_again_and_other_in_the_next_epoch(
    pairs: PairCache, changes: dict[str, object]
) -> None:
    settings = config(**changes)

    np.testing.assert_array_equal(epoch(pairs, settings), epoch(pairs, settings))
    plain = np.sort(epoch(pairs, config()), axis=None)
    if "jitter" in changes:
        assert np.abs(np.sort(epoch(pairs, settings), axis=None) - plain).max() > 0.01
    else:  # the same pixels in other places
        np.testing.assert_array_equal(np.sort(epoch(pairs, settings), axis=None), plain)
        assert (epoch(pairs, settings) != epoch(pairs, config())).any()


@pytest.mark.parametrize("changes", [{"flips": True}, {"quarter_turns": True}])
def test_image_and_mask_are_turned_together(
    pairs: PairCache, changes: dict[str, object]
) -> None:
    own = np.asarray(pairs.images).copy()
    own[..., 0] = pairs.masks  # the red channel carries the class
    marked = PairCache(
        images=own,
        masks=pairs.masks,
        heights=pairs.heights,
        ids=pairs.ids,
        scale=1.0,
    )

    for inputs, masks in training_batches(marked, config(**changes), epoch=2, steps=3):
        red = np.rint(inputs.numpy()[..., 0] * 255)
        np.testing.assert_array_equal(red, masks.numpy())


def test_relief_comes_along(pairs: PairCache) -> None:
    settings = config(network={**NETWORK, "height": True})

    assert epoch(pairs, settings).shape == (12, 16, 16, 4)


def test_validation_shows_every_pair_as_it_is(pairs: PairCache) -> None:
    settings = config(batch_size=5, flips=True, jitter=0.5)

    inputs, masks = zip(*validation_batches(pairs, settings), strict=True)

    assert [len(batch) for batch in inputs] == [5, 5, 2]
    np.testing.assert_array_equal(np.concatenate(masks), pairs.masks)
    np.testing.assert_allclose(
        np.concatenate(inputs), np.asarray(pairs.images, np.float32) / 255
    )
