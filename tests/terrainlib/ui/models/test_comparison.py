"""A model's scores beside the pixel classifier's."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from terrainlib.model.card import Score
from terrainlib.ui.models.comparison import chart_frame, class_table, score_table
from tests.conftest import PAGE_TIMEOUT_S

SCORES = (
    Score("mIoU", 0.61, 0.56),
    Score("Rock|s", 0.3, 0.355),
    Score("Ice", None, 0.2),
    Score("Sand", 0.5),
)


def test_the_table_has_a_row_a_score_with_the_lead() -> None:
    lines = score_table(SCORES).splitlines()

    assert lines[0] == "| Score | Model | Pixel classifier | Ahead |"
    assert lines[2:] == [
        "| mIoU | 0.610 | 0.560 | +0.050 |",
        "| Rock\\|s | 0.300 | 0.355 | \u22120.055 |",
        "| Ice | – | 0.200 | – |",
        "| Sand | 0.500 | – | – |",
    ]


def test_the_table_of_classes_has_a_column_a_score() -> None:
    one = tuple(Score(name, 0.5, 0.375) for name in ("Rock|s", "Ice"))
    other = (Score("Rock|s", 0.25), Score("Ice", None))
    lines = class_table({"iou": one, "precision": one, "recall": other}).splitlines()

    assert lines[0] == "| Class | IoU | Precision | Recall |"
    assert lines[2:] == [
        "| Rock\\|s | 0.500 (+0.125) | 0.500 (+0.125) | 0.250 |",
        "| Ice | 0.500 (+0.125) | 0.500 (+0.125) | – |",
    ]


def test_the_chart_labels_every_bar_behind_bar_and_tick() -> None:
    frame = chart_frame(SCORES)

    assert frame["label"].tolist() == [
        "0.610 (+0.050)",
        "0.300 (\u22120.055)",
        "–",
        "0.500",
    ]
    assert frame["end"].tolist() == pytest.approx([0.61, 0.355, 0.2, 0.5])
    assert np.isnan(frame["pixel_classifier"].iloc[3])


def test_the_chart_says_its_numbers_to_those_who_cannot_see_it() -> None:
    def script() -> None:
        from terrainlib.model.card import Score
        from terrainlib.ui.models.comparison import show_class_chart

        show_class_chart([Score("Water", 0.9, 0.8)], {"Water": (0, 0, 255)})

    page = AppTest.from_function(script, default_timeout=PAGE_TIMEOUT_S).run()

    assert not page.exception
    (chart,) = page.get("vega_lite_chart")
    assert chart.proto.alt == "Bar chart, IoU of each class: Water 0.900 (+0.100)"
