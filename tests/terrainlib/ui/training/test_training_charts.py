"""The curves of a training: rows, descriptions, colours, comparison."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from terrainlib.metrics import OF_CLASSES
from terrainlib.runs.folder import list_runs
from terrainlib.ui.charts import curve_colors
from terrainlib.ui.training import charts
from terrainlib.ui.training.charts import ChartText, Look
from terrainlib.ui.training.curves import describe
from terrainlib.ui.training.table import (
    METRICS,
    SCORES,
    _curves,
    comparison_frame,
    labels,
    run_colors,
)
from tests.crafted_runs import craft_run

NO_STEPS = pd.DataFrame(
    {name: [] for name in ("epoch", "step", "steps", "seconds", "loss", "accuracy")}
)
STEPS = pd.DataFrame(
    {
        "epoch": [1, 1, 2, 2, 3],
        "step": [1, 2, 1, 2, 1],
        "steps": [2] * 5,
        "seconds": [12.0, 24.0, 12.0, 24.0, 12.0],
        "loss": [3.0, 2.0, 1.5, 1.0, 0.9],
        "accuracy": [0.5] * 5,
    }
)


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


def rows_of(
    table: pd.DataFrame,
    text: ChartText,
    *,
    look: Look = Look(),  # noqa: B008 - frozen
    steps: pd.DataFrame = NO_STEPS,
    best_epoch: int | None = None,
    pixel_score: float | None = None,
) -> pd.DataFrame:
    """The rows of one run's chart, as its page makes them."""
    scale = charts.scale_of(table, steps, look.axis)
    curves = [charts.curve_of(n, c, table, steps, scale) for c, n in text.curves]
    best = scale.end(best_epoch)
    return charts.chart_rows(curves, look, text, best=best, rule=pixel_score)


def part(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    return rows[rows["part"] == name]


def test_a_chart_has_one_row_for_every_point_of_every_curve():
    rows = rows_of(metrics(), charts.LOSS, best_epoch=2)

    lines = part(rows, "line")
    assert list(lines["curve"]) == ["training"] * 3 + ["validation"] * 3
    assert lines["value"].tolist() == pytest.approx([2, 1, 2 / 3, 2.5, 1.25, 2.5 / 3])
    assert part(rows, "best")["epoch"].tolist() == [2]


def test_at_every_place_the_values_of_all_curves_are_told():
    look = Look(smoothing=0.5)
    told = part(rows_of(metrics(), charts.LOSS, look=look), "told")

    here = told[told["epoch"] == 2].set_index("label")["value"]
    assert here.to_dict() == {
        "training": 1.0,
        "training, smoothed": 1.333,
        "validation": 1.25,
        "validation, smoothed": 1.667,
    }


def test_smoothing_is_an_average_that_does_not_begin_at_zero():
    values = np.array([4.0, 1.0, 1.0])

    assert charts.smoothed(values, 0.0).tolist() == [4, 1, 1]
    # (0.5 * (0.5 * 4) + 0.5 * 1) / (1 - 0.25), and so on
    assert charts.smoothed(values, 0.5).tolist() == pytest.approx([4, 2, 10 / 7])
    rows = rows_of(metrics(), charts.MIOU, look=Look(smoothing=0.5))
    assert part(rows, "faint")["value"].tolist() == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("axis", "ends", "within"),
    [
        ("epoch", [1, 2], [0.5, 1, 1.5, 2, 2.5]),
        ("step", [2, 4], [1, 2, 3, 4, 5]),
        ("minutes", [0.5, 1], [0.2, 0.4, 0.7, 0.9, 1.2]),
    ],
)
def test_steps_lie_within_their_epochs_on_every_axis(axis, ends, within):
    scale = charts.scale_of(metrics(2), STEPS, axis)

    assert scale.ends.tolist() == pytest.approx(ends)
    assert scale.steps.tolist() == pytest.approx(within)
    assert (scale.end(2), scale.end(7)) == (pytest.approx(ends[1]), None)


def test_the_epoch_under_way_is_drawn_from_its_steps_the_others_lie_behind():
    rows = rows_of(metrics(2), charts.LOSS, steps=STEPS)
    first = rows_of(metrics(0), charts.LOSS, steps=STEPS[:1])

    training = part(rows, "line").query("curve == 'training'")
    assert training["epoch"].tolist() == [1, 2, 2.5]
    assert training["value"].tolist() == [2, 1, 0.9]
    assert len(part(rows, "faint")) == 5
    assert part(first, "line")[["epoch", "value"]].values.tolist() == [[0.5, 3.0]]


def test_a_logarithmic_scale_leaves_out_what_it_has_no_place_for():
    table = metrics().assign(loss=[2.0, 0.0, 1.0])
    spec = charts.line_spec(charts.LOSS, Look(log=True))

    rows = rows_of(table, charts.LOSS, look=Look(log=True))

    assert part(rows, "line")["value"].min() > 0
    assert '"type": "log"' in json.dumps(spec)
    assert '"type": "log"' not in json.dumps(
        charts.line_spec(charts.MIOU, Look(log=True))
    )


def test_points_without_a_number_are_left_out():
    kind = OF_CLASSES[0]
    text = charts.class_chart_text(kind, charts.class_names(metrics()))

    rows = rows_of(metrics(), text)

    assert (text.title, kind.key) == ("IoU of each class", "iou")
    assert [name for _, name in text.curves] == ["Water", "Tundra"]
    assert set(rows["curve"]) == {"Water"}
    assert part(rows, "best").empty


def test_runs_are_compared_by_the_scores_of_their_classes_that_they_have() -> None:
    old, new = metrics(), metrics().assign(recall_Water=0.5)

    assert list(_curves([old]))[len(METRICS) :] == ["iou_Water", "iou_Tundra"]
    assert _curves([old, new])["recall_Water"] == "Recall of Water"


def test_the_pixel_classifier_rules_the_chart_of_the_miou_and_no_other() -> None:
    ruled = rows_of(metrics(), charts.MIOU, best_epoch=2, pixel_score=0.5645)
    plain = rows_of(metrics(), charts.LOSS, best_epoch=2, pixel_score=0.5645)

    line = part(ruled, "rule")
    assert line[["value", "label"]].values.tolist() == [
        [0.5645, "Pixel classifier 0.56"]
    ]
    assert part(plain, "rule").empty


def test_the_line_is_there_before_the_first_epoch() -> None:
    rows = rows_of(metrics(0), charts.MIOU, pixel_score=0.5)

    assert rows["label"].tolist() == ["Pixel classifier 0.50"]
    assert describe(rows, charts.MIOU, live=False) == (
        "Validation mIoU: no values yet. Pixel classifier 0.50."
    )


def test_a_chart_is_described_with_its_last_epoch_and_its_line() -> None:
    rows = rows_of(metrics(), charts.MIOU, best_epoch=2, pixel_score=0.25)

    assert describe(rows, charts.MIOU, live=False) == (
        "Validation mIoU against epochs. At 3: validation 0.300. Pixel classifier 0.25."
    )


def test_a_live_chart_keeps_its_words_so_that_a_zoom_is_kept() -> None:
    one, many = (rows_of(metrics(n), charts.MIOU) for n in (1, 9))

    words = describe(one, charts.MIOU, live=True)
    assert words == describe(many, charts.MIOU, live=True)
    assert words.startswith("Validation mIoU against epochs")


def test_a_run_without_epochs_gives_no_rows():
    rows = rows_of(metrics(0), charts.MIOU)

    assert rows.empty
    assert {"epoch", "value", "curve", "part", "label"} == set(rows.columns)


def test_long_trainings_are_thinned_and_keep_their_last_epoch():
    rows = rows_of(metrics(4999), charts.MIOU)

    assert len(part(rows, "line")) <= charts.MAX_POINTS + 1
    assert len(part(rows, "told")) <= charts.MAX_HOVERED
    assert (
        part(rows, "line")["epoch"].max() == part(rows, "told")["epoch"].max() == 4999
    )


def test_a_description_stays_the_same_while_epochs_are_added():
    one = rows_of(metrics(1), charts.LOSS, best_epoch=1)
    many = rows_of(metrics(9), charts.LOSS, best_epoch=7)

    first = charts.filled(charts.line_spec(charts.LOSS, Look()), one)
    later = charts.filled(charts.line_spec(charts.LOSS, Look()), many)

    assert first.pop("datasets")["rows"] is one
    assert later.pop("datasets")["rows"] is many
    assert first == later


def test_no_layer_of_a_chart_has_data_of_its_own():
    colors = (("Water", "#118dd7"),)
    text = charts.class_chart_text(OF_CLASSES[0], ("Water",))
    specs = [
        charts.line_spec(charts.LOSS, Look()),
        charts.line_spec(text, Look(), colors, classes=True),
    ]

    for spec in specs:
        assert len(spec["layer"]) >= 2
        assert all("data" not in part for part in (spec, *spec["layer"]))


def test_shares_are_drawn_from_0_to_1_and_losses_are_not():
    def y_scale(text):
        layers = charts.line_spec(text, Look())["layer"]
        lines = [layer for layer in layers if layer["mark"]["type"] == "line"]
        return lines[0]["encoding"]["y"]["scale"]

    assert y_scale(charts.MIOU) == {"domain": [0, 1]}
    assert "domain" not in y_scale(charts.LOSS)


def test_a_class_is_drawn_in_its_own_colour_and_a_named_colour_in_itself():
    colors = curve_colors(("Water", "#A0B0C0", "Lava"), {"Water": (17, 141, 215)})

    assert colors[0] == ("Water", "#118dd7")
    assert colors[1] == ("#A0B0C0", "#a0b0c0")
    assert colors[2][0] == "Lava"
    assert len(colors[2][1]) == 7


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TERRAINLIB_HOME", str(tmp_path))
    return tmp_path


def test_runs_are_compared_by_their_scores_and_by_the_settings_that_differ(home: Path):
    craft_run(home, epochs=2, batch_size=4)
    craft_run(home, epochs=0, preset="notebook", days_ago=1)
    runs = list_runs()

    frame = comparison_frame(labels(runs))

    assert list(frame.columns[: 1 + len(SCORES)]) == ["Run", *SCORES]
    assert frame["Run"].nunique() == 2  # though both are called the same
    assert frame["Preset"].tolist() == ["fast", "notebook"]
    assert frame["Batch size"].tolist() == ["4", "32"]
    assert not {"Seed", "Data", "Budget in epochs"} & set(frame.columns)
    best = runs[0].metrics.set_index("epoch").loc[runs[0].status.best_epoch]
    assert frame["Accuracy"][0] == best["val_accuracy"]
    assert frame[["Best mIoU", "Accuracy"]].isna().values.tolist()[1] == [True, True]


def test_a_new_run_changes_no_colour_of_another(home: Path):
    for day in (3, 2, 1):
        craft_run(home, epochs=0, days_ago=day)
    before = run_colors(list_runs())
    craft_run(home, epochs=0)

    after = run_colors(list_runs())

    assert len(set(before.values())) == 3
    assert before.items() < after.items()
