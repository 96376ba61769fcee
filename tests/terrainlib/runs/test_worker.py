"""The real worker, end to end, as a process: it is killed, resumes, stops, ends."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrainlib import files
from terrainlib.mask.products.records import Wanted
from terrainlib.model.config import TrainingConfig
from terrainlib.runs import launcher
from terrainlib.runs.folder import Job, list_jobs, log_tail, read_job, read_run
from terrainlib.runs.jobs.config import JobConfig, input_images
from terrainlib.runs.jobs.delivery import zip_results
from terrainlib.runs.jobs.estimate import estimate_job
from terrainlib.runs.process import find_process, read_process
from terrainlib.runs.slot import JOB_SLOT, RUN_SLOT
from terrainlib.runs.status import JOB
from terrainlib.runs.training.config import RunConfig
from tests.crafted_runs import exit_code, kill_workers, wait_for, worker_pid
from tests.imagefiles import encode, pattern, tiff, write
from tests.models import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def no_worker_left() -> Iterator[None]:
    """End the predictions that a test leaves behind."""
    yield
    kill_workers(list_jobs())


def training(data: Path, epochs: int) -> RunConfig:
    network = {"image_size": 32, "filters": (4, 8), "classes": 7}
    training = TrainingConfig.preset(
        "fast", network=network, epochs=epochs, batch_size=2
    )
    return RunConfig("Worker", str(data), training)


def test_a_worker_survives_kill_by_resume_and_sigterm_by_saving(
    tiny_dataset: Path,
) -> None:
    path = launcher.start_run(training(tiny_dataset, epochs=5000))
    wait_for(path, lambda: read_run(path).status.epoch >= 2)
    assert read_run(path).state == "running"
    assert not RUN_SLOT.is_free()

    os.kill(worker_pid(path), signal.SIGKILL)
    wait_for(path, lambda: exit_code(path) is not None)
    crashed = read_run(path)
    assert crashed.state == "crashed"
    assert "probably out of memory" in crashed.message
    assert RUN_SLOT.is_free()
    trained = int(crashed.metrics["epoch"].max())

    launcher.resume(path)
    wait_for(path, lambda: read_run(path).status.epoch > trained)
    asked = time.monotonic()
    os.kill(worker_pid(path), signal.SIGTERM)
    wait_for(path, lambda: not read_run(path).active)
    assert time.monotonic() - asked < 30
    stopped = read_run(path)
    assert stopped.state == "stopped", stopped.message
    assert stopped.model is not None
    epochs = stopped.metrics["epoch"].tolist()
    assert epochs == list(range(1, stopped.status.epoch + 1))
    assert stopped.status.epoch > trained
    wait_for(path, lambda: find_process(read_process(path)) is None)
    assert exit_code(path) is None
    assert "ends: stopped" in log_tail(path)


def ended(path: Path) -> Job:
    wait_for(path, lambda: not read_job(path).active)
    return read_job(path)


def picture(folder: Path, name: str, height: int = 40, width: int = 56) -> Path:
    return write(folder, name, encode(pattern(height, width)))


def large(folder: Path, name: str = "large.tif") -> Path:
    """Write a raster that a worker is at for a while."""
    pixels = np.tile(pattern(64, 60), (120, 30, 1))
    return write(folder, name, tiff(pixels, tiled=True, compress="deflate"))


def config(model: Path, *images: Path, **options: object) -> JobConfig:
    return JobConfig(str(model), input_images(images), **options)  # type: ignore[arg-type]


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_batch_runs_to_its_end_and_a_bad_file_stops_nobody(
    model: Path, tmp_path: Path
) -> None:
    good = picture(tmp_path, "good.png")
    bad = write(tmp_path, "bad.png", b"no picture at all")
    more = write(tmp_path, "more.tif", tiff(pattern(33, 70)))
    wanted = Wanted(soft=True)
    path = launcher.start_job(config(model, good, bad, more, wanted=wanted))
    first = read_process(path)
    assert first is not None
    assert os.getsid(first.pid) == first.pid != os.getsid(0)
    assert path.parent == files.predictions_dir()
    assert JOB_SLOT.active() is not None
    RUN_SLOT.require_free()  # a training may run beside

    job = ended(path)
    assert job.state == "finished", (job.message, log_tail(path))
    assert job.message == "2 of 3 images predicted. 1 failed: bad.png."
    assert [item.name for item in job.made] == ["good.png", "more.tif"]
    assert list(job.failures) == ["bad.png"]
    assert "bad.png" not in job.failures["bad.png"]
    assert job.status.share == 1.0
    names = ["good_mask.png", "good_soft.png", "more_mask.png", "more_soft.png"]
    assert [file.name for file in job.files] == [*names, "class_shares.csv"]
    assert everything(job.folder) == {*names, "class_shares.csv"}
    table = (job.folder / "class_shares.csv").read_text()
    assert [line.split(",")[0] for line in table.splitlines()] == [
        "image",
        "good.png",
        "more.tif",
        "bad.png",
    ]
    with zipfile.ZipFile(zip_results(path)) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {*names, "class_shares.csv"}
    made = zip_results(path).stat().st_mtime_ns
    assert zip_results(path).stat().st_mtime_ns == made
    wait_for(path, lambda: find_process(first) is None)
    assert JOB_SLOT.is_free()
    assert JOB_SLOT.active() is None
    assert "ends: finished" in log_tail(path)

    again = estimate_job(config(model, good, wanted=wanted))
    assert again.seconds is not None
    assert again.seconds > 0


def test_asked_to_stop_a_worker_keeps_the_rows_that_are_finished(
    model: Path, tmp_path: Path
) -> None:
    images = large(tmp_path), picture(tmp_path, "second.png")
    path = launcher.start_job(config(model, *images))
    wait_for(
        path, lambda: read_job(path).status.share > 0.1
    )  # more than a row of tiles
    launcher.stop(path)
    job = ended(path)

    assert job.state == "stopped", (job.message, log_tail(path))
    (made,) = job.made
    assert made.stopped
    assert 0 < made.rows < made.height
    assert f"the upper {made.rows} of 7680 rows" in job.message
    assert job.message.startswith("0 of 2 images predicted.")
    mask = made.files[0]
    assert mask.parent == job.folder
    assert mask.stat().st_size > 0
    wait_for(path, lambda: not (path / "stop").exists())  # the last it does
    assert 0 < job.status.share < 1


def test_a_killed_worker_has_crashed_and_leaves_nothing_torn(
    model: Path, tmp_path: Path
) -> None:
    target = tmp_path / "mine"
    images = picture(tmp_path, "first.png"), large(tmp_path)
    path = launcher.start_job(config(model, *images, folder=str(target)))
    wait_for(path, lambda: read_job(path).status.image == 2)
    wait_for(path, lambda: read_job(path).status.tile > 0)
    os.kill(worker_pid(path), signal.SIGKILL)
    wait_for(path, lambda: exit_code(path) is not None)

    job = read_job(path)
    assert job.state == "crashed"
    assert "probably out of memory" in job.message
    assert "Last line of the log" in job.message
    assert [item.name for item in job.made] == ["first.png"]
    with Image.open(job.made[0].files[0]) as mask:
        assert mask.size == (56, 40)
    named = {p.name for p in target.iterdir() if not p.name.startswith(".")}
    assert named == {"first_mask.png"}
    assert JOB_SLOT.is_free()

    launcher.delete(path, JOB)
    assert everything(target) == {"first_mask.png"}
    assert list_jobs() == []


def test_a_worker_without_a_run_ends_with_status_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "terrainlib.runs.worker", str(tmp_path / "none")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert not (tmp_path / "none").exists()
