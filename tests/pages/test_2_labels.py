"""The labels page, as a person meets it."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from terrainlib.data.labels.strokefile import StrokeFile, image_digest
from terrainlib.data.labels.strokes import Painted, Stroke
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.model.config import TrainingConfig, UNetConfig
from terrainlib.model.instant import load_any, read_any_record
from terrainlib.runs.folder import create_job, list_jobs
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.ui import cached, state
from terrainlib.ui.labels import training, work
from terrainlib.ui.studio import inputs
from tests.crafted_runs import craft_run
from tests.models import hide_embedded_models

ROOT = Path(__file__).resolve().parents[2]
SIDE = 160
MODEL = EMBEDDED_MODELS["default"]
SMALL = UNetConfig(image_size=64, filters=(4, 8))


@pytest.fixture
def home(terrainlib_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a network to describe pixels: it would take seconds to load."""
    hide_embedded_models(monkeypatch)
    monkeypatch.setattr(work, "suitable_base", lambda *_, **_unused: None)
    cached.results.clear()
    cached.described.clear()
    return terrainlib_home


@pytest.fixture
def image(home: Path) -> Path:
    """Water on the left, forest on the right."""
    noise = np.random.default_rng(0).integers(0, 9, (SIDE, SIDE, 3), np.uint8)
    rgb = noise + 20
    rgb[:, : SIDE // 2, 2] += 120
    rgb[:, SIDE // 2 :, 1] += 80
    path = home / "lake.png"
    Image.fromarray(rgb).save(path)
    return path


def stroke(name: str, x: float, y: float) -> Stroke:
    points = ((x, y), (x + 30, y + 9))
    return Stroke(f"{name}{y}", "line", name, points, 8.0)


STROKES = tuple(
    stroke(name, x, y)
    for name, x in (("Water", 20.0), ("Forest", 100.0))
    for y in (20.0, 70.0, 130.0)
)


def paint(image: Path, strokes: tuple[Stroke, ...] = STROKES) -> StrokeFile:
    """Put strokes on an image, as an earlier session would have."""
    file = StrokeFile.of(image_digest(image), None)
    file.change(lambda _: Painted(strokes, KAGGLE_CLASSES))
    return file


def visit(image: Path) -> AppTest:
    """Come to the page from the home page, with an image of this machine open."""
    page = AppTest.from_file(str(ROOT / state.HOME_PAGE), default_timeout=60).run()
    page.session_state[state.STUDIO_SOURCE] = "machine"
    page.session_state[state.STUDIO_PATH] = str(image)
    page = page.switch_page(state.LABELS_PAGE).run()
    assert not page.exception
    return page


def text(page: AppTest) -> str:
    parts = (page.markdown, page.caption, page.info, page.error, page.success)
    return "\n".join(str(item.value) for kind in parts for item in kind)


def press(page: AppTest, key: str) -> AppTest:
    page.button(key=key).click().run()
    assert not page.exception
    return page


def test_it_begins_with_what_to_do(image):
    page = visit(image)
    assert "Choose a class, and paint" in text(page)
    assert page.button(key="labels_whole").disabled


def test_strokes_of_an_earlier_session_are_there_and_make_a_mask(image):
    file = paint(image)
    page = press(visit(image), "labels_whole")
    assert "3 strokes" in text(page)
    assert "are told right" in text(page)
    assert not page.error
    labels = [button.label for button in page.get("download_button")]
    assert "Class mask (PNG)" in labels
    assert load_any(file.path.with_name("classifier.json")).classes == KAGGLE_CLASSES


def test_the_same_image_under_another_name_finds_its_strokes(image):
    paint(image)
    again = image.with_name("copy.png")
    again.write_bytes(image.read_bytes())
    assert "3 strokes" in text(visit(again))


def test_a_damaged_file_of_strokes_is_told_and_kept(image):
    file = paint(image)
    file.path.write_bytes(b"no package")
    page = visit(image)
    assert "it was kept as strokes" in text(page)
    assert "Nothing is painted yet" in text(page.run())


def test_classes_are_added_renamed_and_deleted(image):
    file = paint(image)
    page = press(visit(image), "labels_classes_add")
    boxes = [box for box in page.text_input if box.label == "Name of Water"]
    boxes[0].set_value("Sea").run()
    names = [item.name for item in file.read().classes]
    assert names[0] == "Sea"
    assert names[-1] == "Class 8"
    assert file.read().strokes[0].class_name == "Sea"
    key = next(b.key for b in page.button if b.label == "Delete Desert")
    press(page, key)
    assert "Desert" not in [item.name for item in file.read().classes]


def test_a_classifier_that_is_kept_is_a_model_like_others(image, home):
    paint(image)
    page = press(visit(image), "labels_whole")
    page = press(page, "labels_keep")
    assert "Kept among the models as **lake labels**" in text(page)
    [entry] = [e for e in list_models() if e.title == "lake labels"]
    assert entry.record is not None
    assert entry.preset == "instant classifier"
    studio = page.switch_page(state.STUDIO_PAGE).run()
    assert not studio.exception
    press(studio, studio.button[0].key)


def test_a_training_begins_is_followed_and_offers_its_mask(image, home, monkeypatch):
    from terrainlib.runs import launcher

    asked = []

    def start(config, **_):
        asked.append(config)
        return craft_run(Path(config.data), name="lakes", state="running")

    monkeypatch.setattr(launcher, "start_run", start)
    paint(image)
    page = press(visit(image), "labels_train")
    assert not page.error
    [config] = asked
    assert (Path(config.data) / "patches.csv").is_file()
    assert config.training.minutes == 10
    assert "Epoch 6 of 8" in page.get("progress")[0].proto.text
    assert "When it ends, its mask is offered" in text(visit(image))

    [run] = (home / "runs").glob("*lakes*")
    shutil.rmtree(run)
    ended = craft_run(Path(config.data), name="lakes")
    ended.rename(run)
    (run / "model.keras").write_bytes(b"")
    page = visit(image)
    assert "trained on your labels is ready" in text(page)
    assert page.button(key="labels_trained").label == "Show its mask"


def test_a_training_from_a_model_has_its_network_and_a_lower_rate(
    image, home, monkeypatch
):
    from terrainlib.runs import launcher

    record = replace(read_any_record(MODEL), config=SMALL.to_dict())
    entry = ModelEntry("run/a", "run", "a", MODEL, record, 0, datetime.now(UTC))
    monkeypatch.setattr(training, "list_models", lambda: [entry])
    asked = []
    monkeypatch.setattr(
        launcher, "start_run", lambda config, **_: asked.append(config) or home / "run"
    )
    paint(image)
    page = visit(image)
    page.selectbox(key="labels_start").set_value("run/a").run()
    press(page, "labels_train")
    [config] = asked
    assert config.start_from == str(MODEL)
    assert config.training.network.filters == SMALL.filters
    usual = TrainingConfig.preset("fast").learning_rate
    assert config.training.learning_rate == pytest.approx(usual / 3)


def test_a_prediction_of_a_large_image_is_followed_where_it_was_started(
    image, monkeypatch
):
    from terrainlib.runs import launcher

    monkeypatch.setattr(inputs, "LIVE_MEGAPIXELS", 0.001)
    monkeypatch.setattr(launcher, "start_job", lambda config, **_: create_job(config))
    paint(image)
    page = press(visit(image), "labels_whole")
    page = press(page, "studio_job_start")
    [job] = list_jobs()
    assert page.header[1].value == "lake\\.png"
    again = AppTest.from_file(str(ROOT / state.HOME_PAGE), default_timeout=60)
    again.query_params["image"] = f"machine:{image}"
    again.query_params["job"] = job.path.name
    again = again.switch_page(state.LABELS_PAGE).run()
    assert again.header[1].value == "lake\\.png"
    again = press(again, "studio_job_leave")
    assert "lake\\.png" not in [header.value for header in again.header]


def test_the_example_comes_with_one_click(image):
    page = press(visit(image), "labels_example")
    assert page.session_state[state.STUDIO_SOURCE] == "example"
    assert "3 strokes" in text(page)
