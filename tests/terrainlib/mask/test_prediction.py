"""Prediction: exact tiles, the working resolution, what a prediction holds."""

import gc
import threading
import weakref

import numpy as np
import pytest

from terrainlib.data.imagery import Image
from terrainlib.data.palette import KAGGLE_CLASSES, color_table, colorize
from terrainlib.errors import ConfigError, ImageError, InputError, StoppedError
from terrainlib.mask import prediction as module
from terrainlib.mask.prediction import predict_image, predict_images
from terrainlib.mask.tiles import tilepass
from terrainlib.mask.tiles.result import snap_to_classes
from tests.mask_models import ColorReader, make_model, with_record
from tests.synthetic import terrain

PRESETS = ["fast", "notebook", "best"]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def painted(size: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return a float image in the class colours, and its mask."""
    mask = terrain(size, seed)[1]
    return colorize(mask, KAGGLE_CLASSES) / np.float32(255), mask


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "size", [(1, 1), (90, 60), (128, 128), (701, 1303), (1500, 130)]
)
def test_exact_tiles_give_what_one_pass_gives(random_models, preset, size):
    model, image = random_models[preset], noise(*size)
    tiled = predict_image(model, image, tile_size=512)
    whole = predict_image(model, image, tiling="whole")
    assert tiled.probabilities.shape == (*size, 7)
    assert np.abs(tiled.probabilities - whole.probabilities).max() < 1e-4
    assert np.abs(tiled.soft - whole.soft).max() < 1e-4
    best = np.sort(whole.probabilities, axis=-1)
    decided = best[..., -1] - best[..., -2] > 2e-4
    assert (tiled.classes == whole.classes)[decided].all()
    if max(size) > 1:
        assert len(np.unique(tiled.classes)) > 1


@pytest.mark.parametrize("preset", PRESETS)
def test_the_network_is_fed_the_image_and_its_output_is_given_back(
    random_models, preset
):
    model, image = random_models[preset], noise(48, 64)
    expected = np.asarray(model.network(image[None], training=False))[0]
    result = predict_image(model, image)
    given = result.soft if preset == "notebook" else result.probabilities
    assert np.abs(given - expected).max() < 1e-5


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("scale", [0.25, 1.7])
def test_exact_tiles_give_what_one_pass_gives_at_every_scale(
    random_models, preset, scale
):
    model, image = random_models[preset], noise(*(int(n / scale) for n in (290, 310)))
    tiled = predict_image(model, image, tile_size=256, scale=scale)
    whole = predict_image(model, image, tiling="whole", scale=scale)
    assert np.abs(tiled.probabilities - whole.probabilities).max() < 1e-4


@pytest.mark.parametrize("preset", PRESETS)
def test_a_margin_below_the_receptive_field_would_show(random_models, preset):
    model, image = random_models[preset], noise(64, 1300)
    whole = predict_image(model, image, tiling="whole").soft
    blind = with_record(model, receptive_field=0)
    tiled = predict_image(blind, image, tile_size=512).soft
    assert np.abs(tiled - whole).max() > 1e-4


def test_a_prediction_has_the_promised_shapes_and_ranges(random_models):
    result = predict_image(random_models["fast"], noise(50, 70))
    assert result.probabilities.dtype == np.float32
    assert np.allclose(result.probabilities.sum(axis=-1), 1, atol=1e-5)
    assert (result.classes == result.probabilities.argmax(axis=-1)).all()
    assert result.classes.dtype == np.uint8
    assert result.soft.shape == (50, 70, 3)
    assert result.soft.dtype == np.float32
    assert 0 <= result.soft.min() <= result.soft.max() <= 1


@pytest.mark.parametrize("preset", PRESETS)
def test_an_image_in_class_colours_gives_its_own_mask(color_model, preset):
    image, mask = painted(45)
    assert (predict_image(color_model(preset), image).classes == mask).all()


def test_the_soft_mask_is_the_colours_weighted_by_the_probabilities(random_models):
    result = predict_image(random_models["best"], noise(40, 40))
    expected = result.probabilities @ (color_table(KAGGLE_CLASSES) / 255)
    assert np.abs(result.soft - expected).max() < 1e-5


def test_notebook_models_give_one_hot_probabilities_and_their_own_colours(color_model):
    image = noise(32, 32)
    result = predict_image(color_model("notebook"), image)
    assert np.abs(result.soft - image).max() < 1e-6
    assert set(np.unique(result.probabilities)) == {0.0, 1.0}
    assert (result.classes == snap_to_classes(image, KAGGLE_CLASSES)).all()


def test_notebook_classes_are_chosen_before_they_are_enlarged(color_model):
    model = color_model("notebook", scale=0.5)
    left, right = color_table(KAGGLE_CLASSES)[[0, 4]] / np.float32(255)
    image = np.where(np.arange(16)[None, :, None] < 8, left, right)
    result = predict_image(model, np.repeat(image, 16, axis=0).astype(np.float32))
    # Blended colours would give a third class at the border; blended votes do not.
    assert set(np.unique(result.classes)) == {0, 4}
    assert np.unique(result.probabilities[..., 0]).tolist() == [0, 0.25, 0.75, 1]


def test_pixels_without_data_have_no_class_and_a_black_soft_mask(color_model):
    image, mask = painted(40)
    image[5:9, 10:30] = np.nan
    result = predict_image(color_model(), image)
    assert (result.classes[5:9, 10:30] == 255).all()
    assert (result.soft[5:9, 10:30] == 0).all()
    known = result.classes != 255
    assert known.sum() == 40 * 40 - 4 * 20
    assert (result.classes[known] == mask[known]).all()


def test_the_image_is_shrunk_to_the_models_scale(color_model, monkeypatch):
    shapes = []
    run = tilepass.run_network

    def watched(network, batch):
        shapes.append(batch.shape)
        return run(network, batch)

    monkeypatch.setattr(tilepass, "run_network", watched)
    coarse, mask = painted(24)
    image = coarse.repeat(4, axis=0).repeat(4, axis=1)
    result = predict_image(color_model(scale=0.25), image)
    assert shapes == [(1, 24, 24, 3)]
    assert result.classes.shape == (96, 96)
    centres = result.classes[2::4, 2::4]
    assert (centres == mask).mean() > 0.97
    predict_image(color_model(scale=0.25), image, scale=1)
    assert shapes[1] == (1, 96, 96, 3)
    predict_image(color_model(scale=None), image)
    assert shapes[2] == (1, 32, 32, 3)  # the whole image at the trained size
    predict_image(color_model(scale=None), image, scale=0.5)
    assert shapes[3] == (1, 48, 48, 3)


def test_a_model_without_scale_sees_the_whole_image_as_the_notebook_does(color_model):
    import cv2

    image = noise(90, 60)
    result = predict_image(color_model("notebook", scale=None), image)
    small = cv2.resize(image, (32, 32))
    expected = np.clip(cv2.resize(small, (60, 90)), 0, 1)
    assert np.abs(result.soft - expected).max() < 1e-5


def test_a_recorded_temperature_is_in_the_weights_and_not_applied_again(color_model):
    image = noise(16, 16)
    model = color_model()
    plain = predict_image(model, image).probabilities
    told = predict_image(with_record(model, temperature=2.0), image).probabilities
    assert (told == plain).all()


def test_the_most_probable_class_comes_with_its_probability(random_models):
    result = predict_image(random_models["fast"], noise(30, 40))
    classes, confidence = result.most_probable()
    assert (classes == result.classes).all()
    assert confidence.dtype == np.float32
    assert (confidence == result.probabilities.max(axis=-1)).all()


def test_several_images_are_predicted_as_each_alone(random_models, monkeypatch):
    model = random_models["fast"]
    sizes = [(30, 41), (32, 48), (90, 60), (28, 43)]
    images = [Image.from_array(noise(*size, seed=n)) for n, size in enumerate(sizes)]
    alone = [predict_image(model, image) for image in images]
    batches = []
    run = module.run_network

    def watched(network, batch):
        batches.append(len(batch))
        return run(network, batch)

    monkeypatch.setattr(module, "run_network", watched)
    monkeypatch.setattr(tilepass, "run_network", watched)
    together = predict_images(model, images)
    assert sorted(batches) == [1, 3]
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one.probabilities - other.probabilities).max() < 1e-5


def test_heights_are_needed_where_the_model_uses_them(color_model):
    image, mask = painted(32)
    model = color_model(height=True)
    with pytest.raises(InputError, match="needs the heights beside the image"):
        predict_image(model, image)
    heights = np.full((32, 32), np.nan, np.float32)
    assert (predict_image(model, image, height=heights).classes == mask).all()


def test_heights_of_another_size_are_refused(color_model):
    image = Image.from_array(noise(20, 30), name="hill.png")
    with pytest.raises(ImageError, match=r"hill\.png: the heights are 30 x 20 and the"):
        predict_image(color_model(height=True), image, height=np.zeros((30, 20)))


def test_heights_are_ignored_by_models_without(color_model):
    image, mask = painted(20)
    result = predict_image(color_model(), image, height=np.zeros((3, 3), np.float32))
    assert (result.classes == mask).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tiling": "fast"}, "must be exact or whole, not 'fast'"),
        ({"scale": 0}, "scale must be 0.001 to 16"),
        ({"scale": float("nan")}, "scale must be 0.001 to 16"),
    ],
)
def test_options_out_of_bounds_are_refused(color_model, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        predict_image(color_model(), noise(8, 8), **options)


def test_an_image_too_large_for_its_scale_is_refused(color_model):
    image = Image.from_array(np.zeros((700, 700, 3), np.float32), name="city.tif")
    with pytest.raises(InputError, match=r"city\.tif: at the scale 16 .* 125 mega"):
        predict_image(color_model(), image, scale=16)


def test_an_image_too_large_for_one_pass_is_refused(color_model, monkeypatch):
    monkeypatch.setattr(module, "MAX_WHOLE_MEGAPIXELS", 0.001)
    with pytest.raises(InputError, match="too many for one pass"):
        predict_image(color_model(), noise(40, 40), tiling="whole")


def test_an_array_that_is_no_image_is_refused(color_model):
    with pytest.raises(ImageError, match="image array must be"):
        predict_image(color_model(), np.zeros((4, 4), np.float32))


def test_progress_counts_the_tiles_and_stopping_ends_them(color_model, monkeypatch):
    monkeypatch.setattr(tilepass, "BATCH_PX", 64**2)  # one by one
    image, seen = noise(40, 400), []
    predict_image(
        color_model(),
        image,
        tile_size=64,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[0] == (0, seen[-1][1])
    assert seen[-1][0] == seen[-1][1] > 5
    answers = iter([False, False, True])
    with pytest.raises(StoppedError, match="stopped after 2 of"):
        predict_image(
            color_model(), image, tile_size=64, should_stop=lambda: next(answers)
        )


def test_a_model_is_freed_after_use(color_model):
    model = color_model()
    predict_image(model, noise(16, 16))
    network = weakref.ref(model.network)
    del model
    gc.collect()
    assert network() is None


def test_several_threads_get_the_right_masks(color_model):
    model, wrong = color_model(), []

    def work(seed: int) -> None:
        image, mask = painted(33, seed)
        if not (predict_image(model, image).classes == mask).all():
            wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_snapping_gives_the_nearest_colour(dtype):
    table = color_table(KAGGLE_CLASSES).astype(int)
    noisy = np.clip(table + np.array([3, -4, 5]), 0, 255).astype(np.uint8)[None]
    pixels = noisy if dtype == "uint8" else noisy / np.float32(255)
    assert snap_to_classes(pixels, KAGGLE_CLASSES).tolist() == [list(range(7))]


def test_the_network_is_compiled_once_for_all_sizes(color_model):
    config = color_model().config
    traces = []

    class Counting(ColorReader):
        def __call__(self, batch, training):
            traces.append(batch.shape)
            return super().__call__(batch, training)

    model = make_model(Counting(config), config)
    for size in (16, 20, 50):
        predict_image(model, noise(size, 16))
    assert len(traces) == 1
