"""Folders with damaged records: every page works beside them, and they can go."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from terrainlib import files
from terrainlib.runs.folder import damaged_folders, list_jobs, list_runs
from terrainlib.runs.status import JOB, RUN
from tests.conftest import PAGE_TIMEOUT_S, ROOT, more
from tests.damaged_records import (
    PREDICTION_RECORDS,
    RUN_RECORDS,
    TABLES,
    edits,
    whole_prediction,
    whole_run,
)
from tests.synthetic import write_kaggle_dataset

TRAINING, STUDIO = "pages/3_Training.py", "pages/5_Mask_Studio.py"


def open_page(page: str = "", **state: str) -> AppTest:
    opened = AppTest.from_file(
        str(ROOT / "streamlit_app.py"), default_timeout=PAGE_TIMEOUT_S
    )
    if page:
        opened.switch_page(page)
    for key, value in state.items():
        opened.session_state[key] = value
    opened.run()
    assert not opened.exception
    return opened


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def press(page: AppTest, key: str) -> AppTest:
    page.button(key=key).click().run()
    assert not page.exception
    return page


def damage(make: Callable[[str], Path], records: tuple[str, ...]) -> None:
    """Make a folder for each field of each record, with that field edited."""
    for record in records:
        whole = make(f"whole-{record}") / record
        for number, (_label, data) in enumerate(edits(whole, values=1)):
            (make(f"edited-{record}-{number}") / record).write_bytes(data)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which nearly every folder is damaged, each in another way."""
    home = tmp_path_factory.mktemp("damaged")
    data = write_kaggle_dataset(home / "coast", pairs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAINLIB_HOME", str(home))
        damage(lambda name: whole_run(name, data=str(data)), RUN_RECORDS)
        damage(whole_prediction, PREDICTION_RECORDS)
        for number, table in enumerate(TABLES.values()):
            path = whole_run(f"table-{number}", data=str(data))
            (path / "metrics.csv").write_bytes(table)
        pipe = whole_run("pipe")
        (pipe / "config.json").unlink()
        os.mkfifo(pipe / "config.json")
        (files.runs_dir() / ".train.json").write_text('{"run": 1}')
        (files.predictions_dir() / ".predict.json").write_text("[" * 5_000)
        cache = files.cache_dir() / "prediction_speeds.json"
        files.write_bytes(cache, b'{"start": {"amount": -1, "seconds": "x"}}')
    return home


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch, terrainlib_home: Path) -> None:
    monkeypatch.setenv("TERRAINLIB_HOME", str(home))


def test_enough_is_damaged() -> None:
    assert len(damaged_folders(RUN)) > 20
    assert len(list_runs()) > 60
    assert len(damaged_folders(JOB)) > 15
    assert len(list_jobs()) > 40


@pytest.mark.parametrize("page", ["", *sorted(ROOT.glob("pages/*.py"))], ids=str)
def test_every_page_opens(page: Path | str) -> None:
    name = f"pages/{page.name}" if isinstance(page, Path) else ""
    open_page(name)


def test_home_tells_how_many_folders_are_damaged() -> None:
    assert f"{len(damaged_folders(RUN))} damaged folders, see Training" in texts(
        open_page()
    )


@pytest.mark.parametrize("step", [30, *more(1)])
def test_runs_that_are_listed_can_be_watched(step: int) -> None:
    page = open_page(TRAINING, training_view="Watch")
    for run in list_runs()[::step]:
        page.query_params["run"] = run.path.name
        page.session_state["training_view"] = "Watch"
        page.run()
        assert not page.exception, run.path.name


@pytest.mark.parametrize("step", [30, *more(1)])
def test_predictions_that_are_listed_can_be_watched(step: int) -> None:
    page = open_page(STUDIO)
    for job in list_jobs()[::step]:
        page.query_params["job"] = job.path.name
        page.run()
        assert not page.exception, job.path.name


def test_damaged_runs_are_listed_with_their_reason_and_can_be_deleted() -> None:
    page = open_page(TRAINING, training_view="All trainings")
    shown = texts(page)
    for one in damaged_folders(RUN):
        assert one.path.name in shown
        assert " ".join(one.reason.split()).replace("\\", "") in shown

    first = damaged_folders(RUN)[0].path
    press(page, f"training_delete_damaged_{first.name}")
    assert first.name in texts(page)
    press(page, "training_question_yes")

    assert not first.exists()
    assert first.name not in texts(page)


def test_a_link_to_a_damaged_run_says_what_is_wrong() -> None:
    one = damaged_folders(RUN)[-1]
    page = AppTest.from_file(
        str(ROOT / "streamlit_app.py"), default_timeout=PAGE_TIMEOUT_S
    ).switch_page(TRAINING)
    page.query_params["run"] = one.path.name
    page.run()
    assert not page.exception
    assert one.path.name in texts(page)
    assert "cannot be used" in texts(page)


def test_damaged_predictions_are_listed_and_can_be_deleted() -> None:
    page = open_page(STUDIO)
    shown = texts(page)
    for one in damaged_folders(JOB):
        assert one.path.name in shown

    first = damaged_folders(JOB)[0].path
    press(page, f"studio_job_delete_damaged_{first.name}")
    press(page, "studio_job_question_yes")

    assert not first.exists()
    assert first.name not in texts(page)
