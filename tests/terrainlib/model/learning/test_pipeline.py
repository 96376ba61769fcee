"""Batches: order and augmentation as functions of seed, epoch and index."""

import threading
import time

import numpy as np
import pytest

from terrainlib.data.cache import PairCache
from terrainlib.model.config import TrainingConfig
from terrainlib.model.inputs import network_input
from terrainlib.model.learning import pipeline
from terrainlib.model.learning.pipeline import (
    epoch_order,
    training_batches,
    validation_batches,
)

NETWORK = {"image_size": 16, "filters": (2, 3)}


def config(**changes: object) -> TrainingConfig:
    values = {
        "batch_size": 4,
        "network": NETWORK,
        "flips": False,
        "quarter_turns": False,
        **changes,
    }
    return TrainingConfig.preset("fast", **values)


def epoch(
    pairs: PairCache, settings: TrainingConfig, number: int = 1, **options: int
) -> np.ndarray:
    options = {"steps": 3, "workers": 1, **options}
    batches = training_batches(pairs, settings, epoch=number, **options)
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
    "changes",
    [{"flips": True}, {"quarter_turns": True}, {"jitter": 0.2}, {"crop_size": 8}],
)
def test_augmentation_is_the_same_again_and_other_in_the_next_epoch(
    pairs: PairCache, changes: dict[str, object]
) -> None:
    settings = config(**changes)

    np.testing.assert_array_equal(epoch(pairs, settings), epoch(pairs, settings))
    assert (epoch(pairs, settings) != epoch(pairs, settings, 2)).any()
    if "crop_size" in changes:
        return
    plain = np.sort(epoch(pairs, config()), axis=None)
    if "jitter" in changes:
        assert np.abs(np.sort(epoch(pairs, settings), axis=None) - plain).max() > 0.01
    else:  # the same pixels in other places
        np.testing.assert_array_equal(np.sort(epoch(pairs, settings), axis=None), plain)
        assert (epoch(pairs, settings) != epoch(pairs, config())).any()


@pytest.mark.parametrize(
    "changes", [{"flips": True}, {"quarter_turns": True}, {"crop_size": 8}]
)
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


def test_a_crop_is_a_part_of_its_image_with_the_relief_of_the_whole(
    pairs: PairCache,
) -> None:
    settings = config(network={**NETWORK, "height": True}, crop_size=8)
    rgb = np.asarray(pairs.images, np.float32) / np.float32(255)
    whole = network_input(rgb, pairs.heights, settings.network)

    crops = epoch(pairs, settings)

    assert crops.shape == (12, 8, 8, 4)
    places = set()
    for index, crop in zip(epoch_order(12, seed=0, epoch=1), crops, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(
            whole[index], (8, 8), axis=(0, 1)
        )
        found = np.argwhere((windows == crop.transpose(2, 0, 1)).all((2, 3, 4)))
        assert len(found) == 1
        places.add(tuple(found[0]))
    assert len(places) > 6
    assert {0, 8} <= {edge for place in places for edge in place}


def test_crops_leave_the_flips_as_they_are(pairs: PairCache) -> None:
    whole = epoch(pairs, config(flips=True))
    one_place = epoch(pairs, config(flips=True, crop_size=16))

    np.testing.assert_array_equal(whole, one_place)


@pytest.mark.parametrize("workers", [2, 5])
def test_the_number_of_threads_changes_nothing(pairs: PairCache, workers: int) -> None:
    settings = config(flips=True, quarter_turns=True, jitter=0.3, crop_size=8)

    np.testing.assert_array_equal(
        epoch(pairs, settings, workers=workers), epoch(pairs, settings)
    )


def test_what_goes_wrong_in_a_thread_comes_out_in_its_turn(
    pairs: PairCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = int(epoch_order(12, seed=0, epoch=1)[-1])
    right = pipeline._augmented_pair

    def wrong(
        cache: PairCache, settings: TrainingConfig, number: int, i: int
    ) -> object:
        if i == last:
            raise OSError("the disk is gone")
        return right(cache, settings, number, i)

    monkeypatch.setattr(pipeline, "_augmented_pair", wrong)
    batches = training_batches(pairs, config(), epoch=1, steps=3, workers=3)

    assert [len(next(batches)[0]) for _ in range(2)] == [4, 4]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)


def test_batches_are_made_ahead_and_an_abandoned_iterator_ends_its_threads(
    pairs: PairCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    right = pipeline._augmented_pair

    def noted(
        cache: PairCache, settings: TrainingConfig, number: int, i: int
    ) -> object:
        made.append(i)
        return right(cache, settings, number, i)

    monkeypatch.setattr(pipeline, "_augmented_pair", noted)
    before = set(threading.enumerate())
    batches = training_batches(
        pairs, config(batch_size=1), epoch=1, steps=12, workers=2
    )

    next(batches)
    until = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < until:
        time.sleep(0.001)
    assert len(set(threading.enumerate()) - before) == 2

    del batches
    assert set(threading.enumerate()) <= before
    assert 4 <= len(made) < 12


def test_validation_takes_fewer_whole_images_where_training_takes_crops(
    pairs: PairCache,
) -> None:
    batches = list(validation_batches(pairs, config(crop_size=8, batch_size=8)))

    assert [inputs.shape[:3] for inputs, _ in batches] == [(2, 16, 16)] * 6


@pytest.mark.parametrize("bands", [1, 2, 5])
def test_images_of_any_bands_are_turned_and_changed_as_their_masks_are(
    bands: int,
) -> None:
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 5, (4, 16, 16)).astype(np.uint8)
    images = np.repeat(masks[..., None] * np.uint8(51), bands, axis=-1)
    pairs = PairCache(images, masks, None, ("a", "b", "c", "d"), scale=1.0)
    settings = config(
        network={**NETWORK, "bands": bands}, flips=True, quarter_turns=True
    )

    for inputs, seen in training_batches(pairs, settings, epoch=1, steps=1):
        assert inputs.shape == (4, 16, 16, bands)
        for band in range(bands):
            np.testing.assert_array_equal(
                np.rint(inputs.numpy()[..., band] * 5), seen.numpy()
            )
    jittered = epoch(
        pairs, config(network=settings.network.to_dict(), jitter=0.1), steps=1
    )
    assert jittered.shape[-1] == bands
