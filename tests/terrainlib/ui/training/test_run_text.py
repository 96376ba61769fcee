"""Words for states and times."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from terrainlib.runs.folder import read_run
from terrainlib.runs.status import ACTIVE, TERMINAL
from terrainlib.ui.training.run_text import (
    STATES,
    date_text,
    finish_time,
    parse_time,
    state_text,
)
from terrainlib.ui.training.run_view import progress_share, progress_text
from tests.crafted_runs import craft_run

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def test_every_state_has_words():
    assert set(STATES) == ACTIVE | TERMINAL
    assert state_text("strange").label == "strange"


@pytest.mark.parametrize(
    ("seconds", "timezone", "expected"),
    [
        (60, "Europe/Berlin", "14:01"),
        (60, None, "12:01 UTC"),
        (60, "No/Where", "12:01 UTC"),
        (60, "../../etc/passwd", "12:01 UTC"),
        (86_400, "Europe/Berlin", "02 May, 14:00"),
        (-5, None, "12:00 UTC"),
    ],
)
def test_the_end_is_named_in_the_time_of_the_viewer(seconds, timezone, expected):
    assert finish_time(seconds, timezone, now=NOON) == expected


def test_dates_are_named_in_the_time_of_the_viewer():
    assert date_text(NOON, "Asia/Tokyo") == "2026-05-01 21:00"
    assert date_text(NOON, None) == "2026-05-01 12:00 UTC"


def test_unreadable_times_are_none():
    assert parse_time("yesterday") is None
    assert parse_time(None) is None
    assert parse_time("2026-05-01T12:00:00") == NOON


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
