"""Scores on the page."""

import numpy as np
import pyarrow as pa
from streamlit.testing.v1 import AppTest

from terrainlib.metrics import OF_CLASSES, scores
from terrainlib.ui.gallery.images import outlined
from terrainlib.ui.gallery.scores import (
    MEANING,
    NO_CONFIDENCE,
    class_scores_frame,
    confusion_table,
)
from tests.conftest import PAGE_TIMEOUT_S


def _script(sure: bool = True, leak: str = "random: may leak") -> None:
    from datetime import UTC, datetime
    from pathlib import Path
    from typing import Any, cast

    import numpy as np

    from terrainlib.data.palette import KAGGLE_CLASSES
    from terrainlib.mask.scores.evaluation import Evaluation
    from terrainlib.mask.scores.gallery import Gallery
    from terrainlib.mask.scores.reliability import Reliability
    from terrainlib.runs.models import ModelEntry
    from terrainlib.ui.gallery.predictions import Wanted
    from terrainlib.ui.gallery.scores import show_note_of, show_scores

    confusions = np.zeros((2, 7, 7), np.int64)
    confusions[0, 0, 0] = 60
    confusions[1, 1, 1] = 20
    confusions[1, 1, 0] = 20
    bins = np.zeros((3, 15), np.int64)
    bins[:, 13] = 100, 90, 80  # 90 % sure and right in 80 of 100
    evaluation = Evaluation(
        ids=("0001", "0002"),
        class_names=tuple(item.name for item in KAGGLE_CLASSES),
        confusions=confusions,
        boundary_f1=np.array([1.0, np.nan]),
        seconds=1.0,
        reliability=Reliability(bins[0], bins[1] / 1.0, bins[2]) if sure else None,
    )
    none = cast("Any", None)
    gallery = Gallery(none, KAGGLE_CLASSES, evaluation, none, none)
    made = datetime(2026, 5, 1, tzinfo=UTC)
    entry = ModelEntry("added/x", "added", "x", Path("x"), None, 1, made)
    show_note_of(leak, "why")
    show_scores(gallery, Wanted(entry, none, "validation"), "gallery")


def test_the_scores_over_all_images_stand_beside_their_warning() -> None:
    page = AppTest.from_function(_script, default_timeout=PAGE_TIMEOUT_S).run()
    assert not page.exception
    shown = {item.label: item.value for item in page.metric}
    # IoU: Water 60 of 80, Grassland 20 of 40, the others occur nowhere
    assert shown == {
        "Pixel accuracy": "0.800",
        "mIoU": "0.625",
        "Boundary F1": "1.000",
        "Calibration error": "0.100",
        "Images": "2",
    }
    assert any(
        ":orange-badge[:material/warning: random" in m.value for m in page.markdown
    )
    assert len(page.get("vega_lite_chart")) == 4
    labels = [item.label for item in page.get("download_button")]
    assert labels == ["Diagram", *["CSV"] * 4]


def test_a_split_without_shared_ground_is_no_warning() -> None:
    leak = "leak-free: no shared ground found"
    page = AppTest.from_function(
        _script, default_timeout=PAGE_TIMEOUT_S, kwargs={"leak": leak}
    ).run()
    assert not page.exception
    shown = "".join(item.value for item in page.markdown)
    assert ":gray-badge[:material/check: leak" in shown
    assert "orange-badge" not in shown


def test_the_reliability_diagram_holds_the_bins_and_says_what_they_mean() -> None:
    page = AppTest.from_function(_script, default_timeout=PAGE_TIMEOUT_S).run()
    chart = page.get("vega_lite_chart")[2].proto
    (table,) = [
        pa.ipc.open_stream(data.data.data).read_pandas()
        for data in chart.datasets
        if b"confidence" in data.data.data
    ]
    assert table[["confidence", "accuracy", "share"]].to_numpy().tolist() == [
        [0.9, 0.8, 1.0]
    ]
    assert chart.alt == (
        "Reliability diagram, calibration error 0.100: 90% sure 80% right"
    )
    assert MEANING in [item.value for item in page.caption]


def test_a_model_of_colours_says_why_it_has_no_reliability() -> None:
    page = AppTest.from_function(
        _script, default_timeout=PAGE_TIMEOUT_S, kwargs={"sure": False}
    ).run()
    assert not page.exception
    assert NO_CONFIDENCE in [item.value for item in page.caption]
    shown = {item.label: item.value for item in page.metric}
    assert shown["Calibration error"] == "–"
    assert len(page.get("vega_lite_chart")) == 2
    assert [item.label for item in page.get("download_button")] == ["CSV"] * 3


def test_a_class_that_occurs_nowhere_is_a_dash_and_said_to_be_one() -> None:
    page = AppTest.from_function(_script, default_timeout=PAGE_TIMEOUT_S).run()
    assert (
        "A dash: the class is in none of these masks, neither true nor predicted."
        in [item.value for item in page.caption]
    )


def test_the_table_of_classes_holds_every_score() -> None:
    frame = class_scores_frame(scores(np.array([[3, 1], [0, 4]])), ["Water", "Forest"])
    assert frame["class"].tolist() == ["Water", "Forest"]
    assert frame["iou"].tolist() == [0.75, 0.8]
    assert frame["precision"].tolist() == [1.0, 0.8]
    assert frame["recall"].tolist() == [0.75, 1.0]
    assert list(frame)[1:-1] == [kind.key for kind in OF_CLASSES]
    assert frame["true_pixels"].tolist() == [4, 4]


def test_the_confusion_table_has_a_row_for_each_true_class() -> None:
    table = confusion_table(np.array([[3, 1], [0, 4]]), ["Water", "Forest"])
    assert table.columns.tolist() == ["true \\ predicted", "Water", "Forest"]
    assert table.iloc[0].tolist() == ["Water", 3, 1]


def test_a_crop_holds_most_of_what_is_marked_and_outlines_it() -> None:
    rgb = np.full((200, 300, 3), 0.5, np.float32)
    marked = np.zeros((200, 300), bool)
    marked[150:160, 250:260] = True
    marked[0, 0] = True
    crop = outlined(rgb, marked)
    assert crop.shape == (480, 480, 3)  # 96 px, five times as large
    assert set(np.unique(crop)) == {0, 128, 255}
