"""The home page, as a person meets it."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from streamlit.testing.v1 import AppTest

from terrainlib import files
from terrainlib.data.dataset import open_dataset
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import create_job, create_run, create_search
from terrainlib.runs.jobs.config import JobConfig, input_images
from terrainlib.runs.process import write_process
from terrainlib.runs.searches.config import SearchConfig
from terrainlib.runs.status import JobStatus, RunStatus, SearchStatus, write_status
from terrainlib.runs.training.config import RunConfig

ROOT = Path(__file__).resolve().parents[2]


def visit() -> AppTest:
    page = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    assert not page.exception
    return page


def seen(page: AppTest) -> str:
    return "\n".join(str(element.value) for element in page.markdown)


def a_run(name: str, status: RunStatus) -> Path:
    training = TrainingConfig.preset("fast", epochs=8)
    path = create_run(RunConfig(name, "data", training))
    write_process(path)
    write_status(path, status)
    return path


def test_it_says_what_this_is_and_shows_an_example():
    page = visit()

    assert page.title[0].value == "Terrain Mask Generator"
    assert "terrain mask" in seen(page)
    assert page.get("bidi_component") or page.get("imgs")


def test_it_leads_to_every_page():
    page = visit()

    leads = {link.proto.page for link in page.get("page_link")}
    files_of_pages = {path.stem.split("_", 1)[1] for path in ROOT.glob("pages/*.py")}
    assert files_of_pages <= leads


def test_it_counts_the_sample_and_says_that_nothing_was_trained():
    text = seen(visit())

    assert "320 satellite images" in text
    assert "None yet" in text


def test_a_running_training_shows_how_far_it_is():
    now = datetime.now(UTC).isoformat()
    times = {"seconds_left": 90.0, "heartbeat": now, "progressed": now}
    status = RunStatus("running", 2, 8, 5, 10, 30.0, **times)
    a_run("my run", status)

    [bar] = visit().get("progress")

    assert bar.proto.value == 31
    assert "my run" in bar.proto.text
    assert "epoch 3 of 8" in bar.proto.text
    assert "1 min 30 s left" in bar.proto.text


def test_a_running_prediction_shows_how_far_it_is():
    path = create_job(JobConfig("default", input_images([Path("coast.tif")])))
    write_process(path)
    now = datetime.now(UTC).isoformat()
    status = JobStatus("running", 1, 1, share=0.4, heartbeat=now, progressed=now)
    write_status(path, status)

    [bar] = visit().get("progress")

    assert bar.proto.value == 40
    assert "coast" in bar.proto.text


def test_what_waits_has_its_place_and_a_search_leads_to_its_data(tiny_dataset: Path):
    now = datetime.now(UTC).isoformat()
    times = {"heartbeat": now, "progressed": now}
    a_run("first", RunStatus("running", 2, 8, **times))
    a_run("second", RunStatus("waiting", **times))
    search = create_search(SearchConfig.of(open_dataset(tiny_dataset)))
    write_process(search)
    write_status(search, SearchStatus("running", 0.42, **times))

    page = visit()

    assert "Training second: Next in the queue, after first" in seen(page)
    assert [bar.proto.value for bar in page.get("progress")] == [25, 42]
    to = [x.proto for x in page.get("page_link") if x.proto.label == "Watch it"]
    assert [one.page for one in to] == ["Training", "Training", "Dataset_Preview"]
    assert str(tiny_dataset) in unquote(to[2].query_string)


def test_to_mask_an_image_leads_to_the_box_for_uploads():
    page = visit()

    page.button(key="home_mask").click().run()

    assert page.title[0].value == "Mask studio"
    assert page.session_state["studio_source"] == "upload"


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_an_ended_training_shows_its_state_and_score(state: str):
    a_run("old", RunStatus(state, 8, 8, best_epoch=6, best_miou=0.514))

    links = [link.proto.label for link in visit().get("page_link")]
    assert any(f"old: {state}, mIoU 0.51" in label for label in links)


def test_names_from_the_disk_are_shown_as_they_are():
    a_run("*:red[x]*", RunStatus("finished", 8, 8))

    links = [link.proto.label for link in visit().get("page_link")]
    assert any(r"\*\:red\[x\]\*" in label for label in links)


def test_the_home_page_loads_no_tensorflow():
    code = (
        "import sys; from streamlit.testing.v1 import AppTest;"
        "page = AppTest.from_file('streamlit_app.py', default_timeout=60).run();"
        "assert not page.exception;"
        "heavy = {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert not (files.home_dir() / "runs").exists()
