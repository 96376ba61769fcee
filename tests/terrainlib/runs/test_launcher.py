"""Starting, stopping and continuing; the worker is a process that only sleeps."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from terrainlib import files
from terrainlib.errors import DatasetError, RunError, TerrainError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs import launcher
from terrainlib.runs.folder import Run, create_run, list_runs, read_run
from terrainlib.runs.process import find_process, read_process
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.status import RUN, RunStatus, read_status, write_status
from terrainlib.runs.training.config import RunConfig
from tests.crafted_runs import exit_code, worker_pid
from tests.synthetic import write_folders_dataset


@pytest.fixture(autouse=True)
def sleeping_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let workers sleep, and end those that a test leaves behind."""
    monkeypatch.setattr(launcher, "worker_command", lambda *_: ["sleep", "60"])
    yield
    for run in list_runs():
        if process := find_process(read_process(run.path)):
            process.kill()
            wait_for(lambda run=run: find_process(read_process(run.path)) is None)


@pytest.fixture
def config(tiny_dataset: Path) -> RunConfig:
    return make_config(tiny_dataset)


def make_config(data: Path, name: str = "First", **network: object) -> RunConfig:
    options = {"image_size": 32, "filters": (4, 8), "classes": 7, **network}
    training = TrainingConfig.preset("fast", network=options, epochs=5)
    return RunConfig(name, str(data), training)


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def run_now(path: Path) -> Run:
    return read_run(path)


def test_a_start_makes_a_process_in_a_session_of_its_own(config: RunConfig) -> None:
    path = launcher.start_run(config)
    process = find_process(read_process(path))
    assert process is not None
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert run_now(path).state == "starting"
    found = RUN_SLOT.active()
    assert found is not None
    assert found.path == path


def test_a_second_start_is_refused_with_the_name_of_the_first(
    config: RunConfig,
) -> None:
    path = launcher.start_run(config)
    write_status(path, replace(read_status(path), state="running", epoch=2))
    sentence = r"^A training is already running: First, epoch 3 of 5\. Wait or stop it"
    with pytest.raises(RunError, match=sentence):
        launcher.start_run(config)
    assert len(list_runs()) == 1


def test_of_many_sessions_that_press_start_at_once_one_starts(
    config: RunConfig,
) -> None:
    barrier = threading.Barrier(6)
    outcomes: list[Path | TerrainError] = []

    def press() -> None:
        barrier.wait()
        try:
            outcomes.append(launcher.start_run(config))
        except RunError as error:
            outcomes.append(error)

    sessions = [threading.Thread(target=press) for _ in range(6)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert sum(isinstance(outcome, Path) for outcome in outcomes) == 1
    assert len(list_runs()) == 1
    refused = [str(o) for o in outcomes if isinstance(o, RunError)]
    assert len(refused) == 5
    assert all(text.startswith("A training is already running") for text in refused)


def test_a_start_is_refused_while_anybody_holds_the_slot(
    config: RunConfig, tmp_path: Path
) -> None:
    elsewhere = create_run(config, path=tmp_path / "elsewhere")
    with (
        RUN_SLOT.held(elsewhere),
        pytest.raises(RunError, match="already running: First, epoch 1 of 5"),
    ):
        launcher.start_run(config)
    write_status(elsewhere, RunStatus("finished", 5, 5))
    RUN_SLOT.require_free()


def test_a_holder_whose_run_cannot_be_read_still_keeps_others_out(
    config: RunConfig, tmp_path: Path
) -> None:
    with (
        RUN_SLOT.held(tmp_path / "gone"),
        pytest.raises(RunError, match=r"^A training is already running\. Wait"),
    ):
        launcher.start_run(config)


@pytest.mark.parametrize("pairs", [1, 3])
def test_too_few_pairs_are_refused_before_anything_is_made(
    tmp_path: Path, pairs: int
) -> None:
    data = write_folders_dataset(tmp_path / "few", pairs=pairs)
    with pytest.raises(DatasetError, match=rf"few: {pairs} usable pairs?; .* least 4"):
        launcher.start_run(make_config(data))
    assert list_runs() == []


def test_a_training_with_height_is_refused_where_heights_are_missing(
    tmp_path: Path,
) -> None:
    data = write_folders_dataset(tmp_path / "flat", heights=False)
    with pytest.raises(DatasetError, match="flat: 6 of 6 pairs have no height"):
        launcher.start_run(make_config(data, height=True))
    assert list_runs() == []


def test_a_network_for_other_classes_is_refused(tiny_dataset: Path) -> None:
    with pytest.raises(TerrainError, match="3 classes and the data set 7"):
        launcher.start_run(make_config(tiny_dataset, classes=3))


def test_missing_data_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        launcher.start_run(make_config(tmp_path / "nowhere"))
    assert list_runs() == []


def test_stop_leaves_a_request_that_every_reader_sees(config: RunConfig) -> None:
    path = launcher.start_run(config)
    launcher.stop(path)
    assert (path / "stop").exists()
    assert run_now(path).state == "stopping"


def test_force_stop_ends_the_process_and_says_so(config: RunConfig) -> None:
    path = launcher.start_run(config)
    launcher.force_stop(path)
    run = run_now(path)
    assert find_process(read_process(path)) is None
    assert run.state == "stopped"
    assert run.message == "Ended by force. Resume continues from the last checkpoint."
    assert RUN_SLOT.active() is None


def test_a_worker_killed_by_the_system_is_reaped_and_explained(
    config: RunConfig,
) -> None:
    path = launcher.start_run(config)
    pid = worker_pid(path)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: exit_code(path) is not None)
    assert not psutil.pid_exists(pid)
    run = run_now(path)
    assert run.state == "crashed"
    assert run.message.startswith("stopped by the system, probably out of memory")
    launcher.start_run(make_config(Path(config.data), "Second"))  # the way is free


def test_a_stopped_run_is_continued_by_a_new_process(config: RunConfig) -> None:
    path = launcher.start_run(config)
    launcher.stop(path)
    launcher.force_stop(path)
    first = worker_pid(path)
    assert launcher.resume(path) == path
    assert not (path / "stop").exists()
    second = worker_pid(path)
    assert second != first
    assert run_now(path).state == "starting"
    assert run_now(path).message == ""


def test_what_runs_or_has_finished_is_not_continued(config: RunConfig) -> None:
    path = launcher.start_run(config)
    with pytest.raises(RunError, match=r"is still running \(epoch 1 of 5\)"):
        launcher.resume(path)
    launcher.force_stop(path)
    write_status(path, RunStatus("finished", 5, 5))
    with pytest.raises(RunError, match=r"has finished \(epoch 5 of 5\); there is not"):
        launcher.resume(path)


def test_no_run_is_continued_beside_another(config: RunConfig) -> None:
    old = launcher.start_run(config)
    launcher.force_stop(old)
    launcher.start_run(make_config(Path(config.data), "Second"))
    with pytest.raises(RunError, match="already running: Second"):
        launcher.resume(old)
    assert read_status(old).state == "stopped"


@pytest.mark.parametrize("action", [launcher.stop, launcher.force_stop])
def test_what_is_not_running_cannot_be_stopped(
    config: RunConfig, action: Callable[[Path], None]
) -> None:
    path = create_run(config)
    write_status(path, RunStatus("failed"))
    with pytest.raises(RunError, match=r"is not running \(it is failed\)"):
        action(path)
    assert not (path / "stop").exists()


def test_a_run_is_deleted_with_everything_in_it(config: RunConfig) -> None:
    path = create_run(config)
    write_status(path, RunStatus("stopped"))
    files.write_bytes(path / "checkpoints" / "best.npz", b"x")
    launcher.delete(path, RUN)
    assert list(path.parent.glob("*first*")) == []


def test_neither_a_running_training_nor_other_folders_are_deleted(
    config: RunConfig, tmp_path: Path
) -> None:
    path = launcher.start_run(config)
    with pytest.raises(RunError, match=r"is still running\. Stop it"):
        launcher.delete(path, RUN)
    outside = create_run(config, path=tmp_path / "outside")
    write_status(outside, RunStatus("stopped"))
    with pytest.raises(RunError, match="lies outside the folder of the runs"):
        launcher.delete(outside, RUN)
    notes = files.runs_dir() / "notes"
    notes.mkdir()
    with pytest.raises(RunError, match="is none of the runs"):
        launcher.delete(notes, RUN)
    with pytest.raises(RunError, match="does not exist"):
        launcher.delete(tmp_path / "gone", RUN)
    assert path.is_dir()
    assert outside.is_dir()
