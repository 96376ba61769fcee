"""The pixel classifier beside a model in the gallery."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from terrainlib.data.dataset import Dataset, open_dataset, read_pair
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.splits import random_split
from terrainlib.mask.scores.evaluation import Evaluation
from terrainlib.mask.scores.gallery import Gallery, PredictionStore
from terrainlib.mask.scores.scoring import PairScore, ScoredPair
from terrainlib.metrics import OVERALL
from terrainlib.model.config import UNetConfig
from terrainlib.model.record import ModelRecord, class_list
from terrainlib.runs.models import ModelEntry
from terrainlib.ui.gallery.pixelclassifier import (
    NO_TRAINING_PAIRS,
    stored_scores,
    training_ids,
)
from terrainlib.ui.gallery.predictions import Wanted
from tests.conftest import PAGE_TIMEOUT_S
from tests.synthetic import write_kaggle_dataset

NAMES = [item.name for item in KAGGLE_CLASSES]


@pytest.fixture
def dataset(tiny_dataset: Path) -> Dataset:
    return open_dataset(tiny_dataset)


@pytest.fixture
def record(dataset: Dataset) -> ModelRecord:
    split = random_split(dataset.ids, share=0.3).to_dict()
    return ModelRecord(
        config=UNetConfig.preset("fast", image_size=32).to_dict(),
        classes=class_list(KAGGLE_CLASSES),
        split=split,
        pixel_classifier={
            "miou": 0.25,
            "pixel_accuracy": 0.5,
            "boundary_f1": None,
            "iou": dict.fromkeys(NAMES, 0.25),
            "split": split["hash"],
        },
    )


def _script(wanted: "Wanted", gallery: "Gallery") -> None:
    from terrainlib.ui.gallery.pixelclassifier import show_pixel_classifier

    show_pixel_classifier(wanted, gallery, "gallery")


def show(record: ModelRecord, dataset: Dataset, part: str = "validation") -> AppTest:
    path = Path("model.keras")
    made = datetime(2026, 5, 1, tzinfo=UTC)
    entry = ModelEntry("added/x", "added", "x", path, record, 1, made)
    confusion = np.diag([30, 10, 5, 5, 5, 5, 5])
    evaluation = Evaluation(
        ids=("0001", "0002", "0003"),
        class_names=tuple(NAMES),
        confusions=np.stack([confusion] * 3),
        boundary_f1=np.array([0.5] * 3),
        seconds=1.0,
    )
    store = PredictionStore(dataset.folder.parent / "predicted", KAGGLE_CLASSES)
    for name in evaluation.ids:
        truth = read_pair(dataset, dataset.pair(name)).mask
        store.write(ScoredPair(PairScore(name, confusion, 0.5), truth))
    table = np.arange(256, dtype=np.uint8)
    gallery = Gallery(dataset, KAGGLE_CLASSES, evaluation, store, table)
    page = AppTest.from_function(
        _script,
        default_timeout=PAGE_TIMEOUT_S,
        kwargs={"wanted": Wanted(entry, dataset, part), "gallery": gallery},
    ).run()
    assert not page.exception
    return page


def table(page: AppTest) -> list[str]:
    tables = [item.value for item in page.markdown if item.value.startswith("| ")]
    return "\n".join(tables).splitlines()


def test_what_the_record_knows_is_shown_at_once(
    record: ModelRecord, dataset: Dataset
) -> None:
    page = show(record, dataset)

    assert "| mIoU | 1.000 | 0.250 | +0.750 |" in table(page)
    assert "| Tundra | 1.000 (+0.750) | 1.000 | 1.000 |" in table(page)
    assert "more than chance" in page.caption[0].value


def test_on_other_pairs_it_is_fitted_when_somebody_asks(
    record: ModelRecord, dataset: Dataset
) -> None:
    page = show(record, dataset, "all")
    assert table(page) == []
    assert "on the 4 pairs" in page.caption[0].value

    page.button(key="gallery_pixel_classifier").click().run()

    assert not page.exception
    rows = table(page)
    assert len(rows) == 2 + len(OVERALL) + 2 + len(NAMES)
    assert rows[3].startswith("| mIoU | 1.000 | ")
    assert "–" not in rows[3]
    assert any(
        item.value.startswith("Against the pixel classifier, in mIoU: **")
        for item in page.markdown
    )
    assert page.caption[-1].value.startswith("Of Water, both take 0% of the pixels")


def test_where_the_training_pairs_are_not_at_hand_it_says_so(
    record: ModelRecord, tmp_path: Path
) -> None:
    other = open_dataset(write_kaggle_dataset(tmp_path / "other", pairs=9))

    page = show(record, other, "all")

    assert page.caption[0].value == NO_TRAINING_PAIRS
    assert not page.button


def test_stored_scores_count_on_the_validation_pairs_of_their_split_only(
    record: ModelRecord,
) -> None:
    pixel_classifier = record.pixel_classifier
    assert stored_scores(record, "validation") == pixel_classifier
    assert stored_scores(record, "all") is None
    other = replace(
        record, pixel_classifier={**(pixel_classifier or {}), "split": "another"}
    )
    assert stored_scores(other, "validation") is None
    assert stored_scores(replace(record, pixel_classifier=None), "validation") is None
    assert stored_scores(replace(record, final={"pairs": 6}), "validation") is None


def test_it_learns_from_the_pairs_that_the_model_learnt_from(
    record: ModelRecord, dataset: Dataset
) -> None:
    train = (record.split or {})["train"]
    assert list(training_ids(record, dataset)) == train
    assert len(train) == 4
    assert training_ids(replace(record, final={"pairs": 6}), dataset) == dataset.ids
    assert training_ids(replace(record, split=None), dataset) == ()
