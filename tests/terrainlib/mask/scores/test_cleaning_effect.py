"""The effect of cleaning on the scores of a gallery."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage

from terrainlib import metrics
from terrainlib.data.dataset import open_dataset
from terrainlib.data.palette import KAGGLE_CLASSES, colorize
from terrainlib.errors import InputError
from terrainlib.mask.postprocess import PostProcessing
from terrainlib.mask.scores.cleaning_effect import cleaning_effect
from terrainlib.mask.scores.gallery import open_gallery


@pytest.fixture
def speckled(color_model, tmp_path):
    """Return the gallery of two pairs whose predictions have specks on plain land."""
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
    path = tmp_path / "mine.keras"
    path.write_bytes(b"weights")
    return open_gallery(color_model(path=path), open_dataset(folder), split="all")


def test_cleaning_takes_specks_away_and_the_scores_rise(speckled):
    effect = cleaning_effect(speckled, PostProcessing(sieve_px=4))
    assert effect.images == 2
    assert effect.miou[0] == pytest.approx(speckled.evaluation.scores.miou)
    assert effect.miou[0] < 0.7  # two classes nearly right, one that is not there
    assert effect.miou[1] == 1
    assert effect.boundary_f1 == (speckled.evaluation.mean_boundary_f1, 1)
    assert effect.changed == pytest.approx(16 / 1024)


def test_no_cleaning_changes_nothing(speckled):
    effect = cleaning_effect(speckled, PostProcessing())
    assert effect.miou[0] == effect.miou[1]
    assert effect.boundary_f1[0] == effect.boundary_f1[1]
    assert effect.changed == 0


def test_cleaning_that_hurts_is_seen_as_well(speckled):
    settings = PostProcessing(sieve_px=500)  # more than the smaller part has
    effect = cleaning_effect(speckled, settings)
    assert effect.miou[1] < effect.miou[0]
    mask = settings.apply(speckled.prediction("0"))
    confusion = metrics.confusion_matrix(speckled.truth("0"), mask, 7)
    assert effect.miou[1] == pytest.approx(metrics.miou(confusion))


def test_progress_counts_the_images_and_the_result_is_plain_json(speckled):
    seen = []
    effect = cleaning_effect(
        speckled,
        PostProcessing(median_px=3),
        progress=lambda *numbers: seen.append(numbers),
    )
    assert seen == [(1, 2), (2, 2)]
    values = json.loads(json.dumps(effect.to_dict(), allow_nan=False))
    assert values["after"]["miou"] == effect.miou[1]
    assert values["before"]["boundary_f1"] == effect.boundary_f1[0]


def test_a_prediction_that_is_gone_is_named(speckled, tmp_path):
    next(tmp_path.rglob("predictions/*/*/1.png")).unlink()
    with pytest.raises(InputError, match="the prediction of 1 is gone"):
        cleaning_effect(speckled, PostProcessing(median_px=3))


def test_a_gallery_without_images_is_refused(speckled):
    empty = replace(speckled, evaluation=replace(speckled.evaluation, ids=()))
    with pytest.raises(InputError, match="no image to score"):
        cleaning_effect(empty, PostProcessing())
