"""The curve of scores over the amount of sharpening: right, kept, taken up again."""

import json
from dataclasses import replace

import numpy as np
import pytest

from terrainlib import metrics
from terrainlib.data.dataset import read_pair
from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA
from terrainlib.errors import ConfigError, DatasetError, StoppedError
from terrainlib.mask.prediction import predict_image, snap_to_classes
from terrainlib.mask.scores import scoring
from terrainlib.mask.scores.curve import SharpeningCurve
from terrainlib.mask.scores.evaluation import evaluate
from terrainlib.mask.scores.gallery import open_gallery
from terrainlib.mask.scores.sharpening_curve import (
    AMOUNTS,
    CurveSettings,
    sharpening_curve,
    stored_curve,
)
from terrainlib.mask.sharpen import sharpen

FEW = CurveSettings(amounts=(0.0, 0.5, 2.0))


@pytest.fixture
def model(color_model, tmp_path):
    path = tmp_path / "mine.keras"
    path.write_bytes(b"weights")
    return color_model(path=path)


def curve(**values):
    """Return a curve of two methods and three amounts."""
    base = {
        "amounts": (0.0, 0.5, 1.0),
        "methods": ("laplacian", "unsharp"),
        "radius": 1.0,
        "miou": ((0.80, 0.82, 0.70), (0.80, 0.81, 0.79)),
        "boundary_f1": ((0.60, 0.59, 0.50), (0.60, 0.60, 0.58)),
        "plain_miou": 0.81,
        "plain_boundary_f1": 0.60,
        "images": 4,
    }
    return SharpeningCurve(**{**base, **values})


def test_scores_are_those_of_sharpened_and_snapped_masks(painted, model):
    made = sharpening_curve(model, painted, painted.ids, settings=FEW)
    assert made.images == 5
    total = np.zeros((7, 7), np.int64)
    borders = []
    for identifier in painted.ids:
        pair = read_pair(painted.pair(identifier), KAGGLE_CLASSES)
        soft = predict_image(model, pair.image).soft
        mask = snap_to_classes(sharpen(soft, 2.0, method="unsharp"), KAGGLE_CLASSES)
        total += metrics.confusion_matrix(pair.mask, mask, 7)
        borders.append(metrics.boundary_f1(pair.mask, mask, 7))
    assert made.miou[1][2] == pytest.approx(metrics.miou(total))
    assert made.boundary_f1[1][2] == pytest.approx(np.mean(borders))
    assert made.miou[0][0] == made.miou[1][0]
    assert made.miou[0][1] != made.miou[0][2]


def test_the_class_mask_itself_has_the_scores_of_the_evaluation(painted, model):
    made = sharpening_curve(model, painted, painted.ids, settings=FEW)
    expected = evaluate(model, painted)
    assert made.plain_miou == pytest.approx(expected.scores.miou)
    assert made.plain_boundary_f1 == pytest.approx(expected.mean_boundary_f1)


def test_pixels_without_data_are_not_scored(painted, model, monkeypatch):
    from terrainlib.mask.scores import sharpening_curve as module

    seen = []
    count = metrics.confusion_matrix

    def look(truth, mask, classes):
        seen.append(mask)
        return count(truth, mask, classes)

    monkeypatch.setattr(module.metrics, "confusion_matrix", look)
    image = read_pair(painted.pair("0000"), KAGGLE_CLASSES).image
    valid = image.valid.copy()
    valid[:4] = False
    predicted = predict_image(model, replace(image, valid=valid))
    truth = np.zeros(valid.shape, np.uint8)
    module._count("x", truth, predicted, classes=KAGGLE_CLASSES, settings=FEW)
    assert len(seen) == 6  # none, two amounts of two methods, and the class mask
    for mask in seen:
        assert (mask[:4] == NO_DATA).all()
        assert not (mask[4:] == NO_DATA).any()


def test_a_curve_is_kept_and_needs_no_network_again(painted, model):
    assert stored_curve(model, painted, painted.ids, FEW) is None
    made = sharpening_curve(model, painted, painted.ids, settings=FEW)
    unable = replace(model, network=None)
    assert stored_curve(unable, painted, painted.ids, FEW) == made
    assert sharpening_curve(unable, painted, painted.ids, settings=FEW) == made
    assert stored_curve(unable, painted, painted.ids, CurveSettings()) is None
    part = stored_curve(unable, painted, painted.ids[:2], FEW)
    assert part.images == 2


def test_it_lies_beside_the_predictions_and_goes_with_them(painted, model, tmp_path):
    gallery = open_gallery(model, painted, split="all")
    sharpening_curve(model, painted, painted.ids, settings=FEW)
    assert len(list(tmp_path.rglob("sharpening/*/*.npz"))) == 5
    again = open_gallery(replace(model, network=None), painted, split="all")
    assert again.evaluation.scores.miou == gallery.evaluation.scores.miou
    model.path.write_bytes(b"other weights")
    assert stored_curve(model, painted, painted.ids, FEW) is None
    assert list(tmp_path.rglob("*.npz")) == []


def test_stopped_work_goes_on_where_it_ended(painted, model, monkeypatch):
    monkeypatch.setattr(scoring, "_CHUNK_PAIRS", 2)
    with pytest.raises(StoppedError, match="stopped after 2 of 5 images"):
        sharpening_curve(
            model, painted, painted.ids, settings=FEW, should_stop=lambda: True
        )
    seen = []
    made = sharpening_curve(
        model,
        painted,
        painted.ids,
        settings=FEW,
        progress=lambda *numbers: seen.append(numbers),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert made.images == 5


def test_a_damaged_file_is_made_again(painted, model, tmp_path):
    made = sharpening_curve(model, painted, painted.ids, settings=FEW)
    files = sorted(tmp_path.rglob("*.npz"))
    files[0].write_bytes(b"PK nonsense")
    files[1].write_bytes(b"")
    files[2].write_bytes(files[2].read_bytes()[:100])
    assert stored_curve(model, painted, painted.ids, FEW) is None
    assert sharpening_curve(model, painted, painted.ids, settings=FEW) == made


def test_pairs_that_went_bad_are_left_out_and_counted(painted, model):
    painted.pair("0001").image.write_bytes(b"no picture")
    made = sharpening_curve(model, painted, painted.ids, settings=FEW)
    assert (made.images, made.skipped) == (4, 1)
    painted.pair("0002").image.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="none of the pairs can be read"):
        sharpening_curve(model, painted, ["0001", "0002"], settings=CurveSettings((0,)))


def test_by_default_amounts_go_to_3_with_both_methods():
    settings = CurveSettings()
    assert settings.amounts == AMOUNTS
    assert (AMOUNTS[0], AMOUNTS[1], AMOUNTS[-1]) == (0, 0.2, 3.0)
    assert settings.methods == ("laplacian", "unsharp")


@pytest.mark.parametrize(
    "amounts", [(), (0.5, 1), (0, 1, 1), (0, 2, 1), (0, 11), (0, float("nan"))]
)
def test_amounts_that_do_not_ascend_from_0_are_refused(amounts):
    with pytest.raises(ConfigError, match="must ascend from 0 to at most 10"):
        CurveSettings(amounts=amounts)


def test_the_best_amount_is_found_with_its_gain():
    best = curve().best("miou")
    assert (best.method, best.amount, best.value) == ("laplacian", 0.5, 0.82)
    assert best.gain == pytest.approx(0.02)


def test_of_equal_amounts_the_least_is_the_best():
    best = curve().best("boundary_f1")
    assert (best.method, best.amount, best.gain) == ("laplacian", 0.0, 0.0)
    flat = curve(miou=((0.5, 0.7, 0.7), (0.5, 0.7, 0.7)))
    assert (flat.best("miou").method, flat.best("miou").amount) == ("laplacian", 0.5)


def test_the_words_say_what_helps_and_what_hurts():
    better, worse = curve().words()
    assert better == (
        "mIoU: best with Laplacian at 0.5, 0.820, +0.020 over none. "
        "The class mask itself has 0.810."
    )
    assert worse == (
        "Boundary F1: no amount is better than none. It is 0.600 without sharpening "
        "and 0.500 with Laplacian at 1. The class mask itself is as good: 0.600."
    )
    assert "class mask itself is better: 0.900" in curve(plain_miou=0.9).words()[0]
    tiny = curve(miou=((0.8, 0.8004, 0.7), (0.8, 0.8, 0.8)))
    assert "no amount is better than none" in tiny.words()[0]


def test_nothing_to_score_is_said_and_none_in_json():
    nan = float("nan")
    empty = curve(miou=((nan,) * 3,) * 2, plain_miou=nan)
    assert empty.best("miou") is None
    assert empty.words()[0] == "mIoU: nothing to score."
    values = json.loads(json.dumps(empty.to_dict(), allow_nan=False))
    assert values["miou"]["unsharp"] == [None, None, None]
    assert values["best"]["miou"] is None
    assert values["class_mask"] == {"miou": None, "boundary_f1": 0.6}


def test_a_curve_becomes_plain_json():
    values = json.loads(json.dumps(curve().to_dict()))
    assert values["amounts"] == [0.0, 0.5, 1.0]
    assert values["miou"]["laplacian"] == [0.80, 0.82, 0.70]
    assert values["best"]["miou"]["method"] == "laplacian"
    assert values["best"]["boundary_f1"]["method"] is None
