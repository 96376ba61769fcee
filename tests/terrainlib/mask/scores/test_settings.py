"""Scores against settings: right, kept, taken up again, and put into a sentence."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage

from terrainlib import metrics
from terrainlib.data.dataset import open_dataset, read_pair
from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA, colorize
from terrainlib.errors import DatasetError
from terrainlib.mask.cleaning import PostProcessing
from terrainlib.mask.prediction import predict_image
from terrainlib.mask.scores import scoring
from terrainlib.mask.scores import settings as module
from terrainlib.mask.scores.evaluation import evaluate
from terrainlib.mask.scores.gallery import open_gallery
from terrainlib.mask.scores.settings import (
    SETTINGS,
    Setting,
    SettingScores,
    score_settings,
    stored_scores,
)
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.result import snap_to_classes

FEW = (
    Setting("Laplacian", 0.0),
    Setting("Laplacian", 2.0),
    Setting("Unsharp mask", 2.0),
    Setting("Sieve", 3),
)
NAN = float("nan")


@pytest.fixture
def model(color_model, tmp_path):
    path = tmp_path / "mine.keras"
    path.write_bytes(b"weights")
    return color_model(path=path)


@pytest.fixture
def speckled(tmp_path):
    """Return two pairs that a model of colours predicts with specks on plain land."""
    folder = tmp_path / "speckled"
    folder.mkdir()
    for number in range(2):
        truth = np.zeros((32, 32), np.uint8)
        truth[:, 22:] = 2
        shown = truth.copy()
        shown[4::8, 4::8] = 5
        for kind, pixels in (("t", shown), ("i2", truth)):
            picture = PillowImage.fromarray(colorize(pixels, KAGGLE_CLASSES))
            picture.save(folder / f"{number}_{kind}.png")
    return open_dataset(folder)


def scores(**values):
    """Return scores of four settings."""
    base = {
        "settings": FEW,
        "miou": (0.80, 0.82, 0.70, 0.81),
        "boundary_f1": (0.60, 0.59, 0.50, 0.60),
        "as_it_is": (0.81, 0.60),
        "images": 4,
    }
    return SettingScores(**{**base, **values})


def test_scores_are_those_of_sharpened_and_snapped_masks(painted, model):
    made = score_settings(model, painted, painted.ids, settings=FEW)
    assert made.images == 5
    total = np.zeros((7, 7), np.int64)
    borders = []
    for identifier in painted.ids:
        pair = read_pair(painted, painted.pair(identifier))
        soft = predict_image(model, pair.image).soft
        mask = snap_to_classes(sharpen(soft, 2.0, method="unsharp"), KAGGLE_CLASSES)
        total += metrics.confusion_matrix(pair.mask, mask, 7)
        borders.append(metrics.boundary_f1(pair.mask, mask, 7))
    assert made.miou[2] == pytest.approx(metrics.miou(total))
    assert made.boundary_f1[2] == pytest.approx(np.mean(borders))
    assert made.miou[0] != made.miou[1]


def test_the_class_mask_as_it_is_has_the_scores_of_the_evaluation(painted, model):
    made = score_settings(model, painted, painted.ids, settings=FEW)
    expected = evaluate(model, painted)
    assert made.plain("miou") == pytest.approx(expected.scores.overall["miou"])
    assert made.plain("boundary_f1") == pytest.approx(
        expected.scores.overall["boundary_f1"]
    )


def test_cleaning_takes_specks_away_and_the_scores_rise(speckled, model):
    settings = [Setting(name, 3) for name in ("Median", "Sieve", "Fill holes")]
    made = score_settings(model, speckled, speckled.ids, settings=settings)
    assert made.plain("miou") < 0.7  # two classes nearly right, one that is not there
    assert made.miou == (1, 1, 1)
    assert made.boundary_f1 == (1, 1, 1)
    assert made.answer("miou").startswith("Yes: with Median 3 px the mIoU rises from")


def test_cleaning_that_hurts_is_seen_as_well(speckled, model):
    hard = Setting("Sieve", 23)  # more than the smaller part has
    made = score_settings(model, speckled, speckled.ids, settings=[hard])
    assert made.miou[0] < made.plain("miou")
    gallery = open_gallery(model, speckled, split="all")
    mask = PostProcessing(sieve_px=528).apply(gallery.prediction("0"))
    confusion = metrics.confusion_matrix(gallery.row("0").truth, mask, 7)
    assert made.miou[0] == pytest.approx(metrics.miou(confusion))
    assert made.answer("miou").startswith("No: ")


@pytest.mark.parametrize(
    ("setting", "cleaning", "text"),
    [
        (Setting("Median", 5), PostProcessing(5), "Median 5 px"),
        (Setting("Sieve", 5), PostProcessing(0, 24), "Sieve 24 px"),
        (Setting("Fill holes", 5), PostProcessing(0, 0, 24), "Fill holes 24 px"),
        (
            Setting("All three", 3),
            PostProcessing(3, 8, 8),
            "Median 3 px, Sieve 8 px, Fill holes 8 px",
        ),
        (Setting("All three", 0), PostProcessing(), "none"),
        (Setting("Unsharp mask", 0.4), PostProcessing(), "Unsharp mask at 0.4"),
    ],
)
def test_a_setting_is_what_can_be_set_in_the_studio(setting, cleaning, text):
    assert setting.cleaning == cleaning
    assert setting.text == text
    assert setting.kind == ("sharpening" if " at " in text else "cleaning")


def test_amounts_of_both_kinds_begin_at_none():
    sharpening = [s.amount for s in SETTINGS if s.method == "Laplacian"]
    assert (sharpening[0], sharpening[1], sharpening[-1]) == (0, 0.2, 3.0)
    assert [s.amount for s in SETTINGS if s.method == "Unsharp mask"] == sharpening
    for method in ("Median", "Sieve", "Fill holes", "All three"):
        assert next(s.amount for s in SETTINGS if s.method == method) == 0


def test_pixels_without_data_are_not_scored_and_equal_masks_are_counted_once(
    painted, model, monkeypatch
):
    seen = []
    count = metrics.confusion_matrix

    def look(truth, mask, classes):
        seen.append(mask)
        return count(truth, mask, classes)

    monkeypatch.setattr(module.metrics, "confusion_matrix", look)
    image = read_pair(painted, painted.pair("0000")).image
    valid = image.valid.copy()
    valid[:4] = False
    predicted = predict_image(model, replace(image, valid=valid))
    truth = np.zeros(valid.shape, np.uint8)
    twice = (*FEW, Setting("Median", 0))
    made = module._count("x", truth, predicted, classes=KAGGLE_CLASSES, settings=twice)
    assert len(made.confusions) == len(twice) + 1
    assert 1 < len(seen) <= len(FEW) + 1
    for mask in seen:
        assert (mask[:4] == NO_DATA).all()
        assert not (mask[4:] == NO_DATA).any()


def test_scores_are_kept_and_need_no_network_again(painted, model):
    assert stored_scores(model, painted, painted.ids, FEW) is None
    made = score_settings(model, painted, painted.ids, settings=FEW)
    unable = replace(model, network=None)
    assert stored_scores(unable, painted, painted.ids, FEW) == made
    assert score_settings(unable, painted, painted.ids, settings=FEW) == made
    assert stored_scores(unable, painted, painted.ids, FEW[:2]) is None
    assert stored_scores(unable, painted, painted.ids[:2], FEW).images == 2
    assert stored_scores(unable, painted, (), FEW) is None


def test_they_lie_beside_the_predictions_and_go_with_them(painted, model, tmp_path):
    gallery = open_gallery(model, painted, split="all")
    score_settings(model, painted, painted.ids, settings=FEW)
    assert len(list(tmp_path.rglob("settings/*/*.npz"))) == 5
    again = open_gallery(replace(model, network=None), painted, split="all")
    assert (
        again.evaluation.scores.overall["miou"]
        == gallery.evaluation.scores.overall["miou"]
    )
    model.path.write_bytes(b"other weights")
    assert stored_scores(model, painted, painted.ids, FEW) is None
    assert list(tmp_path.rglob("*.npz")) == []


def test_work_that_was_cut_off_goes_on_where_it_ended(painted, model, monkeypatch):
    monkeypatch.setattr(scoring, "_CHUNK_PAIRS", 2)

    def cut_off(done, _total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_settings(model, painted, painted.ids, settings=FEW, progress=cut_off)
    seen = []
    made = score_settings(
        model,
        painted,
        painted.ids,
        settings=FEW,
        progress=lambda *numbers: seen.append(numbers),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert made.images == 5


def test_a_damaged_file_is_made_again(painted, model, tmp_path):
    made = score_settings(model, painted, painted.ids, settings=FEW)
    files = sorted(tmp_path.rglob("*.npz"))
    files[0].write_bytes(b"PK nonsense")
    files[1].write_bytes(b"")
    files[2].write_bytes(files[2].read_bytes()[:100])
    assert stored_scores(model, painted, painted.ids, FEW) is None
    assert score_settings(model, painted, painted.ids, settings=FEW) == made


def test_pairs_that_went_bad_are_left_out(painted, model):
    painted.pair("0001").image.write_bytes(b"no picture")
    made = score_settings(model, painted, painted.ids, settings=FEW)
    assert made.images == 4
    painted.pair("0002").image.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="none of the pairs can be read"):
        score_settings(model, painted, ["0001", "0002"], settings=FEW[:1])


def test_the_answer_begins_with_yes_or_no():
    assert scores().answer("miou") == (
        "Yes: with Laplacian at 2 the mIoU rises from 0.810 to 0.820; "
        "the Boundary F1 goes from 0.600 to 0.590."
    )
    assert scores().answer("boundary_f1") == (
        "No: no sharpening and no cleaning tried here lifts the Boundary F1 above "
        "0.600, that of the class masks as they are."
    )
    alone = scores(boundary_f1=(NAN,) * 4, as_it_is=(0.81, NAN))
    assert alone.answer("miou").endswith("rises from 0.810 to 0.820.")
    assert alone.answer("boundary_f1") == "Nothing to score."


def test_of_equal_settings_the_first_is_the_best_and_a_tiny_gain_is_none():
    assert scores().best("miou") == 1
    assert scores(miou=(0.80, 0.82, 0.82, 0.82)).best("miou") == 1
    assert scores(miou=(0.80, 0.8104, 0.7, 0.81)).best("miou") is None
    assert scores(miou=(NAN, 0.7, 0.9, NAN)).best("miou") == 2
    assert scores(miou=(NAN,) * 4, as_it_is=(NAN, 0.6)).best("miou") is None
