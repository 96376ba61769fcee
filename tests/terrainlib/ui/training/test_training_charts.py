"""The curves of a training: rows, descriptions, colours, comparison."""

import pandas as pd
import pytest

from terrainlib.metrics import OF_CLASSES
from terrainlib.runs.training.pixelscore import PixelScore
from terrainlib.ui.colors import curve_colors
from terrainlib.ui.training import charts
from terrainlib.ui.training.charts import compare_spec, compare_table
from terrainlib.ui.training.curves import describe
from terrainlib.ui.training.table import METRICS, _curves
from terrainlib.ui.training.view import ahead_text


def metrics(epochs: int = 3) -> pd.DataFrame:
    numbers = range(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": numbers,
            "seconds": [30.0] * epochs,
            "learning_rate": [0.003] * epochs,
            "loss": [2.0 / number for number in numbers],
            "accuracy": [0.5] * epochs,
            "val_loss": [2.5 / number for number in numbers],
            "val_accuracy": [0.4] * epochs,
            "val_miou": [number / 10 for number in numbers],
            "iou_Water": [0.1 * number for number in numbers],
            "iou_Tundra": [float("nan")] * epochs,
        }
    )


def test_a_chart_has_one_row_for_every_point_of_every_curve():
    rows = charts.long_table(metrics(), charts.LOSS, best_epoch=2)

    assert list(rows["curve"]) == ["training"] * 3 + ["validation"] * 3
    assert rows["value"].tolist() == pytest.approx([2, 1, 2 / 3, 2.5, 1.25, 2.5 / 3])
    assert rows.loc[rows["best"], "epoch"].tolist() == [2, 2]


def test_points_without_a_number_are_left_out():
    kind = OF_CLASSES[0]
    text = charts.class_chart_text(kind, charts.class_names(metrics()))

    rows = charts.long_table(metrics(), text, best_epoch=None)

    assert (text.title, kind.key) == ("IoU of each class", "iou")
    assert [name for _, name in text.curves] == ["Water", "Tundra"]
    assert set(rows["curve"]) == {"Water"}
    assert not rows["best"].any()


def test_runs_are_compared_by_the_scores_of_their_classes_that_they_have() -> None:
    old, new = metrics(), metrics().assign(recall_Water=0.5)

    assert list(_curves([old]))[len(METRICS) :] == ["iou_Water", "iou_Tundra"]
    assert _curves([old, new])["recall_Water"] == "Recall of Water"


def test_the_pixel_classifier_rules_the_chart_of_the_miou_and_no_other() -> None:
    ruled = charts.long_table(metrics(), charts.MIOU, best_epoch=2, pixel_score=0.5645)
    plain = charts.long_table(metrics(), charts.LOSS, best_epoch=2, pixel_score=0.5645)

    line = ruled[ruled["rule"] != ""]
    assert line[["value", "rule"]].values.tolist() == [
        [0.5645, "Pixel classifier 0.56"]
    ]
    assert not line["best"].any()
    assert len(ruled) == 4
    assert set(plain["rule"]) == {""}


def test_the_line_is_there_before_the_first_epoch_and_is_no_point_of_a_curve() -> None:
    rows = charts.long_table(metrics(0), charts.MIOU, best_epoch=None, pixel_score=0.5)
    spec = charts.line_spec(charts.MIOU)

    assert rows["rule"].tolist() == ["Pixel classifier 0.50"]
    filters = {layer["mark"]["type"]: layer.get("transform") for layer in spec["layer"]}
    assert filters["line"] == [{"filter": "!datum.rule"}]
    assert filters["text"] != filters["line"]
    assert describe(rows, charts.MIOU) == (
        "Validation mIoU: no values yet. Pixel classifier 0.50."
    )


def test_a_chart_is_described_with_its_last_epoch_and_its_line() -> None:
    rows = charts.long_table(metrics(), charts.MIOU, best_epoch=2, pixel_score=0.25)

    assert describe(rows, charts.MIOU) == (
        "Validation mIoU against epochs. Epoch 3: validation 0.300. "
        "Pixel classifier 0.25."
    )


def test_the_lead_has_its_sign_and_waits_for_both_scores() -> None:
    pixel_score = PixelScore({"miou": 0.56})

    assert ahead_text(0.61, pixel_score) == "+0.050"
    assert ahead_text(0.5, pixel_score) == "-0.060"
    assert ahead_text(None, pixel_score) is None
    assert ahead_text(0.61, None) is None


def test_a_run_without_epochs_gives_no_rows():
    rows = charts.long_table(metrics(0), charts.MIOU, best_epoch=None)

    assert rows.empty
    assert {"epoch", "value", "curve", "best"} <= set(rows.columns)


def test_long_trainings_are_thinned_and_keep_their_last_epoch():
    rows = charts.long_table(metrics(4999), charts.MIOU, best_epoch=None)

    assert len(rows) <= charts.MAX_POINTS
    assert rows["epoch"].max() == 4999


def test_a_description_stays_the_same_while_epochs_are_added():
    one = charts.long_table(metrics(1), charts.LOSS, best_epoch=1)
    many = charts.long_table(metrics(9), charts.LOSS, best_epoch=7)

    first = charts.filled(charts.line_spec(charts.LOSS), one)
    later = charts.filled(charts.line_spec(charts.LOSS), many)

    assert first.pop("datasets")["rows"] is one
    assert later.pop("datasets")["rows"] is many
    assert first == later


def test_no_layer_of_a_chart_has_data_of_its_own():
    colors = (("Water", "#118dd7"),)
    specs = [
        charts.line_spec(charts.LOSS),
        charts.line_spec(charts.class_chart_text(OF_CLASSES[0], ("Water",)), colors),
        compare_spec("Validation mIoU", "epochs", share=True),
    ]

    for spec in specs:
        assert len(spec["layer"]) >= 2
        assert all("data" not in part for part in (spec, *spec["layer"]))


def test_shares_are_drawn_from_0_to_1_and_losses_are_not():
    def y_scale(text):
        lines = [
            layer
            for layer in charts.line_spec(text)["layer"]
            if layer["mark"]["type"] == "line"
        ]
        return lines[0]["encoding"]["y"]["scale"]

    assert y_scale(charts.MIOU) == {"domain": [0, 1]}
    assert "domain" not in y_scale(charts.LOSS)


def test_a_class_is_drawn_in_its_own_colour_and_a_named_colour_in_itself():
    colors = curve_colors(("Water", "#A0B0C0", "Lava"), {"Water": (17, 141, 215)})

    assert colors[0] == ("Water", "#118dd7")
    assert colors[1] == ("#A0B0C0", "#a0b0c0")
    assert colors[2][0] == "Lava"
    assert len(colors[2][1]) == 7


def test_runs_are_laid_over_each_other_against_epochs_or_minutes():
    runs = {"one": metrics(2), "two": metrics(3), "none": pd.DataFrame()}

    epochs = compare_table(runs, "val_miou", against="epochs")
    minutes = compare_table(runs, "val_miou", against="minutes")

    assert list(epochs["curve"]) == ["one"] * 2 + ["two"] * 3
    assert epochs["x"].tolist() == [1, 2, 1, 2, 3]
    assert minutes["x"].tolist() == pytest.approx([0.5, 1, 0.5, 1, 1.5])
    assert minutes["value"].tolist() == pytest.approx([0.1, 0.2, 0.1, 0.2, 0.3])


def test_runs_without_any_epoch_compare_to_nothing():
    assert compare_table({"none": pd.DataFrame()}, "loss", against="epochs").empty
