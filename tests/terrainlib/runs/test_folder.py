"""Workers' folders: how they are made, refused, listed and read."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from terrainlib import files
from terrainlib.errors import ConfigError, RunError, StorageError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import (
    create_job,
    create_run,
    list_jobs,
    list_runs,
    log_tail,
    read_job,
    read_run,
)
from terrainlib.runs.jobs.config import JobConfig, input_images, write_results
from terrainlib.runs.process import utc_now, write_process
from terrainlib.runs.status import RunStatus, write_status
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.previews import preview_inputs, previews


def config(name: str = "My run", **changes: object) -> RunConfig:
    training = TrainingConfig.preset("fast", epochs=3)
    return RunConfig(name, "/data/tiles", training, **changes)  # type: ignore[arg-type]


def test_a_new_run_can_be_read_back(terrainlib_home: Path) -> None:
    path = create_run(config())
    run = read_run(path)
    assert path.parent == terrainlib_home / "runs"
    assert path.name.endswith("-my-run")
    assert run.config == config(created=run.config.created)
    assert (run.state, run.name, run.active) == ("starting", "My run", True)
    assert run.status.epochs == 3
    assert run.model is None
    assert run.metrics.empty


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("../evil", "-evil"),
        ("/abs/olute", "-abs-olute"),
        ("..", "-run"),
        ("-rf *", "-rf"),
        ("Größe Ümlaut", "-groe-umlaut"),
        ("a:b\n.hidden", "-a-b-hidden"),
        ("森", "-run"),
        ("x" * 80, "-" + "x" * 40),
    ],
)
def test_the_folder_is_named_by_us_whatever_the_run_is_called(
    terrainlib_home: Path, name: str, ending: str
) -> None:
    path = create_run(config(name))
    assert path.parent == terrainlib_home / "runs"
    assert path.name.endswith(ending)
    assert read_run(path).name == name


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_run_without_a_proper_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="1 to 80 letters"):
        config(name)


def test_two_runs_of_one_second_and_name_get_folders_of_their_own() -> None:
    paths = {create_run(config("twin")) for _ in range(3)}
    assert len(paths) == 3
    assert len(list_runs()) == 3


def test_an_existing_folder_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.mkdir()
    (path / "thesis.txt").write_text("all my work")
    with pytest.raises(RunError, match=r"^precious: exists already"):
        create_run(config(), path=path)
    assert [entry.name for entry in path.iterdir()] == ["thesis.txt"]


def test_runs_are_listed_newest_first_and_other_folders_left_out(
    terrainlib_home: Path,
) -> None:
    for day in (1, 3, 2):
        moment = f"2026-01-0{day}T00:00:00+00:00"
        create_run(config(f"day {day}", created=moment))
    (terrainlib_home / "runs" / "notes").mkdir()
    (terrainlib_home / "runs" / ".hidden").mkdir()
    broken = terrainlib_home / "runs" / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    assert [run.name for run in list_runs()] == ["day 3", "day 2", "day 1"]


def test_without_a_folder_of_runs_there_are_none() -> None:
    assert list_runs() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "does not exist"),
        ("", "config.json cannot be used: Expecting value"),
        ("[1]", "config.json cannot be used: Input should be an object"),
        ('{"name": "x"}', "config.json cannot be used: `data` is missing"),
        (
            '{"name": "x", "data": "y", "training": {"epochs": -1, "network": {}}}',
            "epochs must be 1 to",
        ),
    ],
)
def test_a_folder_that_is_no_run_is_refused_in_words(
    tmp_path: Path, text: str | None, words: str
) -> None:
    path = tmp_path / "run"
    if text is not None:
        path.mkdir()
        (path / "config.json").write_text(text)
    with pytest.raises(RunError, match=words) as caught:
        read_run(path)
    assert str(caught.value).startswith("run: ")
    assert str(tmp_path) not in str(caught.value)


def test_a_crashed_run_says_what_its_log_said_last(tmp_path: Path) -> None:
    path = create_run(config(), path=tmp_path / "run")
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    write_process(path, process.pid)
    process.wait()
    now = utc_now()
    write_status(path, RunStatus("running", 1, 3, heartbeat=now, progressed=now))
    (path / "train.log").write_text("epoch 1: loss 0.5\nKilled\n\n")
    run = read_run(path)
    assert run.state == "crashed"
    assert not run.active
    assert run.message.endswith("Last line of the log: Killed")


def test_the_epoch_is_counted_from_one_while_it_runs(tmp_path: Path) -> None:
    path = create_run(config(), path=tmp_path / "run")
    write_process(path)
    now = utc_now()
    write_status(path, RunStatus("running", 1, 3, heartbeat=now, progressed=now))
    assert read_run(path).place_text == "epoch 2 of 3"
    write_status(path, RunStatus("finished", 3, 3))
    assert read_run(path).place_text == "epoch 3 of 3"
    write_status(path, RunStatus("stopped", 1))
    assert read_run(path).place_text == "epoch 1"


def test_the_log_is_read_from_its_end_without_control_characters(
    tmp_path: Path,
) -> None:
    assert log_tail(tmp_path) == ""
    log = tmp_path / "train.log"
    log.write_bytes(b"\x1b[31mred\x1b[0m\n10 %\r50 %\r100 %\nbad \xff byte\n")
    assert log_tail(tmp_path) == "red\n100 %\nbad \ufffd byte"
    log.write_text("".join(f"line {n}\n" for n in range(1000)))
    tail = log_tail(tmp_path, 100)
    assert tail.endswith("line 999")
    assert all(line.startswith("line ") for line in tail.split("\n"))
    assert len(tail) <= 100


def test_previews_are_found_by_epoch_and_id(tmp_path: Path) -> None:
    assert previews(tmp_path) == {}
    assert preview_inputs(tmp_path) == ()
    folder = tmp_path / "previews"
    for name in ("b_image", "b_truth", "a_image", "a_truth", "lonely_image"):
        files.write_bytes(folder / f"{name}.png", b"x")
    for epoch in (1, 2, 1000):
        files.write_bytes(folder / f"epoch-{epoch:03d}" / "a.png", b"x")
    (folder / "epoch-003").mkdir()
    (folder / "epoch-x").mkdir()
    assert [entry.id for entry in preview_inputs(tmp_path)] == ["a", "b"]
    found = previews(tmp_path)
    assert list(found) == [1, 2, 1000]
    assert found[1000]["a"] == folder / "epoch-1000" / "a.png"


def test_reading_folders_loads_neither_tensorflow_nor_a_reader_of_rasters() -> None:
    code = (
        "import sys, terrainlib.runs.folder;"
        "heavy = {'tensorflow', 'keras', 'rasterio', 'streamlit', 'pandas'};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def job_config(**options: object) -> JobConfig:
    return JobConfig("default", input_images(["one.png"]), **options)  # type: ignore[arg-type]


def test_a_new_prediction_can_be_read_back(terrainlib_home: Path) -> None:
    path = create_job(JobConfig("default", input_images(["Große Karte.png"])))
    job = read_job(path)
    assert path.parent == terrainlib_home / "predictions"
    assert re.fullmatch(r"\d{8}-\d{6}-groe-karte-[0-9a-f]{8}", path.name)
    assert (job.state, job.name, job.active) == ("starting", "Große Karte.png", True)
    assert job.status.images == 1
    assert job.files == ()


def test_predictions_are_listed_newest_first_and_torn_ones_left_out(
    terrainlib_home: Path,
) -> None:
    assert list_jobs() == []
    moments = [f"2026-01-0{day}T00:00:00+00:00" for day in (2, 3, 1)]
    for moment in moments:
        create_job(job_config(created=moment))
    files.write_bytes(terrainlib_home / "predictions" / "torn" / "job.json", b"{")
    listed = [job.config.created for job in list_jobs()]
    assert listed == sorted(moments)[::-1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"made": 1}', '{"made": [{}]}'])
def test_results_that_cannot_be_read_are_none(text: str) -> None:
    path = create_job(job_config())
    write_results(path, [], {"a": "b"})
    assert read_job(path).failures == {"a": "b"}
    (path / "results.json").write_text(text)
    job = read_job(path)
    assert (job.made, job.failures) == ((), {})


def test_a_folder_that_cannot_be_filled_goes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise StorageError("no space left.")

    monkeypatch.setattr(files, "write_json", full)
    for make in (lambda: create_run(config()), lambda: create_job(job_config())):
        with pytest.raises(StorageError):
            make()
    homes = (files.runs_dir(), files.predictions_dir())
    assert [list(home.iterdir()) for home in homes] == [[], []]
