"""The pixel classifier: what it learns, what it refuses, and that it fits in."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from terrainlib.data.cache import PairCache, build_cache
from terrainlib.data.dataset import open_dataset
from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA, TerrainClass
from terrainlib.errors import DatasetError, InputError, StoppedError
from terrainlib.mask.prediction import predict_image
from terrainlib.mask.scores.evaluation import evaluate
from terrainlib.mask.scores.gallery import open_gallery
from terrainlib.model.modelfile import TerrainModel
from terrainlib.model.pixelclassifier import fit_pixel_classifier
from tests.synthetic import write_kaggle_dataset

TWO = (TerrainClass("Smooth", (10, 20, 30)), TerrainClass("Rough", (200, 180, 160)))


def textures(size: int, seed: int, *, relief: bool = False) -> tuple[np.ndarray, ...]:
    """Return a picture whose halves differ in texture alone, and its mask.

    With `relief` the colours say nothing and the heights everything.
    """
    rng = np.random.default_rng(seed)
    edge = int(rng.integers(size // 3, 2 * size // 3))
    mask = np.zeros((size, size), np.uint8)
    mask[:, edge:] = 1
    spread = np.where(mask == 1, 40, 4) if not relief else np.full(mask.shape, 20)
    image = 120 + rng.normal(0, 1, (size, size, 3)) * spread[..., None]
    height = rng.normal(0, 1, mask.shape) * np.where(mask == 1, 200, 5) + 800
    return image.clip(0, 255).astype(np.uint8), mask, height.astype(np.float32)


def pairs(count: int = 4, *, relief: bool = False, size: int = 48) -> PairCache:
    parts = [textures(size, seed, relief=relief) for seed in range(count)]
    images, masks, heights = (np.stack(part) for part in zip(*parts, strict=True))
    ids = tuple(f"{number:04d}" for number in range(count))
    return PairCache(images, masks, heights, ids, scale=1.0)


@pytest.fixture(scope="module")
def texture_model() -> TerrainModel:
    return fit_pixel_classifier(pairs(), TWO)


def picture(size: tuple[int, int], seed: int) -> np.ndarray:
    """Return smooth noise with rough spots, (H, W, 3) float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    fine = rng.random((*size, 3), dtype=np.float32)
    coarse = cv2.resize(rng.random((6, 7, 3), dtype=np.float32), size[::-1])
    return np.clip(0.45 + coarse * (fine - 0.5), 0, 1).astype(np.float32)


def test_two_textures_of_one_colour_are_told_apart(texture_model) -> None:
    image, mask, _ = textures(64, seed=99)
    result = predict_image(texture_model, image / np.float32(255))
    assert (result.classes == mask).mean() > 0.95


def test_the_probabilities_are_those_of_all_classes_and_sum_to_one() -> None:
    cache = pairs()
    cache.masks[:, :4] = NO_DATA
    model = fit_pixel_classifier(cache, KAGGLE_CLASSES)
    result = predict_image(model, picture((40, 31), 1)).probabilities
    assert result.shape == (40, 31, 7)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.sum(axis=-1), 1, atol=1e-5)
    assert (result[..., 2:] == 0).all()  # never seen in training
    assert (result >= 0).all()


def test_the_same_seed_gives_the_same_classifier() -> None:
    image = picture((40, 40), 2)
    first, again = (fit_pixel_classifier(pairs(), TWO, seed=3) for _ in range(2))
    assert first.network.digest == again.network.digest
    given, repeated = (predict_image(m, image).probabilities for m in (first, again))
    assert (given == repeated).all()


def test_another_seed_or_other_pairs_have_another_digest(texture_model) -> None:
    digests = {
        texture_model.network.digest,
        fit_pixel_classifier(pairs(), TWO, seed=1).network.digest,
        fit_pixel_classifier(pairs(5), TWO).network.digest,
    }
    assert len(digests) == 3


@pytest.mark.parametrize("size", [(300, 420), (1, 1), (33, 7)])
def test_tiles_give_exactly_what_the_whole_image_gives(texture_model, size) -> None:
    image = picture(size, 3)
    tiled = predict_image(texture_model, image, tile_size=96)
    whole = predict_image(texture_model, image, tiling="whole")
    assert (tiled.probabilities == whole.probabilities).all()
    if min(size) > 100:
        assert len(np.unique(whole.classes)) == 2


def test_tiles_are_exact_with_heights_that_have_holes() -> None:
    model = fit_pixel_classifier(pairs(relief=True), TWO, height=True)
    image = picture((200, 260), 4)
    rng = np.random.default_rng(4)
    height = rng.normal(800, 100, (200, 260)).astype(np.float32)
    height[40:140, 60:150] = np.nan
    options = {"height": height}
    tiled = predict_image(model, image, tile_size=80, **options)
    whole = predict_image(model, image, tiling="whole", **options)
    assert np.isfinite(whole.probabilities).all()
    assert (tiled.probabilities == whole.probabilities).all()


def test_heights_decide_where_colours_do_not() -> None:
    train = pairs(relief=True)
    image, mask, height = textures(64, seed=99, relief=True)
    rgb = image / np.float32(255)
    blind = predict_image(fit_pixel_classifier(train, TWO), rgb).classes
    model = fit_pixel_classifier(train, TWO, height=True)
    assert (blind == mask).mean() < 0.75
    assert (predict_image(model, rgb, height=height).classes == mask).mean() > 0.95
    with pytest.raises(InputError, match="needs the heights"):
        predict_image(model, rgb)


def test_heights_that_the_pairs_lack_are_refused_with_one_sentence() -> None:
    with pytest.raises(InputError, match=r"asked to use heights, and there are none\."):
        fit_pixel_classifier(replace(pairs(), heights=None), TWO, height=True)


def test_masks_of_a_single_class_are_refused() -> None:
    cache = pairs()
    cache.masks[:] = 1
    with pytest.raises(DatasetError, match="fewer than 2 classes"):
        fit_pixel_classifier(cache, TWO)


@pytest.mark.parametrize("asked", [0, 3])
def test_a_fit_stops_when_it_is_asked_to(asked: int) -> None:
    answers = iter([False] * asked + [True])
    with pytest.raises(StoppedError, match="as asked"):
        fit_pixel_classifier(pairs(4), TWO, should_stop=lambda: next(answers))


def test_it_is_judged_and_shown_like_any_model(tmp_path: Path) -> None:
    dataset = open_dataset(write_kaggle_dataset(tmp_path / "data", size=48))
    model = fit_pixel_classifier(build_cache(dataset, 32), dataset.classes, height=True)
    assert model.scale == pytest.approx(2 / 3)
    judged = evaluate(model, dataset)
    assert judged.scores.overall["miou"] > 0.5
    assert judged.confusion.sum() == 6 * 48 * 48
    gallery = open_gallery(model, dataset, split="all")
    assert gallery.evaluation.confusion.tolist() == judged.confusion.tolist()


def test_it_needs_no_tensorflow() -> None:
    code = (
        "import sys, tests.terrainlib.model.test_pixelclassifier as t\n"
        "model = t.fit_pixel_classifier(t.pairs(2, size=24), t.TWO)\n"
        "t.predict_image(model, t.picture((24, 24), 0)).classes\n"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
