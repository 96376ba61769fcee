"""What a reader makes of a run whose worker is alive, silent, dead or recycled."""

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from terrainlib import files
from terrainlib.runs import status as module
from terrainlib.runs.process import (
    PROCESS_FILE,
    find_process,
    read_process,
    seconds_since,
    utc_now,
    write_process,
)
from terrainlib.runs.status import (
    ACTIVE,
    JOB,
    RUN,
    TERMINAL,
    JobStatus,
    RunStatus,
    State,
    StoredState,
    crash_message,
    observe,
    read_status,
    write_status,
)


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process that does nothing, as the worker of a run."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def running(**changes: object) -> RunStatus:
    now = utc_now()
    status = RunStatus(state="running", heartbeat=now, progressed=now)
    return replace(status, **changes)  # type: ignore[arg-type]


def state_of(path: Path) -> State:
    return observe(path)[1]


def test_every_state_is_either_active_or_terminal() -> None:
    assert not ACTIVE & TERMINAL
    assert set(State.__args__) == ACTIVE | TERMINAL


def test_a_status_reads_back_as_it_was_written(tmp_path: Path) -> None:
    status = RunStatus(
        "stopping", 3, 9, 2, 8, 12.5, 2, 0.5, heartbeat=utc_now(), message="Hello."
    )
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status


def test_without_a_status_there_is_no_news(tmp_path: Path) -> None:
    assert read_status(tmp_path) == RunStatus()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "dancing"}', "\x00"])
def test_an_unreadable_status_is_no_news_but_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    status = read_status(tmp_path)
    assert replace(status, message="") == RunStatus()
    assert status.message.startswith("status.json is damaged: ")
    assert crash_message(tmp_path, "", said=status.message) == (
        f"{status.message} Resume continues from the last checkpoint."
    )


def test_the_share_counts_whole_epochs_and_the_steps_of_the_running_one() -> None:
    assert RunStatus("running", epoch=2, epochs=4, step=5, steps=10).share == 0.625
    assert RunStatus("running", seconds=30, seconds_left=90).share == 0.25
    assert RunStatus("starting").share is None
    assert RunStatus("finished", epoch=2, epochs=4).share == 1


def test_a_living_worker_with_a_fresh_heartbeat_runs(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    write_status(tmp_path, running())
    write_process(tmp_path, sleeper.pid)
    assert state_of(tmp_path) == "running"


def test_a_stop_file_shows_as_stopping_at_once(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    write_status(tmp_path, running())
    write_process(tmp_path, sleeper.pid)
    (tmp_path / "stop").touch()
    assert state_of(tmp_path) == "stopping"


@pytest.mark.parametrize(
    "silence",
    [
        {"heartbeat": ago(module.SILENCE_SECONDS + 5)},
        {"progressed": ago(RUN.standstill_seconds + 5)},
        {"heartbeat": ""},
        {"heartbeat": ago(-1e6)},
    ],
)
def test_a_living_worker_that_is_silent_or_stands_still_is_stalled(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]", silence: dict[str, str]
) -> None:
    write_status(tmp_path, running(**silence))
    write_process(tmp_path, sleeper.pid)
    assert state_of(tmp_path) == "stalled"


def test_a_prediction_may_stand_still_for_longer(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    write_process(tmp_path, sleeper.pid)
    for work, state in ((RUN, "running"), (JOB, "stalled")):
        progressed = ago(work.standstill_seconds + 5)
        status = JobStatus("running", heartbeat=utc_now(), progressed=progressed)
        write_status(tmp_path, status)
        assert observe(tmp_path, JOB) == (status, state)


def test_a_killed_worker_has_crashed(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"])
    write_status(tmp_path, running())
    write_process(tmp_path, process.pid)
    process.kill()
    process.wait()
    assert state_of(tmp_path) == "crashed"


def test_a_dead_child_that_nobody_waited_for_has_crashed(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"])
    write_status(tmp_path, running())
    write_process(tmp_path, process.pid)
    process.kill()
    deadline = time.monotonic() + 5
    while find_process(read_process(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.02)
    state = state_of(tmp_path)
    process.wait()
    assert state == "crashed"


def test_an_id_that_now_belongs_to_another_process_is_not_the_worker(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    write_status(tmp_path, running())
    write_process(tmp_path, sleeper.pid)
    record = files.read_json(tmp_path / PROCESS_FILE)
    record["since_boot"] -= 100
    files.write_json(tmp_path / PROCESS_FILE, record)
    assert state_of(tmp_path) == "crashed"
    assert sleeper.poll() is None


def test_a_worker_is_known_by_its_start_whatever_the_clock_was_set_to(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    write_status(tmp_path, running())
    write_process(tmp_path, sleeper.pid)
    begun, booted = psutil.Process.create_time, psutil.boot_time

    monkeypatch.setattr(psutil.Process, "create_time", lambda p: begun(p) - 3600)
    monkeypatch.setattr(psutil, "boot_time", lambda: booted() - 3600)

    assert state_of(tmp_path) == "running"


def test_after_a_restart_of_the_machine_an_equal_id_is_another_process(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    write_status(tmp_path, running())
    write_process(tmp_path, sleeper.pid)
    record = files.read_json(tmp_path / PROCESS_FILE)
    files.write_json(tmp_path / PROCESS_FILE, {**record, "boot_id": "another"})
    assert state_of(tmp_path) == "crashed"


def test_a_record_without_the_machine_s_start_goes_by_the_clock(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    write_status(tmp_path, running())
    write_process(tmp_path, sleeper.pid)
    record = files.read_json(tmp_path / PROCESS_FILE)
    old = {name: record[name] for name in ("pid", "create_time", "host")}
    files.write_json(tmp_path / PROCESS_FILE, old)
    assert state_of(tmp_path) == "running"
    files.write_json(tmp_path / PROCESS_FILE, old | {"create_time": 1.0})
    assert state_of(tmp_path) == "crashed"


@pytest.mark.parametrize("end", ["stopped", "finished", "failed"])
def test_an_end_that_was_written_stands_whatever_became_of_the_process(
    tmp_path: Path, end: StoredState
) -> None:
    write_status(tmp_path, running(state=end, heartbeat=ago(1e6)))
    files.write_json(tmp_path / PROCESS_FILE, {"pid": 1, "create_time": 0})
    assert state_of(tmp_path) == end


def test_a_run_whose_worker_never_came_has_crashed_after_a_minute(
    tmp_path: Path,
) -> None:
    fresh = running(state="starting")
    write_status(tmp_path, fresh)
    assert state_of(tmp_path) == "starting"
    write_status(tmp_path, replace(fresh, heartbeat=ago(module.LAUNCH_SECONDS + 1)))
    assert state_of(tmp_path) == "crashed"


def test_a_worker_on_another_machine_is_judged_by_its_heartbeat(tmp_path: Path) -> None:
    record = {"pid": 1, "create_time": 0.0, "host": socket.gethostname() + "-other"}
    files.write_json(tmp_path / PROCESS_FILE, record)
    write_status(tmp_path, running())
    assert state_of(tmp_path) == "running"
    write_status(tmp_path, running(heartbeat=ago(module.SILENCE_SECONDS + 5)))
    assert state_of(tmp_path) == "crashed"


@pytest.mark.parametrize(
    "record",
    [None, {}, {"pid": "x", "create_time": 0}, {"pid": 2**40, "create_time": 0}],
)
def test_a_damaged_process_record_finds_no_process(
    tmp_path: Path, record: dict[str, object]
) -> None:
    files.write_json(tmp_path / PROCESS_FILE, record)
    assert find_process(read_process(tmp_path)) is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "stopped by the system, probably out of memory"),
        (137, "stopped by the system, probably out of memory"),
        (-11, "ended unexpectedly (exit status -11)"),
        (None, "the training process is gone"),
    ],
)
def test_a_crash_is_explained_with_the_last_line_of_the_log(
    tmp_path: Path, code: int | None, words: str
) -> None:
    record = {"pid": 1} if code is None else {"pid": 1, "exit_code": code}
    files.write_json(tmp_path / PROCESS_FILE, record)
    message = crash_message(tmp_path, "epoch 3: loss 0.5")
    assert words in message
    assert message.endswith("Last line of the log: epoch 3: loss 0.5")
    assert "Last line" not in crash_message(tmp_path, "")


def test_a_time_that_cannot_be_read_is_infinitely_long_ago() -> None:
    assert seconds_since("") == float("inf")
    assert seconds_since("2026-01-01T00:00:00") == float("inf")  # no zone
    assert 0 <= seconds_since(utc_now()) < 5
