"""The table and the charts of settings against scores."""

import json

import pytest

from terrainlib.mask.scores.settings import Setting, SettingScores
from terrainlib.ui.gallery import settings as view
from terrainlib.ui.gallery.settings import settings_chart, settings_table

NAN = float("nan")
SCORES = SettingScores(
    settings=(
        Setting("Laplacian", 0.0),
        Setting("Unsharp mask", 3.0),
        Setting("Median", 3),
        Setting("Fill holes", 5),
    ),
    miou=(0.80, 0.83, 0.70, 0.81),
    boundary_f1=(0.60, 0.58, NAN, 0.60),
    as_it_is=(0.81, 0.61),
    images=4,
)


@pytest.fixture(autouse=True)
def light(monkeypatch):
    monkeypatch.setattr(view, "text_color", lambda: "#0f1612")


def layers(chart):
    """Return the layers of a chart with their rows, by the kind of mark."""
    values = json.loads(chart.to_json())
    sets = values["datasets"]
    layered = values["layer"]
    return {
        item["mark"]["type"]: (item, sets[item["data"]["name"]]) for item in layered
    }


def test_the_table_has_one_row_a_setting():
    table = settings_table(SCORES)
    assert list(table.columns) == [
        *("kind", "method", "amount", "setting", "miou", "boundary_f1")
    ]
    row = ["cleaning", "Fill holes", 5, "Fill holes 24 px", 0.81, 0.60]
    assert table.iloc[3].tolist() == row


def test_each_kind_has_its_own_chart_with_what_was_scored():
    _, rows = layers(settings_chart(SCORES, "miou", "sharpening"))["line"]
    assert [row["method"] for row in rows] == ["Laplacian", "Unsharp mask"]
    _, rows = layers(settings_chart(SCORES, "boundary_f1", "cleaning"))["line"]
    assert [row["value"] for row in rows] == [0.60]


def test_the_best_setting_of_all_is_ringed():
    layer, rows = layers(settings_chart(SCORES, "miou", "sharpening"))["point"]
    assert layer["transform"] == [{"filter": "datum.best"}]
    assert [row["amount"] for row in rows if row["best"]] == [3.0]
    _, rows = layers(settings_chart(SCORES, "miou", "cleaning"))["point"]
    assert not any(row["best"] for row in rows)
    _, rows = layers(settings_chart(SCORES, "boundary_f1", "sharpening"))["point"]
    assert not any(row["best"] for row in rows)  # none is better than without


def test_the_class_mask_as_it_is_is_a_line():
    for kind in ("sharpening", "cleaning"):
        _, rows = layers(settings_chart(SCORES, "miou", kind))["rule"]
        assert rows == [{"value": 0.81}]


def test_methods_differ_without_their_colours():
    layer, _ = layers(settings_chart(SCORES, "miou", "cleaning"))["line"]
    dashes = layer["encoding"]["strokeDash"]["scale"]
    assert dashes["domain"] == ["Median", "Sieve", "Fill holes", "All three"]
    assert len({str(dash) for dash in dashes["range"]}) == 4


def test_nothing_to_score_is_an_empty_chart():
    nothing = SettingScores((Setting("Sieve", 3),), (NAN,), (NAN,), (NAN, NAN), 1)
    drawn = json.loads(settings_chart(nothing, "miou", "cleaning").to_json())
    assert all(rows == [] for rows in drawn["datasets"].values())
