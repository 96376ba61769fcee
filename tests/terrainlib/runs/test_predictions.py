"""Predictions as processes of their own, end to end, with tiny models and images."""

import json
import os
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrainlib import files
from terrainlib.errors import InputError, RunError, TerrainError
from terrainlib.mask.products.records import Wanted
from terrainlib.runs import launcher
from terrainlib.runs.folder import Job, create_job, list_jobs, log_tail, read_job
from terrainlib.runs.jobs.config import JobConfig, input_images, write_results
from terrainlib.runs.jobs.delivery import zip_results
from terrainlib.runs.jobs.estimate import estimate_job
from terrainlib.runs.launcher import delete, force_stop, start_job, stop
from terrainlib.runs.process import find_process, read_process
from terrainlib.runs.slot import JOB_SLOT, RUN_SLOT
from terrainlib.runs.status import JOB
from tests.crafted_runs import exit_code, worker_pid
from tests.imagefiles import encode, pattern, tiff, write
from tests.models import write_model

PATIENCE_S = 240  # TensorFlow alone takes 7 s, more on a busy machine


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def no_worker_left() -> Iterator[None]:
    """End the workers that a test leaves behind."""
    yield
    for job in list_jobs():
        if process := find_process(read_process(job.path)):
            process.kill()
            wait_for(lambda job=job: find_process(read_process(job.path)) is None)


@pytest.fixture
def sleeping_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "worker_command", lambda *_: ["sleep", "60"])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        shown = [(job, log_tail(job.path)) for job in list_jobs()]
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)


def ended(path: Path) -> Job:
    wait_for(lambda: not read_job(path).active)
    return read_job(path)


def picture(folder: Path, name: str, height: int = 40, width: int = 56) -> Path:
    return write(folder, name, encode(pattern(height, width)))


def large(folder: Path, name: str = "large.tif") -> Path:
    """Write a raster that a worker is at for a while."""
    pixels = np.tile(pattern(64, 60), (200, 50, 1))
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
    path = start_job(config(model, good, bad, more, wanted=wanted))
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
    wait_for(lambda: find_process(first) is None)
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
    path = start_job(config(model, *images))
    wait_for(lambda: read_job(path).status.share > 0.1)  # more than a row of tiles
    stop(path)
    job = ended(path)

    assert job.state == "stopped", (job.message, log_tail(path))
    (made,) = job.made
    assert made.stopped
    assert 0 < made.rows < made.height
    assert f"the upper {made.rows} of 12800 rows" in job.message
    assert job.message.startswith("0 of 2 images predicted.")
    mask = made.files[0]
    assert mask.parent == job.folder
    assert mask.stat().st_size > 0
    wait_for(lambda: not (path / "stop").exists())  # the last it does
    assert 0 < job.status.share < 1


def test_a_killed_worker_has_crashed_and_leaves_nothing_torn(
    model: Path, tmp_path: Path
) -> None:
    target = tmp_path / "mine"
    images = picture(tmp_path, "first.png"), large(tmp_path)
    path = start_job(config(model, *images, folder=str(target)))
    wait_for(lambda: read_job(path).status.image == 2)
    wait_for(lambda: read_job(path).status.tile > 0)
    os.kill(worker_pid(path), signal.SIGKILL)
    wait_for(lambda: exit_code(path) is not None)

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

    delete(path, JOB)
    assert everything(target) == {"first_mask.png"}
    assert list_jobs() == []


def test_of_two_that_start_at_once_one_is_refused(
    model: Path, tmp_path: Path, sleeping_workers: None
) -> None:
    wanted = config(model, picture(tmp_path, "same.png"))
    barrier = threading.Barrier(4)
    outcomes: list[Path | TerrainError] = []

    def press() -> None:
        barrier.wait()
        try:
            outcomes.append(start_job(wanted))
        except RunError as error:
            outcomes.append(error)

    visitors = [threading.Thread(target=press) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert sum(isinstance(outcome, Path) for outcome in outcomes) == 1
    assert len(list_jobs()) == 1
    refused = {str(outcome) for outcome in outcomes if isinstance(outcome, RunError)}
    assert refused == {
        "A prediction is already running: same.png, image 1 of 1. Wait or stop it."
    }


def test_a_start_is_refused_while_anybody_holds_the_slot(
    model: Path, tmp_path: Path
) -> None:
    wanted = config(model, picture(tmp_path, "one.png"))
    with (
        JOB_SLOT.held(tmp_path / "gone"),
        pytest.raises(RunError, match=r"^A prediction is already running\. Wait"),
    ):
        start_job(wanted)
    assert list_jobs() == []


def test_one_that_is_forced_to_end_is_stopped_and_can_be_deleted(
    model: Path, tmp_path: Path, sleeping_workers: None
) -> None:
    path = start_job(config(model, picture(tmp_path, "one.png")))
    with pytest.raises(RunError, match=r"is still running\. Stop it before"):
        delete(path, JOB)
    force_stop(path)
    job = read_job(path)
    assert job.state == "stopped"
    assert job.message == "Ended by force. The images that were finished are kept."
    with pytest.raises(RunError, match=r"is not running \(it is stopped\)"):
        stop(path)
    with pytest.raises(RunError, match="has no results yet"):
        zip_results(path)
    delete(path, JOB)
    assert not path.exists()


def test_uploads_are_kept_beside_the_prediction(
    model: Path, tmp_path: Path, sleeping_workers: None
) -> None:
    data = encode(pattern())
    path = start_job(
        JobConfig(str(model), input_images(["sent.png"])), {"sent.png": data}
    )
    image = read_job(path).config.images[0]
    assert (image.name, image.stem) == ("sent.png", "sent")
    assert path in Path(image.path).parents
    assert Path(image.path).read_bytes() == data


def test_a_name_that_is_taken_at_the_start_is_refused(
    model: Path, tmp_path: Path
) -> None:
    images = picture(tmp_path, "one.png"), picture(tmp_path, "two.png")
    (tmp_path / "class_shares.csv").write_text("mine")
    with pytest.raises(InputError, match=r"^class_shares\.csv: exists in .* already"):
        start_job(config(model, *images, folder=str(tmp_path)))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"^file: is no folder"):
        start_job(config(model, *images, folder=str(tmp_path / "file")))
    assert list_jobs() == []


@pytest.mark.parametrize("name", ["missing.keras", "none.png"])
def test_what_is_no_model_is_refused_before_anything_is_made(
    tmp_path: Path, name: str
) -> None:
    image = picture(tmp_path, "none.png")
    with pytest.raises(InputError, match=rf"^{name}: is missing or no model"):
        start_job(config(tmp_path / name, image))
    assert list_jobs() == []


def test_a_model_that_needs_heights_is_refused_without(tmp_path: Path) -> None:
    image = picture(tmp_path, "one.png")
    with pytest.raises(InputError, match="this model needs the heights"):
        start_job(JobConfig("default-height", input_images([image])))


def test_the_newest_prediction_is_listed_first(model: Path, tmp_path: Path) -> None:
    image = picture(tmp_path, "one.png")
    moments = [f"2026-01-0{day}T00:00:00+00:00" for day in (2, 3, 1)]
    for moment in moments:
        create_job(config(model, image, created=moment))
    (files.predictions_dir() / "torn").mkdir()
    (files.predictions_dir() / "torn" / "job.json").write_text("{")
    listed = [job.config.created for job in list_jobs()]
    assert listed == sorted(moments)[::-1]


def test_only_folders_of_predictions_are_deleted(model: Path, tmp_path: Path) -> None:
    path = create_job(config(model, picture(tmp_path, "one.png")))
    elsewhere = path.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"lies outside the folder of the predictions"):
        delete(elsewhere, JOB)
    with pytest.raises(RunError, match=r"^gone: does not exist"):
        delete(tmp_path / "gone", JOB)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"made": 1}', '{"made": [{}]}'])
def test_results_that_cannot_be_read_are_none(
    model: Path, tmp_path: Path, text: str
) -> None:
    path = create_job(config(model, picture(tmp_path, "one.png")))
    write_results(path, [], {"a": "b"})
    assert read_job(path).failures == {"a": "b"}
    (path / "results.json").write_text(text)
    job = read_job(path)
    assert (job.made, job.failures) == ((), {})


def test_a_configuration_reads_back_as_it_was_written(
    model: Path, tmp_path: Path
) -> None:
    given = config(
        model, Path("a/x.tif"), wanted=Wanted(soft=True, bands=(4, 3, 2)), heights="h"
    )
    stored = json.loads(json.dumps(given.to_dict()))
    assert JobConfig.from_dict(stored) == given
