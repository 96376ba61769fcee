"""The chart of the sharpening curve, and what cleaning is said to do."""

import json

import pytest

from terrainlib.mask.scores.curve import SharpeningCurve
from terrainlib.ui.gallery import cleaning_view, sharpening_curve_view
from terrainlib.ui.gallery.sharpening_curve_view import curve_chart, curve_table

NAN = float("nan")
CURVE = SharpeningCurve(
    amounts=(0.0, 0.5, 3.0),
    methods=("laplacian", "unsharp"),
    radius=1.0,
    miou=((0.80, 0.82, 0.70), (0.80, 0.81, 0.83)),
    boundary_f1=((0.60, 0.59, 0.50), (0.60, 0.60, 0.58)),
    plain_miou=0.81,
    plain_boundary_f1=0.61,
    images=4,
)


@pytest.fixture(autouse=True)
def light(monkeypatch):
    monkeypatch.setattr(sharpening_curve_view, "text_color", lambda: "#1d2620")


def layers(chart):
    """Return the layers of a chart with their rows."""
    values = json.loads(chart.to_json())
    sets = values["datasets"]
    return [(item["mark"], sets[item["data"]["name"]]) for item in values["layer"]]


def test_the_table_has_one_row_a_point():
    table = curve_table(CURVE)
    assert list(table.columns) == ["method", "amount", "miou", "boundary_f1"]
    assert len(table) == 6
    assert table.iloc[5].tolist() == ["unsharp", 3.0, 0.83, 0.58]


def test_the_best_point_is_ringed_and_named():
    (ring,) = [
        rows
        for mark, rows in layers(curve_chart(CURVE, "miou"))
        if mark["type"] == "point"
    ]
    assert ring == [{"amount": 3.0, "value": 0.83, "label": "best: 3"}]
    (ring,) = [
        rows
        for mark, rows in layers(curve_chart(CURVE, "boundary_f1"))
        if mark["type"] == "point"
    ]
    assert ring == [{"amount": 0.0, "value": 0.60, "label": "best: none"}]


def test_a_label_at_the_right_end_goes_to_the_left_of_its_ring():
    marks = [mark for mark, _ in layers(curve_chart(CURVE, "miou"))]
    (text,) = [mark for mark in marks if mark.get("fontWeight") == 600]
    assert text["align"] == "right"


def test_the_class_mask_itself_is_a_line_with_its_score():
    rules = [r for m, r in layers(curve_chart(CURVE, "miou")) if m["type"] == "rule"]
    assert rules == [[{"value": 0.81, "label": "class mask 81.0%"}]]


def test_nothing_to_score_is_an_empty_chart():
    empty = SharpeningCurve(
        (0.0,), ("laplacian",), 1.0, ((NAN,),), ((NAN,),), NAN, NAN, images=1
    )
    drawn = json.loads(curve_chart(empty, "miou").to_json())
    assert all(rows == [] for rows in drawn["datasets"].values())


@pytest.mark.parametrize(
    ("miou", "border", "words"),
    [
        (0.01, 0.02, "Cleaning like this helps."),
        (0.01, 0.0, "Cleaning like this helps."),
        (-0.01, -0.02, "hurts: the masks are better without it"),
        (0.01, -0.02, "helps one score and hurts the other"),
        (0.0, 0.00001, "The scores stay as they are."),
    ],
)
def test_cleaning_is_said_to_help_or_to_hurt(miou, border, words):
    effect = {
        "before": {"miou": 0.5, "boundary_f1": 0.4},
        "after": {"miou": 0.5 + miou, "boundary_f1": 0.4 + border},
    }
    assert words in cleaning_view.in_words(effect)


def test_cleaning_without_scores_says_nothing_to_score():
    nothing = {"miou": None, "boundary_f1": None}
    effect = {"before": nothing, "after": nothing}
    assert cleaning_view.in_words(effect) == "Nothing to score."
