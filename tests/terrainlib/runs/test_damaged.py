"""Records edited to nonsense: each folder is listed, as it is or as damaged."""

import json
import os
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from terrainlib import files
from terrainlib.errors import RunError, TerrainError
from terrainlib.runs.folder import (
    damaged_folders,
    list_jobs,
    list_runs,
    log_tail,
    read_job,
    read_metrics,
    read_run,
)
from terrainlib.runs.jobs.config import JobConfig, input_images
from terrainlib.runs.jobs.delivery import zip_results
from terrainlib.runs.jobs.estimate import SPEEDS_FILE, estimate_job
from terrainlib.runs.launcher import delete
from terrainlib.runs.process import find_process, read_process, utc_now, write_process
from terrainlib.runs.slot import JOB_SLOT, RUN_SLOT
from terrainlib.runs.status import JOB, RUN, RunStatus, write_status
from terrainlib.runs.training.budget import minutes_given
from terrainlib.runs.training.material import read_split, stored_files, stored_split
from terrainlib.runs.training.pixelscore import read_pixel_score
from terrainlib.runs.training.previews import preview_inputs, previews
from terrainlib.ui.text import duration
from tests.conftest import more
from tests.damaged_records import (
    DEEP,
    PREDICTION_RECORDS,
    RUN_RECORDS,
    TABLES,
    VALUES,
    edits,
    whole_prediction,
    whole_run,
)

SECONDS_EACH = 2.0  # of the processor; a folder takes milliseconds


def look_at_runs(path: Path) -> bool:
    """Read everything of a run as the pages do; return whether it is a run still."""
    runs, damaged = list_runs(), damaged_folders(RUN)
    assert [one.path for one in (*runs, *damaged)] == [path]
    RUN_SLOT.active()
    read_split(path)
    read_pixel_score(path)
    minutes_given(path)
    stored_files(path)
    find_process(read_process(path))
    log_tail(path)
    previews(path)
    preview_inputs(path)
    for run in runs:
        assert 0 <= (run.status.share or 0.0) <= 1
        assert run.place_text.startswith("epoch ")
        status = run.status
        assert 0 <= (status.best_miou or 0.0) <= 1
        assert status.epoch >= 0 <= status.seconds < 1e11
        assert duration(status.seconds_left or 0.0)
        assert run.config.training.network.size_multiple > 1
        assert Path(run.config.data).parts
        assert len(run.message) < 5_000
        metrics = run.metrics
        assert metrics.empty or metrics["epoch"].between(1, 10**9).all()
    for one in damaged:
        assert one.reason.startswith("config.json cannot be used: ")
        assert len(one.reason) < 500
        with pytest.raises(RunError):
            read_run(path)
    return bool(runs)


def look_at_predictions(path: Path) -> bool:
    """Read everything of a prediction; return whether it is one still."""
    jobs, damaged = list_jobs(), damaged_folders(JOB)
    assert [one.path for one in (*jobs, *damaged)] == [path]
    JOB_SLOT.active()
    for job in jobs:
        assert 0 <= job.status.share <= 1
        assert job.name
        assert job.place_text
        assert all(
            0 <= share <= 1 for made in job.made for share in made.shares.values()
        )
    for one in damaged:
        assert one.reason.startswith("job.json cannot be used: ")
    return bool(jobs)


@pytest.mark.parametrize("name", RUN_RECORDS)
@pytest.mark.parametrize("values", [5, *more(len(VALUES))])
def test_a_run_with_an_edited_record_is_listed_whatever_it_holds(
    name: str, values: int
) -> None:
    path = whole_run()
    assert look_at_runs(path)
    for label, data in list(edits(path / name, values=values)):
        (path / name).write_bytes(data)
        begun = time.process_time()
        is_run = look_at_runs(path)
        assert time.process_time() - begun < SECONDS_EACH, label
        assert is_run or name == "config.json", label


@pytest.mark.parametrize("name", PREDICTION_RECORDS)
@pytest.mark.parametrize("values", [5, *more(len(VALUES))])
def test_a_prediction_with_an_edited_record_is_listed_whatever_it_holds(
    name: str, values: int
) -> None:
    path = whole_prediction()
    assert look_at_predictions(path)
    assert read_job(path).made
    for label, data in list(edits(path / name, values=values)):
        (path / name).write_bytes(data)
        begun = time.process_time()
        is_job = look_at_predictions(path)
        assert time.process_time() - begun < SECONDS_EACH, label
        assert is_job or name == "job.json", label


@pytest.mark.parametrize("name", TABLES)
def test_rows_of_a_table_that_do_not_fit_are_left_out(name: str) -> None:
    path = whole_run()
    (path / "metrics.csv").write_bytes(TABLES[name])
    table = read_metrics(path)
    assert 1 in table["epoch"].tolist()
    assert table.loc[table["epoch"] == 1, "loss"].tolist() == [0.5]
    assert table.abs().max(axis=None) < 1e15


@pytest.mark.parametrize("name", [*RUN_RECORDS, "metrics.csv", "train.log"])
def test_a_folder_or_a_pipe_in_place_of_a_file_holds_nobody_up(name: str) -> None:
    path = whole_run()
    for make in (os.mkfifo, Path.mkdir):
        (path / name).unlink(missing_ok=True)
        make(path / name)
        looking = threading.Thread(target=look_at_runs, args=(path,), daemon=True)
        looking.start()
        looking.join(30)
        assert not looking.is_alive()
        if make is os.mkfifo:
            assert read_metrics(path).empty is (name == "metrics.csv")


def test_a_status_that_cannot_be_used_is_named_in_the_message() -> None:
    path = whole_run()
    (path / "status.json").write_text('{"state": "finished", "epoch": -1}')
    run = read_run(path)
    assert run.state == "crashed"
    assert "status.json is damaged: `epoch`: Input should be greater" in run.message


def test_results_that_cannot_be_used_are_named_in_the_message() -> None:
    path = whole_prediction()
    results = json.loads((path / "results.json").read_text())
    results["made"][0]["areas"]["classes"][0]["share"] = "half"
    files.write_json(path / "results.json", results)
    job = read_job(path)
    assert job.made == ()
    assert (
        "results.json cannot be used: `made.0.areas`: `classes.0.share`" in job.message
    )


def test_results_are_looked_for_in_their_folder_whatever_the_list_of_them_says(
    tmp_path: Path,
) -> None:
    path = whole_prediction()
    for folder, data in ((tmp_path, b"secret"), (path / "results", b"mask")):
        files.write_bytes(folder / "one.png", data)
    results = json.loads((path / "results.json").read_text())
    results["made"][0]["files"] = [str(tmp_path / "one.png"), "/etc/.."]
    files.write_json(path / "results.json", results)
    assert read_job(path).files == (path / "results" / "one.png",)
    with zipfile.ZipFile(zip_results(path)) as packed:
        assert packed.read("one.png") == b"mask"


def test_a_split_that_cannot_be_used_is_not_replaced_in_silence() -> None:
    path = whole_run()
    for text in ("{", '{"split": {}}', DEEP):
        (path / "split.json").write_text(text)
        assert read_split(path) is None
        with pytest.raises(RunError, match=r"split\.json cannot be used: .*new run"):
            stored_split(path)
    (path / "split.json").unlink()
    assert stored_split(path) is None


@pytest.mark.parametrize("value", VALUES)
def test_remembered_speeds_and_holders_of_the_slot_may_be_nonsense(
    value: str, tmp_path: Path
) -> None:
    speeds = f'{{"start": {VALUES[value]}, "rest": {{"amount": {VALUES[value]}}}}}'
    files.write_bytes(files.cache_dir() / SPEEDS_FILE, speeds.encode())
    estimate_job(JobConfig("default", input_images([tmp_path / "no.png"])))
    for folder, name in ((files.runs_dir(), "run"), (files.predictions_dir(), "job")):
        text = f'{{"{name}": {VALUES[value]}, "prediction": {VALUES[value]}}}'
        files.write_bytes(folder / ".train.json", text.encode())
        files.write_bytes(folder / ".predict.json", text.encode())
    assert RUN_SLOT.active() is None
    assert JOB_SLOT.active() is None


def test_damaged_folders_are_deleted_by_their_name() -> None:
    run, job = whole_run(), whole_prediction()
    (run / "config.json").write_text(DEEP)
    (job / "job.json").unlink()
    assert [one.reason[:31] for one in damaged_folders(RUN)] == [
        "config.json cannot be used: nes"
    ]
    assert "holds no prediction" in damaged_folders(JOB)[0].reason
    delete(run, RUN)
    delete(job, JOB)
    assert not run.exists()
    assert not job.exists()


def test_a_damaged_folder_whose_worker_lives_is_kept() -> None:
    path = whole_run()
    (path / "config.json").write_text("{")
    now = utc_now()
    write_status(path, RunStatus("running", heartbeat=now, progressed=now))
    write_process(path)
    assert [one.active for one in damaged_folders(RUN)] == [True]
    with pytest.raises(RunError, match="is still running"):
        delete(path, RUN)
    (path / "process.json").write_text("{")
    (path / "status.json").write_text("{")
    with RUN_SLOT.held(path), pytest.raises(RunError, match="is still running"):
        delete(path, RUN)
    delete(path, RUN)
    assert not path.exists()


def test_a_link_never_leads_a_deletion_outside(tmp_path: Path) -> None:
    outside = whole_run().rename(tmp_path / "outside")
    (outside / "config.json").write_text("{")
    link = files.runs_dir() / "link"
    link.symlink_to(outside)
    loop = files.runs_dir() / "loop"
    loop.symlink_to(loop)
    inner = whole_run("inner")
    (inner / "config.json").write_text("{")
    (inner / "away").symlink_to(outside)

    assert {one.path.name for one in damaged_folders(RUN)} == {"link", "inner"}
    for path in (link, loop, inner / "away", link / ".." / "outside"):
        with pytest.raises(TerrainError):
            delete(path, RUN)
    delete(inner, RUN)
    assert (outside / "status.json").is_file()
    assert not inner.exists()


def test_a_heartbeat_of_tomorrow_keeps_no_run_alive() -> None:
    path = whole_run()
    (path / "process.json").unlink()
    status = RunStatus("running", heartbeat="2199-01-01T00:00:00+00:00")
    write_status(path, status)
    assert read_run(path).state == "crashed"
    write_status(path, replace(status, heartbeat=utc_now()))
    assert read_run(path).state == "running"
