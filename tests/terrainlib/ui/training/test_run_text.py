"""Words for states and progress."""

from pathlib import Path

import pytest

from terrainlib.runs.folder import read_run
from terrainlib.runs.status import ACTIVE, TERMINAL
from terrainlib.ui.training.view import (
    STATES,
    progress_share,
    progress_text,
    state_text,
)
from tests.crafted_runs import craft_run


def test_every_state_has_words():
    assert set(STATES) == ACTIVE | TERMINAL
    assert state_text("strange").label == "strange"


def test_progress_counts_the_steps_of_the_running_epoch(tmp_path: Path):
    path = craft_run(tmp_path / "data", state="running", epochs=4, planned=8)
    run = read_run(path)

    assert progress_share(run) == pytest.approx((4 + 7 / 34) / 8)
    text = progress_text(run, None).replace("\\", "")
    assert text.startswith("Epoch 5 of 8 · step 7 of 34 · 37 s left, done at about ")


def test_a_run_that_only_begins_is_getting_ready(tmp_path: Path):
    run = read_run(craft_run(tmp_path / "data", state="starting", epochs=0))

    assert progress_share(run) == pytest.approx(0, abs=1)
    assert progress_text(run, None) == "Getting ready"
