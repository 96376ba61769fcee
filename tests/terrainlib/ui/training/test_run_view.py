"""A run beside the pixel classifier, in its view and in the table of all runs."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import create_run, read_run
from terrainlib.runs.process import utc_now, write_process
from terrainlib.runs.status import RunStatus, Stage, write_status
from terrainlib.runs.training.budget import minutes_given
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.pixelscore import PixelScore, keep
from terrainlib.ui.training.table import runs_frame
from tests.conftest import PAGE_TIMEOUT_S
from tests.crafted_runs import craft_run

PIXEL_SCORE = PixelScore(
    {"miou": 0.25, "pixel_accuracy": 0.7, "images": 4, "seconds": 1.0, "split": "0"}
)


def _script(path: str) -> None:
    from pathlib import Path

    from terrainlib.runs.folder import read_run
    from terrainlib.ui.training.view import show_run

    show_run(read_run(Path(path)))


def show(path: Path) -> AppTest:
    page = AppTest.from_function(
        _script, default_timeout=PAGE_TIMEOUT_S, kwargs={"path": str(path)}
    ).run()
    assert not page.exception
    return page


def chart_texts(page: AppTest) -> str:
    return "\n".join(chart.proto.alt for chart in page.get("vega_lite_chart"))


def test_without_its_score_the_pixel_classifier_is_not_mentioned(tmp_path: Path):
    page = show(craft_run(tmp_path / "coast"))

    assert "Pixel classifier" not in {item.label for item in page.metric}
    assert "Pixel classifier" not in chart_texts(page)


def test_its_score_and_the_lead_stand_beside_the_best_miou(tmp_path: Path):
    path = craft_run(tmp_path / "coast")
    keep(path, PIXEL_SCORE)
    best = read_run(path).status.best_miou
    assert best is not None

    page = show(path)

    shown = {item.label: item for item in page.metric}
    assert shown["Pixel classifier"].value == "0.250"
    lead = f"Against the pixel classifier, in mIoU: **ahead by {best - 0.25:.3f}**."
    assert lead in [item.value for item in page.markdown]
    assert chart_texts(page).count("Pixel classifier 0.25.") == 1


def test_the_table_of_runs_has_the_lead_where_it_is_known(tmp_path: Path):
    runs = [craft_run(tmp_path / "coast", name=name) for name in ("one", "two")]
    keep(runs[0], PIXEL_SCORE)
    known, unknown = (read_run(path) for path in runs)

    ahead = runs_frame([known, unknown], None)["Ahead"]

    assert ahead[0] == pytest.approx((known.status.best_miou or 0) - 0.25)
    assert np.isnan(ahead[1])


def begun(data: Path, status: RunStatus, **budget: float) -> Path:
    """Make the folder of a training that goes on, with a status of one's choice."""
    training = TrainingConfig.preset("fast", **budget)
    path = create_run(RunConfig("coast", str(data), training))
    write_process(path, os.getpid())
    now = utc_now()
    write_status(path, replace(status, heartbeat=now, progressed=now))
    return path


def test_the_steps_before_the_first_curve_are_told_one_by_one(tmp_path: Path):
    now = utc_now()
    stages = (Stage("files", now, 3.2), Stage("pairs", now, None, 0.5))
    page = show(begun(tmp_path, RunStatus("starting", stages=stages), epochs=3))

    (text,) = [one.value for one in page.markdown if "Looking at files" in one.value]
    done, doing, *later = text.splitlines()
    assert "check_circle" in done
    assert "3 s" in done
    assert "**Reading pairs** · 50% · about " in doing
    words = ["pixel classifier", "TensorFlow", "First epoch"]
    assert [w in line for w, line in zip(words, later, strict=True)] == [True] * 3
    assert "shared ground" not in text  # it was known, and left out


def test_a_busy_machine_is_told_and_more_minutes_are_one_click(tmp_path: Path):
    status = RunStatus("running", 1, 9, 2, 8, free_share=0.3)
    path = begun(tmp_path, status, minutes=2.0)
    page = show(path)

    assert "about 9 epochs" in page.warning[0].value
    page.button(key="training_more_minutes").click().run()

    assert minutes_given(path) == 7
    assert not page.warning
    assert any("It now has 7 min" in caption.value for caption in page.caption)
