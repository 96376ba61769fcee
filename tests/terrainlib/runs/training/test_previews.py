"""Which validation images are shown, and what is drawn of the network's output."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from terrainlib.data.cache import PairCache
from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA, colorize
from terrainlib.runs.training.previews import (
    PreviewWriter,
    choose_previews,
    predicted_mask,
    preview_inputs,
    previews,
)


def cache(*masks: NDArray[np.uint8]) -> PairCache:
    count = len(masks)
    size = masks[0].shape[0]
    return PairCache(
        images=np.full((count, size, size, 3), 100, np.uint8),
        masks=np.stack(masks),
        heights=None,
        ids=tuple(f"{number:02d}" for number in range(count)),
        scale=1.0,
    )


def halves(first: int, second: int) -> NDArray[np.uint8]:
    mask = np.full((4, 4), first, np.uint8)
    mask[:, 2:] = second
    return mask


def test_images_that_show_many_and_different_classes_are_chosen() -> None:
    plain = [np.full((4, 4), 0, np.uint8)] * 4
    rich = [halves(1, 2), halves(3, 4), halves(5, 6)]
    chosen = choose_previews(cache(*plain, *rich), 7)
    assert chosen == ("00", "04", "05", "06")


def test_the_choice_is_the_same_each_time_and_never_too_long() -> None:
    masks = [np.full((4, 4), number % 7, np.uint8) for number in range(20)]
    assert choose_previews(cache(*masks), 7) == choose_previews(cache(*masks), 7)
    assert len(choose_previews(cache(*masks), 7)) == 4


def test_of_few_images_all_are_shown_even_without_any_class() -> None:
    empty = np.full((4, 4), NO_DATA, np.uint8)
    assert choose_previews(cache(empty, halves(1, 1)), 7) == ("00", "01")


def test_class_probabilities_become_the_most_probable_class() -> None:
    values = np.zeros((2, 2, 7), np.float32)
    values[..., 3] = 0.6
    values[0, 0, 5] = 0.9
    mask = predicted_mask(values, KAGGLE_CLASSES, "classes")
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[5, 3], [3, 3]]


def test_colours_become_the_nearest_class() -> None:
    water = np.array(KAGGLE_CLASSES[0].color) / 255
    values = np.tile(water + 0.03, (2, 2, 1)).astype(np.float32)
    assert (predicted_mask(values, KAGGLE_CLASSES, "colors") == 0).all()


def test_three_classes_are_not_taken_for_colours() -> None:
    values = np.zeros((2, 2, 3), np.float32)
    values[..., 2] = 1
    assert (predicted_mask(values, KAGGLE_CLASSES[:3], "classes") == 2).all()


def test_a_writer_leaves_images_truth_and_the_masks_of_each_epoch(
    tmp_path: Path,
) -> None:
    pairs = cache(halves(0, 1), halves(2, NO_DATA))
    writer = PreviewWriter(tmp_path, pairs, KAGGLE_CLASSES, "classes")
    writer.write_inputs()

    def predict(shown: PairCache) -> list[NDArray[np.float32]]:
        assert (shown.ids, shown.shapes) == (pairs.ids, pairs.shapes)
        return [np.eye(7, dtype=np.float32)[np.full((4, 4), 6)]] * 2

    writer.write_epoch(1, predict)
    writer.write_epoch(12, predict)
    shown = preview_inputs(tmp_path)
    assert [entry.id for entry in shown] == ["00", "01"]
    truth = np.asarray(Image.open(shown[1].truth))
    np.testing.assert_array_equal(truth, colorize(halves(2, NO_DATA), KAGGLE_CLASSES))
    assert list(previews(tmp_path)) == [1, 12]
    mask = np.asarray(Image.open(previews(tmp_path)[12]["01"]))
    assert np.unique(mask.reshape(-1, 3), axis=0).tolist() == [
        list(KAGGLE_CLASSES[6].color)
    ]


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 100, "Tile 1/a", "50%_1/2%2F"])
def test_ids_of_any_kind_name_their_files(tmp_path: Path, name: str) -> None:
    pairs = cache(halves(0, 1))
    named = PairCache(pairs.images, pairs.masks, None, (name,), 1.0)
    writer = PreviewWriter(tmp_path, named, KAGGLE_CLASSES, "classes")
    writer.write_inputs()
    writer.write_epoch(1, lambda shown: [np.zeros((4, 4, 7), "f4")] * len(shown.ids))
    assert [entry.id for entry in preview_inputs(tmp_path)] == [name]
    assert list(previews(tmp_path)[1]) == [name]


def test_an_id_too_long_for_a_file_is_shown_all_the_same(tmp_path: Path) -> None:
    pairs = cache(halves(0, 1))
    named = PairCache(pairs.images, pairs.masks, None, ("ä" * 90 + "/" + "x" * 90,), 1)
    PreviewWriter(tmp_path, named, KAGGLE_CLASSES, "classes").write_inputs()
    assert len(preview_inputs(tmp_path)) == 1
