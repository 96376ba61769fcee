"""Work that waits for its turn: in order, alone, and never twice."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.overlaps import known_overlaps
from terrainlib.errors import StoppedError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs import slot
from terrainlib.runs.folder import (
    create_job,
    create_run,
    list_searches,
    log_tail,
    read_job,
    read_run,
    read_search,
)
from terrainlib.runs.jobs.config import JobConfig, input_images
from terrainlib.runs.launcher import start_search, stop
from terrainlib.runs.process import utc_now, write_process
from terrainlib.runs.slot import JOB_SLOT, RUN_SLOT, SEARCH_SLOT
from terrainlib.runs.status import (
    SEARCH,
    JobStatus,
    RunStatus,
    read_status,
    write_status,
)
from terrainlib.runs.training.config import RunConfig
from tests import crafted_runs
from tests.crafted_runs import kill_workers, worker_pid
from tests.overlapping import write_overlapping_dataset

PATIENCE_S = 120  # a worker imports for a second or two, more on a busy machine
wait_for = partial(crafted_runs.wait_for, patience_s=PATIENCE_S)


@pytest.fixture(autouse=True)
def no_worker_left() -> Iterator[None]:
    """End the searches that a test leaves behind."""
    yield
    kill_workers(list_searches(), patience_s=PATIENCE_S)


def state(path: Path) -> str:
    return read_search(path).state


def patches(folder: Path, seed: int = 3) -> Dataset:
    return open_dataset(write_overlapping_dataset(folder, seed=seed))


def test_searches_wait_for_their_turn_and_go_on_whatever_befalls_those_before(
    tmp_path: Path,
) -> None:
    sets = [patches(tmp_path / name) for name in ("one", "two", "three")]
    with SEARCH_SLOT.held(tmp_path / "another"):
        killed, stopped, last = (start_search(dataset) for dataset in sets)
        waiting = [search.path for search in SEARCH_SLOT.waiting()]
        assert waiting == [killed, stopped, last]
        assert os.getsid(worker_pid(last)) == worker_pid(last) != os.getsid(0)
        pids = [worker_pid(path) for path in waiting]
        assert [start_search(dataset) for dataset in sets] == waiting  # no second one
        assert [worker_pid(path) for path in waiting] == pids
        stop(stopped)
        wait_for(stopped, lambda: state(stopped) == "stopped")
        os.kill(worker_pid(killed), signal.SIGKILL)
        wait_for(killed, lambda: state(killed) == "crashed")
        assert state(last) == "waiting"
    wait_for(last, lambda: not read_search(last).active)
    assert state(last) == "finished", log_tail(last)
    found = known_overlaps(sets[2])
    assert found is not None
    assert len(found.pairs) == 3
    assert known_overlaps(sets[0]) is known_overlaps(sets[1]) is None


def test_a_search_of_changed_data_ends_in_words_and_can_be_begun_again(
    tmp_path: Path,
) -> None:
    before = patches(tmp_path / "cut")
    with SEARCH_SLOT.held(tmp_path / "another"):
        path = start_search(before)
        after = patches(tmp_path / "cut", seed=5)
    wait_for(path, lambda: not read_search(path).active)
    assert read_search(path).message == "cut: was changed meanwhile. Look again."
    again = start_search(after)
    wait_for(again, lambda: not read_search(again).active)
    assert state(again) == "finished", log_tail(again)
    assert [search.path for search in list_searches()] == [again]


@pytest.fixture
def two_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two predictions that wait; the first one's process is the older one."""
    monkeypatch.setattr(slot, "_TURN_SECONDS", 0.01)
    config = JobConfig("default", input_images([tmp_path / "one.png"]))
    jobs = [create_job(config) for _ in range(2)]
    own = psutil.Process()
    processes = [own.parents()[-1], own]
    for path, process in zip(jobs, processes, strict=True):
        write_process(path, process.pid)
        write_status(path, replace(read_status(path, JOB_SLOT.work), state="waiting"))
    return jobs


def test_a_free_slot_is_left_to_the_one_that_waits_longest(two_jobs: list[Path]):
    first, second = two_jobs
    with (
        pytest.raises(StoppedError),
        JOB_SLOT.working(read_job(second), wait=True, should_stop=lambda: True),
    ):
        pass
    assert read_job(second).state == "stopped"
    assert JOB_SLOT.is_free()

    write_status(second, replace(read_job(second).status, state="waiting"))
    write_status(first, JobStatus("failed"))
    with JOB_SLOT.working(read_job(second), wait=True):
        assert not JOB_SLOT.is_free()


def test_a_training_whose_folder_lies_elsewhere_waits_in_the_same_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "_TURN_SECONDS", 0.01)
    training = TrainingConfig.preset("fast", epochs=9)
    busy = create_run(RunConfig("Alps", "data", training))
    write_process(busy)
    now = utc_now()
    write_status(busy, RunStatus("running", 2, 9, heartbeat=now, progressed=now))
    away = create_run(RunConfig("away", "data", training), path=tmp_path / "away")
    seen: list[tuple[str, list[str]]] = []

    def look(status: RunStatus) -> None:
        seen.append((status.message, [one.name for one in RUN_SLOT.going()]))

    with (
        RUN_SLOT.held(busy),
        pytest.raises(StoppedError),
        RUN_SLOT.working(
            read_run(away), wait=True, should_stop=lambda: bool(seen), watcher=look
        ),
    ):
        pass
    assert seen[0] == (
        "Next in the queue, after Alps (epoch 3 of 9).",
        ["Alps", "away"],
    )
    assert read_run(away).state == "stopped"
    assert [one.name for one in RUN_SLOT.going()] == ["Alps"]
    assert not list(RUN_SLOT.work.home().glob(".*.tmp"))


def test_a_search_whose_folder_is_damaged_is_replaced(tmp_path: Path) -> None:
    dataset = patches(tmp_path / "cut")
    with SEARCH_SLOT.held(tmp_path / "another"):
        path = start_search(dataset)
        stop(path)
        wait_for(path, lambda: state(path) == "stopped")
        (path / SEARCH.config_file).write_text("{")
        start_search(dataset)
        assert state(path) == "waiting"
