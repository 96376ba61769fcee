"""Evaluation: scores against counted ones, parts, classes, files that go bad."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage

from terrainlib.data.dataset import open_dataset, read_pair
from terrainlib.data.palette import KAGGLE_CLASSES, TerrainClass
from terrainlib.errors import ConfigError, DatasetError, InputError, StoppedError
from terrainlib.mask.prediction import predict_image
from terrainlib.mask.scores import scoring
from terrainlib.mask.scores.evaluation import evaluate
from tests.mask_models import paint_dataset

NAMES = [item.name for item in KAGGLE_CLASSES]


def split(train, validation):
    return {"train": train, "validation": validation, "leak": "random: may leak"}


def test_accuracy_is_the_counted_one(painted, color_model):
    result = evaluate(color_model(), painted)
    wrong = 10 + 20 + 30 + 40
    assert result.scores.overall["pixel_accuracy"] == pytest.approx(
        1 - wrong / (5 * 32 * 32)
    )
    assert result.ids == painted.ids
    assert result.confusions.shape == (5, 7, 7)
    assert (result.confusions.sum(axis=(1, 2)) == 32 * 32).all()
    rights = np.trace(result.confusions, axis1=1, axis2=2)
    assert rights.tolist() == [1024, 1014, 1004, 994, 984]
    assert result.boundary_f1[0] == 1.0
    assert result.boundary_f1[4] < 1.0


def test_iou_comes_from_one_matrix_over_all_images(painted, color_model):
    result = evaluate(color_model(), painted)
    truths = np.stack([read_pair(painted, p).mask for p in painted.pairs])
    shown = truths.copy()
    for number, mask in enumerate(shown):
        first = mask.reshape(-1)[: 10 * number]
        first[:] = (first + 1) % 7
    for index, value in enumerate(result.scores.classes["iou"]):
        both = ((truths == index) & (shown == index)).sum()
        either = ((truths == index) | (shown == index)).sum()
        assert value == pytest.approx(both / either)
    assert result.scores.overall["miou"] == pytest.approx(
        np.nanmean(result.scores.classes["iou"])
    )


def test_json_has_the_promised_keys_and_null_for_absent_classes(tmp_path, color_model):
    folder = tmp_path / "lake"
    folder.mkdir()
    water = np.full((16, 16, 3), KAGGLE_CLASSES[0].color, np.uint8)
    for kind in ("t", "i2"):
        PillowImage.fromarray(water).save(folder / f"1_{kind}.png")
    result = evaluate(color_model(), open_dataset(folder)).to_json()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert list(result) == [
        "images",
        "pixel_accuracy",
        "miou",
        "iou",
        "precision",
        "recall",
        "boundary_f1",
        "seconds",
    ]
    assert result["images"] == 1
    assert result["miou"] == result["boundary_f1"] == 1.0
    for key in ("iou", "precision", "recall"):
        assert result[key] == {"Water": 1.0, **dict.fromkeys(NAMES[1:])}


def test_the_table_has_a_row_for_each_image(painted, color_model):
    result = evaluate(color_model(), painted)
    frame = result.frame()
    assert frame["id"].tolist() == list(painted.ids)
    assert frame["pixel_accuracy"].tolist() == pytest.approx(
        [1 - 10 * n / 1024 for n in range(5)]
    )
    assert frame["miou"].tolist() == pytest.approx(result.image_mious.tolist())
    assert [
        f"{key}_{name}" for key in ("iou", "precision", "recall") for name in NAMES
    ] == list(frame.columns[4:])


def test_pixels_are_counted_by_confidence_over_all_images(painted, color_model):
    result = evaluate(color_model(), painted)
    bins = result.reliability
    assert bins.counts.sum() == 5 * 32 * 32
    assert bins.correct.sum() == 5 * 32 * 32 - 100
    confidence, right = [], []
    for pair in painted.pairs:
        loaded = read_pair(painted, pair)
        predicted = predict_image(color_model(), loaded.image)
        confidence.append(predicted.probabilities.max(axis=-1))
        right.append(predicted.classes == loaded.mask)
    confidence, right = np.ravel(confidence), np.ravel(right)
    expected = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            gap = right[inside].mean() - confidence[inside].mean()
            expected += inside.mean() * abs(gap)
    assert result.scores.overall["ece"] == pytest.approx(expected, abs=1e-6)
    assert 0 < expected < 1


def test_a_model_that_gives_colours_is_sure_of_nothing(painted, color_model):
    result = evaluate(color_model("notebook"), painted)
    assert result.reliability is None
    assert np.isnan(result.scores.overall["ece"])


def test_the_working_scale_changes_the_size_of_nothing(painted, color_model):
    result = evaluate(color_model(scale=0.5), painted)
    assert (result.confusions.sum(axis=(1, 2)) == 32 * 32).all()
    assert 0.5 < result.scores.overall["pixel_accuracy"] < 1


def test_a_part_is_the_models_own(painted, color_model):
    ids = painted.ids
    model = color_model(split=split(list(ids[:3]), list(ids[3:])))
    assert evaluate(model, painted, split="validation").ids == ids[3:]
    assert evaluate(model, painted, split="train").ids == ids[:3]
    assert evaluate(model, painted, split="all").ids == ids


def test_a_part_cannot_be_known_without_a_split(painted, color_model):
    with pytest.raises(InputError, match="tested: it does not say which pairs are its"):
        evaluate(color_model(), painted, split="train")


def test_a_part_of_other_data_is_refused(painted, color_model):
    model = color_model(split=split(["9998"], [painted.ids[0], "9999"]))
    with pytest.raises(
        InputError, match=r"1 of the 2 validation pairs .* example 9999"
    ):
        evaluate(model, painted, split="validation")


def test_an_unknown_part_is_refused(painted, color_model):
    with pytest.raises(ConfigError, match="one of all, train, validation, not 'test'"):
        evaluate(color_model(), painted, split="test")


def test_missing_heights_are_named_before_the_work(painted, color_model):
    bare = replace(painted.pairs[1], height=None)
    data = replace(painted, pairs=(painted.pairs[0], bare))
    with pytest.raises(DatasetError, match=r"1 of 2 pairs have no heights, .* 0001"):
        evaluate(color_model(height=True), data)
    assert (
        evaluate(color_model(height=True), painted).scores.overall["pixel_accuracy"]
        > 0.9
    )


def test_an_empty_data_set_is_refused(painted, color_model):
    with pytest.raises(DatasetError, match="no usable pair of image and mask"):
        evaluate(color_model(), replace(painted, pairs=()))


def test_a_file_that_went_bad_is_skipped_and_named(painted, color_model):
    painted.pairs[2].image.write_bytes(b"no picture")
    result = evaluate(color_model(), painted)
    assert result.ids == ("0000", "0001", "0003", "0004")
    assert [problem.file for problem in result.skipped] == ["0002_t.png"]
    assert "PNG" in result.skipped[0].problem


def test_files_that_all_went_bad_are_an_error(painted, color_model):
    for pair in painted.pairs:
        pair.mask.write_bytes(b"")
    with pytest.raises(DatasetError, match="none of its 5 pairs can be read any more"):
        evaluate(color_model(), painted)


def test_classes_are_matched_by_name_and_unnamed_ones_by_colour(painted, color_model):
    table = scoring.class_table(color_model(), painted)
    assert table[:7].tolist() == list(range(7))
    assert (table[7:] == 255).all()
    swapped = (
        TerrainClass("forest", (1, 2, 3)),  # the name decides
        TerrainClass("#118DD7", (17, 141, 215)),  # the colour of water
    )
    counts = tuple(replace(pair, counts=(5, 5)) for pair in painted.pairs)
    other = replace(painted, classes=swapped, pairs=counts)
    assert scoring.class_table(color_model(), other)[:2].tolist() == [2, 0]
    named = (TerrainClass("Sea", (17, 141, 215)), TerrainClass("0", (1, 2, 3)))
    renamed = replace(other, classes=named)
    with pytest.raises(InputError, match="its classes Sea, 0 are none of the model's"):
        scoring.class_table(color_model(), renamed)


def test_a_class_that_the_model_lacks_is_refused_where_it_occurs(painted, color_model):
    classes = (*KAGGLE_CLASSES[:6], TerrainClass("Lava", (250, 30, 0)))
    without = tuple(replace(p, counts=(9, 9, 9, 9, 9, 9, 0)) for p in painted.pairs)
    unused = replace(painted, classes=classes, pairs=without)
    assert scoring.class_table(color_model(), unused)[6] == 255
    lava = replace(unused, pairs=(replace(without[0], counts=(0,) * 6 + (1,)),))
    with pytest.raises(InputError, match="its class Lava is none of the model's"):
        evaluate(color_model(), lava)


def test_progress_counts_images_and_stopping_ends_the_work(
    painted, color_model, monkeypatch
):
    monkeypatch.setattr(scoring, "_CHUNK_PAIRS", 2)
    seen = []
    evaluate(color_model(), painted, progress=lambda *numbers: seen.append(numbers))
    assert seen == [(0, 5), (2, 5), (4, 5), (5, 5)]
    with pytest.raises(StoppedError, match="stopped after 2 of 5 images"):
        evaluate(color_model(), painted, should_stop=lambda: True)


def test_images_of_several_sizes_are_scored_together(tmp_path, color_model):
    small = paint_dataset(tmp_path / "small", pairs=2, size=20)
    large = paint_dataset(tmp_path / "large", pairs=2, size=36)
    mixed = replace(small, pairs=(*small.pairs, *large.pairs))
    result = evaluate(color_model(), mixed)
    sizes = result.confusions.sum(axis=(1, 2)).tolist()
    assert sizes == [400, 400, 1296, 1296]
    assert result.confusions[2].trace() == 1296
