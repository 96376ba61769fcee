"""Starting, stopping, continuing and deleting; the worker is a process that sleeps."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from terrainlib import files
from terrainlib.errors import DatasetError, InputError, RunError, TerrainError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs import launcher
from terrainlib.runs.folder import (
    create_job,
    create_run,
    list_jobs,
    list_runs,
    read_job,
    read_run,
)
from terrainlib.runs.jobs.config import JobConfig, input_images
from terrainlib.runs.process import find_process, read_process
from terrainlib.runs.slot import JOB_SLOT, RUN_SLOT, Slot
from terrainlib.runs.status import RunStatus, read_status, write_status
from terrainlib.runs.training.config import RunConfig
from tests.crafted_runs import exit_code, worker_pid
from tests.imagefiles import encode, pattern, write
from tests.synthetic import write_folders_dataset


@pytest.fixture(autouse=True)
def sleeping_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let workers sleep, and end those that a test leaves behind."""
    monkeypatch.setattr(launcher, "worker_command", lambda *_: ["sleep", "60"])
    yield
    for one in (*list_runs(), *list_jobs()):
        if process := find_process(read_process(one.path)):
            process.kill()
            wait_for(lambda one=one: find_process(read_process(one.path)) is None)


def make_config(data: Path, name: str = "First", **network: object) -> RunConfig:
    options = {"image_size": 32, "filters": (4, 8), "classes": 7, **network}
    training = TrainingConfig.preset("fast", network=options, epochs=5)
    return RunConfig(name, str(data), training)


def job_config(*images: Path, model: str = "default", folder: str = "") -> JobConfig:
    return JobConfig(model, input_images(images), folder=folder)


def picture(folder: Path, name: str) -> Path:
    return write(folder, name, encode(pattern(40, 56)))


@pytest.fixture
def run_config(tiny_dataset: Path) -> RunConfig:
    return make_config(tiny_dataset)


@dataclass(frozen=True)
class Kind:
    """What the tests of both kinds of work need of one of them."""

    slot: Slot[Any]
    create: Callable[[Any], Path]
    launch: Callable[..., Path]
    config: Any
    place: str

    def start(self, **options: bool) -> Path:
        return self.launch(self.config, **options)


@pytest.fixture(params=["training", "prediction"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, run_config: RunConfig) -> Kind:
    if request.param == "training":
        return Kind(
            RUN_SLOT, create_run, launcher.start_run, run_config, "First, epoch 1 of 5"
        )
    config = job_config(picture(tmp_path, "one.png"))
    place = "one.png, image 1 of 1"
    return Kind(JOB_SLOT, create_job, launcher.start_job, config, place)


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_start_makes_a_process_in_a_session_of_its_own(kind: Kind) -> None:
    path = kind.start()
    process = find_process(read_process(path))
    assert process is not None
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert path.parent == kind.slot.work.home()
    assert kind.slot.read(path).state == "starting"
    assert kind.slot.active().path == path


def test_one_that_may_wait_is_put_into_the_queue(kind: Kind) -> None:
    first = kind.start(wait=True)
    second, third = kind.start(wait=True), kind.start(wait=True)
    assert [kind.slot.read(path).state for path in (first, second, third)] == [
        "starting",
        "waiting",
        "waiting",
    ]
    assert [one.path for one in kind.slot.waiting()] == [second, third]
    assert kind.slot.active().path == first
    assert kind.slot.read(second).place_text == "waiting for its turn"
    launcher.force_stop(first)
    with pytest.raises(RunError, match="already running"):
        kind.start()  # the next in the queue has the way
    launcher.stop(second)
    assert kind.slot.read(second).state == "stopping"


def test_a_prediction_may_go_on_beside_a_training(
    run_config: RunConfig, tmp_path: Path
) -> None:
    run = launcher.start_run(run_config)
    job = launcher.start_job(job_config(picture(tmp_path, "one.png")))
    assert (read_run(run).active, read_job(job).active) == (True, True)


def test_of_many_sessions_that_press_start_at_once_one_starts(kind: Kind) -> None:
    barrier = threading.Barrier(6)
    outcomes: list[Path | TerrainError] = []

    def press() -> None:
        barrier.wait()
        try:
            outcomes.append(kind.start())
        except RunError as error:
            outcomes.append(error)

    sessions = [threading.Thread(target=press) for _ in range(6)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert len(kind.slot.list()) == 1
    refused = [str(o) for o in outcomes if isinstance(o, RunError)]
    sentence = (
        f"A {kind.slot.work.name} is already running: {kind.place}. Wait or stop it."
    )
    assert refused == [sentence] * 5


def test_a_holder_that_cannot_be_read_still_keeps_others_out(
    kind: Kind, tmp_path: Path
) -> None:
    with (
        kind.slot.held(tmp_path / "gone"),
        pytest.raises(RunError, match=r"^A \w+ is already running\. Wait"),
    ):
        kind.start()
    assert kind.slot.list() == []


def test_stop_leaves_a_request_that_every_reader_sees(kind: Kind) -> None:
    path = kind.start()
    write_status(path, replace(read_status(path, kind.slot.work), state="running"))
    launcher.stop(path)
    assert (path / "stop").exists()
    assert kind.slot.read(path).state == "stopping"


def test_force_stop_ends_the_process_and_says_so(kind: Kind) -> None:
    path = kind.start()
    launcher.force_stop(path)
    ended = kind.slot.read(path)
    assert find_process(read_process(path)) is None
    assert ended.state == "stopped"
    assert ended.message == kind.slot.work.forced
    assert ended.status.seconds_left is None
    assert kind.slot.active() is None


def test_a_worker_killed_by_the_system_is_reaped_and_explained(kind: Kind) -> None:
    path = kind.start()
    pid = worker_pid(path)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: exit_code(path) is not None)
    assert not psutil.pid_exists(pid)
    killed = kind.slot.read(path)
    assert killed.state == "crashed"
    after = kind.slot.work.after_kill
    assert killed.message == (f"stopped by the system, probably out of memory: {after}")
    kind.start()  # the way is free


@pytest.mark.parametrize("action", [launcher.stop, launcher.force_stop])
def test_what_is_not_running_cannot_be_stopped(
    kind: Kind, action: Callable[[Path], None]
) -> None:
    path = kind.create(kind.config)
    write_status(path, kind.slot.work.status("failed"))
    with pytest.raises(RunError, match=r"is not running \(it is failed\)"):
        action(path)
    assert not (path / "stop").exists()


def test_a_folder_is_deleted_with_everything_in_it(kind: Kind) -> None:
    path = kind.create(kind.config)
    write_status(path, kind.slot.work.status("stopped"))
    files.write_bytes(path / "checkpoints" / "best.npz", b"x")
    launcher.delete(path, kind.slot.work)
    assert list(path.parent.iterdir()) == []


def test_neither_what_is_running_nor_other_folders_are_deleted(
    kind: Kind, tmp_path: Path
) -> None:
    work = kind.slot.work
    outside = kind.create(kind.config).rename(tmp_path / "outside")
    write_status(outside, work.status("stopped"))
    path = kind.start()
    with pytest.raises(RunError, match=r"is still running\. Stop it"):
        launcher.delete(path, work)
    with pytest.raises(RunError, match=f"lies outside the folder of the {work.noun}s"):
        launcher.delete(outside, work)
    notes = work.home() / "notes"
    notes.mkdir()
    with pytest.raises(RunError, match=f"is not a {work.noun}"):
        launcher.delete(notes, work)
    with pytest.raises(RunError, match=r"^gone: does not exist"):
        launcher.delete(tmp_path / "gone", work)
    assert path.is_dir()
    assert outside.is_dir()


def test_a_second_start_is_refused_with_the_name_of_the_first(
    run_config: RunConfig,
) -> None:
    path = launcher.start_run(run_config)
    write_status(path, replace(read_status(path), state="running", epoch=2))
    sentence = r"^A training is already running: First, epoch 3 of 5\. Wait or stop it"
    with pytest.raises(RunError, match=sentence):
        launcher.start_run(run_config)
    assert len(list_runs()) == 1


def test_a_training_elsewhere_keeps_others_out_too(
    run_config: RunConfig, tmp_path: Path
) -> None:
    elsewhere = create_run(run_config, path=tmp_path / "elsewhere")
    with (
        RUN_SLOT.held(elsewhere),
        pytest.raises(RunError, match="already running: First, epoch 1 of 5"),
    ):
        launcher.start_run(run_config)
    write_status(elsewhere, RunStatus("finished", 5, 5))
    RUN_SLOT.require_free()


def test_a_single_pair_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    data = write_folders_dataset(tmp_path / "few", pairs=1)
    with pytest.raises(DatasetError, match=r"few: 1 usable pair; .* least 2"):
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


def test_a_stopped_run_is_continued_by_a_new_process(run_config: RunConfig) -> None:
    path = launcher.start_run(run_config)
    launcher.stop(path)
    launcher.force_stop(path)
    first = worker_pid(path)
    assert launcher.resume(path) == path
    assert not (path / "stop").exists()
    second = worker_pid(path)
    assert second != first
    assert read_run(path).state == "starting"
    assert read_run(path).message == ""


def test_what_runs_or_has_finished_is_not_continued(run_config: RunConfig) -> None:
    path = launcher.start_run(run_config)
    with pytest.raises(RunError, match=r"is still running \(epoch 1 of 5\)"):
        launcher.resume(path)
    launcher.force_stop(path)
    write_status(path, RunStatus("finished", 5, 5))
    with pytest.raises(RunError, match=r"has finished \(epoch 5 of 5\); there is not"):
        launcher.resume(path)


def test_no_run_is_continued_beside_another(run_config: RunConfig) -> None:
    old = launcher.start_run(run_config)
    launcher.force_stop(old)
    launcher.start_run(make_config(Path(run_config.data), "Second"))
    with pytest.raises(RunError, match="already running: Second"):
        launcher.resume(old)
    assert read_status(old).state == "stopped"
    launcher.resume(old, wait=True)
    assert read_status(old).state == "waiting"


def test_uploads_are_kept_beside_the_prediction(tmp_path: Path) -> None:
    data = encode(pattern())
    path = launcher.start_job(job_config(Path("sent.png")), {"sent.png": data})
    image = read_job(path).config.images[0]
    assert (image.name, image.stem) == ("sent.png", "sent")
    assert path in Path(image.path).parents
    assert Path(image.path).read_bytes() == data


def test_a_name_that_is_taken_at_the_start_is_refused(tmp_path: Path) -> None:
    images = picture(tmp_path, "one.png"), picture(tmp_path, "two.png")
    (tmp_path / "class_shares.csv").write_text("mine")
    with pytest.raises(InputError, match=r"^class_shares\.csv: exists in .* already"):
        launcher.start_job(job_config(*images, folder=str(tmp_path)))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"^file: is not a folder"):
        launcher.start_job(job_config(*images, folder=str(tmp_path / "file")))
    assert list_jobs() == []


@pytest.mark.parametrize("name", ["missing.keras", "none.png"])
def test_what_is_no_model_is_refused_before_anything_is_made(
    tmp_path: Path, name: str
) -> None:
    image = picture(tmp_path, "none.png")
    with pytest.raises(InputError, match=rf"^{name}: is missing or no model"):
        launcher.start_job(job_config(image, model=str(tmp_path / name)))
    assert list_jobs() == []


def test_a_model_that_needs_heights_is_refused_without(tmp_path: Path) -> None:
    image = picture(tmp_path, "one.png")
    with pytest.raises(InputError, match="this model needs the heights"):
        launcher.start_job(job_config(image, model="default-height"))
