"""Words for states and progress."""

from pathlib import Path

import pytest

from terrainlib.runs.folder import read_run
from terrainlib.runs.status import ACTIVE, TERMINAL
from terrainlib.ui.training.view import progress_text
from terrainlib.ui.workers import JOB_PAGE, RUN_PAGE, WorkerPage, state_text
from tests.crafted_runs import craft_run


@pytest.mark.parametrize("page", [RUN_PAGE, JOB_PAGE])
def test_every_state_has_words(page: WorkerPage):
    assert set(page.meanings) == ACTIVE | TERMINAL
    assert all(state_text(page, state).meaning for state in ACTIVE | TERMINAL)
    assert state_text(page, "strange").label == "strange"


def test_progress_counts_the_steps_of_the_running_epoch(tmp_path: Path):
    path = craft_run(tmp_path / "data", state="running", epochs=4, planned=8)
    run = read_run(path)

    assert (run.status.share or 0.0) == pytest.approx((4 + 7 / 34) / 8)
    text = progress_text(run, None)
    assert text.startswith("Epoch 5 of 8 · step 7 of 34 · 37 s left, done at about ")


def test_a_run_that_only_begins_is_getting_ready(tmp_path: Path):
    run = read_run(craft_run(tmp_path / "data", state="starting", epochs=0))

    assert (run.status.share or 0.0) == pytest.approx(0, abs=1)
    assert progress_text(run, None) == "Getting ready"
