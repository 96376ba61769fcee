"""The worker's status: states at once, facts with the heartbeat; full disks."""

import time
from pathlib import Path

import pytest

from terrainlib.errors import StorageError
from terrainlib.runs import report as module
from terrainlib.runs.process import seconds_since
from terrainlib.runs.report import Report
from terrainlib.runs.status import RunStatus, read_status


@pytest.fixture
def fast_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.02)


def wait_until_written(path: Path, step: int) -> None:
    deadline = time.monotonic() + 5
    while read_status(path).step != step:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_new_state_is_written_at_once(tmp_path: Path) -> None:
    with Report(tmp_path, RunStatus()) as report:
        report.update(step=3)
        assert read_status(tmp_path).step == 0
        report.update(state="running", step=4)
        assert read_status(tmp_path).state == "running"
        assert read_status(tmp_path).step == 4
    assert seconds_since(read_status(tmp_path).progressed) < 5


@pytest.mark.usefixtures("fast_heart")
def test_other_facts_come_with_the_heartbeat(tmp_path: Path) -> None:
    with Report(tmp_path, RunStatus("running")) as report:
        report.update(step=7)
        progressed = report.status.progressed
        wait_until_written(tmp_path, 7)
        beat = read_status(tmp_path).heartbeat
        deadline = time.monotonic() + 5
        while read_status(tmp_path).heartbeat == beat:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert read_status(tmp_path).progressed == progressed


@pytest.mark.usefixtures("fast_heart")
def test_a_heartbeat_that_the_disk_refuses_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_path: Path, _status: RunStatus) -> None:
        raise StorageError("No space left on the disk.")

    with Report(tmp_path, RunStatus("running")) as report:
        with monkeypatch.context() as patch:
            patch.setattr(module, "write_status", refuse)
            report.update(step=5)
            deadline = time.monotonic() + 5
            while "No space left" not in caplog.text:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        wait_until_written(tmp_path, 5)


def test_a_watcher_sees_every_state_and_not_every_step(tmp_path: Path) -> None:
    seen: list[RunStatus] = []
    with Report(tmp_path, RunStatus(), seen.append) as report:
        for step in range(1000):
            report.update(step=step)
        report.update(state="running")
        report.update(state="stopping")
    assert [status.state for status in seen[-2:]] == ["running", "stopping"]
    assert len(seen) < 500


def test_a_counter_says_how_far_it_is(tmp_path: Path) -> None:
    with Report(tmp_path, RunStatus()) as report:
        report.counter("Reading pairs")(3, 8)
        assert report.status.message == "Reading pairs: 3 of 8"
