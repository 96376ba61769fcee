"""Batches: order and augmentation as functions of seed, epoch and index."""

import threading
import time
from functools import partial
from itertools import product
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from terrainlib.data.cache import PairCache
from terrainlib.model.config import TrainingConfig
from terrainlib.model.forward import network_input
from terrainlib.model.learning import pipeline
from terrainlib.model.learning.pipeline import (
    epoch_crops,
    epoch_order,
    epoch_pairs,
    training_batches,
    validation_batches,
)
from terrainlib.model.tiling import exact_grid
from tests.terrainlib.model.conftest import make_sized_pairs

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
    pairs: PairCache, settings: TrainingConfig, number: int = 1, workers: int = 1
) -> np.ndarray:
    steps = epoch_crops(pairs, settings) // settings.batch_size
    batches = training_batches(
        pairs, settings, epoch=number, steps=steps, workers=workers
    )
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


def test_a_crop_is_a_part_of_its_mirrored_image_with_the_relief_of_the_whole(
    pairs: PairCache,
) -> None:
    settings = config(network={**NETWORK, "height": True}, crop_size=8)
    rgb = np.asarray(pairs.images, np.float32) / np.float32(255)
    whole = network_input(rgb, pairs.heights, settings.network)
    wider = np.pad(whole, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="symmetric")

    crops = epoch(pairs, settings)

    assert crops.shape == (48, 8, 8, 4)
    rows = epoch_pairs(pairs, settings, epoch=1)
    places = set()
    for draw, crop in zip(epoch_order(48, seed=0, epoch=1), crops, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(
            wider[rows[draw]], (8, 8), axis=(0, 1)
        )
        found = np.argwhere((windows == crop.transpose(2, 0, 1)).all((2, 3, 4)))
        assert len(found) == 1
        places.add(tuple(found[0]))
    assert len(places) > 24
    assert {0, 16} <= {edge for place in places for edge in place}


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
    right = pipeline._augmented_crop

    def wrong(cache: PairCache, settings: TrainingConfig, i: int, draw: object) -> Any:
        if i == last:
            raise OSError("the disk is gone")
        return right(cache, settings, i, draw)

    monkeypatch.setattr(pipeline, "_augmented_crop", wrong)
    batches = training_batches(pairs, config(), epoch=1, steps=3, workers=3)

    assert [len(next(batches)[0]) for _ in range(2)] == [4, 4]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)


def test_batches_are_made_ahead_and_an_abandoned_iterator_ends_its_threads(
    pairs: PairCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    right = pipeline._augmented_crop

    def noted(cache: PairCache, settings: TrainingConfig, i: int, draw: object) -> Any:
        made.append(i)
        return right(cache, settings, i, draw)

    monkeypatch.setattr(pipeline, "_augmented_crop", noted)
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


# Images of any shape


def test_of_larger_images_there_are_more_crops_in_their_share() -> None:
    sized = make_sized_pairs([(16, 16), (8, 16), (16, 40), (32, 32), (5, 24)])
    settings = config(crop_size=16)

    counts = [
        np.bincount(epoch_pairs(sized, settings, epoch=number)) for number in range(400)
    ]

    assert epoch_crops(sized, settings) == 10
    assert {sum(each) for each in counts} == {10}
    means = np.mean(counts, axis=0)
    np.testing.assert_allclose(means, [1, 1, 2.5, 4, 1.5], atol=0.1)
    assert (np.ptp(counts, axis=0) <= 1).all()


@pytest.mark.parametrize("shape", [(16, 16), (17, 40), (8, 27), (50, 8), (9, 9)])
def test_every_pixel_is_seen_equally_often(shape: tuple[int, int]) -> None:
    pixels = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    # Shares of each side that are drawn equally often, two for every place of a crop.
    down, across = ((np.arange(2 * side) + 0.5) / (2 * side) for side in shape)
    seen = np.zeros(pixels.size)
    for draw in product(down, across):
        random = SimpleNamespace(random=lambda _count, draw=draw: draw)
        window = pipeline._crop_window(cast("Any", random), shape, 8)
        crop = window.of(pixels, pipeline._CROPPED)
        assert crop.shape == (8, 8)
        seen += np.bincount(crop.astype(int).ravel(), minlength=pixels.size)

    assert seen.max() == seen.min() > 0


def test_crops_lie_over_what_is_labelled_where_that_is_little() -> None:
    (image,) = make_sized_pairs([(40, 64)]).images
    mask = np.full((40, 64), 255, np.uint8)
    mask[38, 2], mask[1, 60] = 0, 1
    sparse = PairCache((image,), (mask,), None, ("a",), 1.0)
    settings = config(crop_size=16, batch_size=1)
    found = []
    for number in range(40):
        for _, shown in training_batches(sparse, settings, epoch=number, steps=1):
            labels = shown.numpy()[shown.numpy() != 255]
            assert len(labels) == 1
            found += labels.tolist()
    assert 10 < sum(found) < 30


def test_what_a_crop_lacks_is_no_data_and_looks_like_the_image() -> None:
    small = make_sized_pairs([(5, 24)] * 4)
    shown = list(training_batches(small, config(crop_size=16), epoch=1, steps=1))

    (inputs, masks) = (array.numpy() for array in shown[0])

    assert inputs.shape == (4, 16, 16, 3)
    assert (masks[:, 5:] == 255).all()
    assert (masks[:, :5] != 255).all()
    np.testing.assert_array_equal(inputs[:, 5:10], inputs[:, 4::-1])
    np.testing.assert_array_equal(inputs[:, 10:15], inputs[:, :5])


@pytest.mark.parametrize("bands", [1, 5, 12])
def test_images_of_any_number_of_bands_make_crops(bands: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 12, bands), dtype=np.uint8)
    one = PairCache((image,), (image[..., 0],), None, ("a",), 1.0)
    settings = config(
        crop_size=16, flips=True, quarter_turns=True, jitter=1e-9, batch_size=1
    )

    for number in range(6):
        (shown,) = training_batches(one, settings, epoch=number, steps=1)
        inputs, mask = (array.numpy()[0] for array in shown)

        assert inputs.shape == (16, 16, bands)
        known = mask != 255
        red = np.rint(inputs[..., 0] * 255)
        np.testing.assert_array_equal(red[known], mask[known])


def test_validation_shows_every_pixel_of_every_shape_once() -> None:
    sized = make_sized_pairs([(21, 30), (16, 16), (1, 19), (3, 60), (16, 16)])
    settings = config(network={**NETWORK, "height": True})
    expected = [
        network_input(image.astype(np.float32) / 255, height, settings.network)
        for image, height in zip(sized.images, cast("Any", sized.heights), strict=True)
    ]

    shown = list(validation_batches(sized, settings))

    assert [inputs.shape[:3] for inputs, _ in shown] == [
        (1, 4, 20),
        (1, 4, 60),
        (2, 16, 16),
        (1, 24, 32),
    ]
    flat = [
        (pixels, mask)
        for inputs, masks in shown
        for pixels, mask in zip(inputs.numpy(), masks.numpy(), strict=True)
    ]
    for row, (pixels, mask) in zip([2, 3, 1, 4, 0], flat, strict=True):
        height, width = sized.shapes[row]
        np.testing.assert_array_equal(mask[:height, :width], sized.masks[row])
        assert (mask[height:] == 255).all()
        assert (mask[:, width:] == 255).all()
        whole = np.pad(
            expected[row],
            ((0, mask.shape[0] - height), (0, mask.shape[1] - width), (0, 0)),
            mode="reflect",
        )
        np.testing.assert_allclose(pixels, whole, atol=1e-6)


def test_large_images_are_validated_in_tiles_with_their_surroundings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "exact_grid", partial(exact_grid, tile_size=32))
    sized = make_sized_pairs([(150, 50)])
    settings = config()

    shown = list(validation_batches(sized, settings))

    total = sum(int((masks.numpy() != 255).sum()) for _, masks in shown)
    assert total == 150 * 50
    assert len(shown) > 1
    counted = np.concatenate([m.numpy()[m.numpy() != 255] for _, m in shown])
    np.testing.assert_array_equal(
        np.bincount(counted), np.bincount(sized.masks[0].ravel())
    )
