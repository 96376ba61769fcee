"""What the mask studio takes: paths, bands, several images, and long predictions."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from terrainlib import files
from terrainlib.data.imagery import read_image
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.sample import example_scenes
from terrainlib.mask.cleaning import PostProcessing
from terrainlib.mask.gap import Gap
from terrainlib.mask.ground.areas import area_table
from terrainlib.mask.products.records import Made, Wanted
from terrainlib.runs.folder import create_job, read_job
from terrainlib.runs.jobs.config import JobConfig, input_images, write_results
from terrainlib.runs.status import StoredState, write_status
from terrainlib.ui import cached, state
from tests.imagefiles import class_tiff, encode, naming_overviews, tiff, write
from tests.models import KERAS_COPY_WARNING, hide_embedded_models, write_model
from tests.synthetic import terrain

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)

ROOT = Path(__file__).resolve().parents[2]
NAMES = [item.name for item in KAGGLE_CLASSES]


@pytest.fixture(autouse=True)
def _no_results_of_others():
    cached.results.clear()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small models, `tiny` and, for heights, `high`."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, "tiny")
    write_model(folder, "high", height=True)
    return folder


@pytest.fixture
def home(terrainlib_home: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with one small model, and no embedded one."""
    hide_embedded_models(monkeypatch)
    (terrainlib_home / "models").mkdir()
    shutil.copy(models / "tiny.keras", terrainlib_home / "models")
    return terrainlib_home


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[JobConfig]:
    """What is asked to be predicted; nothing is, but its folder is made."""
    asked: list[JobConfig] = []

    def start(config: JobConfig, **_: bool) -> Path:
        asked.append(config)
        return create_job(config)

    monkeypatch.setattr("terrainlib.runs.launcher.start_job", start)
    return asked


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a thousand pixels count as a large image."""
    monkeypatch.setattr("terrainlib.ui.studio.inputs.LIVE_MEGAPIXELS", 0.001)


def visit(source: str = "", **query: str) -> AppTest:
    page = AppTest.from_file(str(ROOT / state.HOME_PAGE), default_timeout=120)
    page.switch_page(state.STUDIO_PAGE)
    if source:
        page.session_state[state.STUDIO_SOURCE] = source
    for key, value in query.items():
        page.query_params[key] = value
    return page.run()


def open_path(typed: object) -> AppTest:
    page = visit("machine")
    page.text_input(key=f"{state.STUDIO_PATH}_text").set_value(str(typed))
    page.button(key=f"{state.STUDIO_PATH}_open").click().run()  # heights have their own
    assert not page.exception
    return page


@pytest.mark.parametrize("source", ["machine", "upload"])
def test_an_image_that_names_its_overviews_is_one_sentence(
    home: Path, tmp_path: Path, source: str
) -> None:
    secret = write(tmp_path, "secret.png", encode(terrain(16, seed=1)[0]))
    path = write(tmp_path, "land.tif", naming_overviews(secret))
    if source == "machine":
        page = open_path(path)
    else:
        page = visit("upload")
        box = page.file_uploader(key=state.STUDIO_UPLOAD)
        box.upload("land.tif", path.read_bytes(), "image/tiff").run()
    assert not page.exception
    [error] = page.error
    assert "it names another file for its overviews" in error.value
    assert not page.get("imgs")


def press(page: AppTest, label: str) -> AppTest:
    [button] = [button for button in page.button if button.label == label]
    button.click().run()
    assert not page.exception
    return page


def seen(page: AppTest) -> str:
    """All text of a page in one, without what only hides marks from Markdown."""
    kinds = ("markdown", "error", "info", "caption", "success", "warning", "code")
    elements = [element for kind in kinds for element in page.get(kind)]
    return "\n".join(str(element.value) for element in elements).replace("\\", "")


def labels(page: AppTest, kind: str) -> list[str]:
    return [element.label for element in page.get(kind)]


def scene(folder: Path, name: str = "scene.tif") -> Path:
    """A georeferenced image of 64 px."""
    grid = read_image(example_scenes()[0].image).georeference
    assert grid is not None
    place = {"crs": grid.crs_wkt, "transform": affine(grid.transform)}
    data = tiff(terrain(64, seed=4)[0], photometric="RGB", **place)
    return write(folder, name, data)


def affine(values: tuple[float, ...]) -> Any:
    from affine import Affine

    return Affine(*values)


def made_of(name: str, stem: str, folder: Path, **changes: Any) -> Made:
    """What became of an image of 64 px, with its class mask in a folder."""
    index = terrain(64, seed=4)[1]
    counts = np.bincount(index.ravel(), minlength=len(NAMES))
    shares = [float(count / counts.sum()) for count in counts]
    folder.mkdir(parents=True, exist_ok=True)
    grid = read_image(example_scenes()[0].image).georeference
    mask = write(folder, f"{stem}_mask.tif", class_tiff(index, KAGGLE_CLASSES, grid))
    values: dict[str, Any] = {
        "name": name,
        "files": (mask,),
        "height": 64,
        "width": 64,
        "rows": 64,
        "stopped": False,
        "shares": dict(zip(NAMES, shares, strict=True)),
        "areas": area_table(NAMES, counts).to_dict(),
        "gap": {"level": "different", "reasons": ["much darker"], "title": "Different"},
        "unsure_share": 0.125,
        "notes": ("8 bit",),
        "seconds": 75.0,
        "network_seconds": 70.0,
        "megapixels_per_second": 0.5,
    }
    return Made(**values | changes)


def job(home: Path, paths: list[Path], ended: StoredState | None = None) -> Path:
    """The folder of a prediction that has just started, or has ended."""
    model = str(home / "models" / "tiny.keras")
    path = create_job(JobConfig(model, input_images(paths)))
    if ended is not None:
        status = read_job(path).status
        write_status(path, replace(status, state=ended, message="1 of 1 predicted."))
    return path


def test_an_image_of_this_machine_is_opened_by_its_path(home: Path):
    page = open_path(scene(home))

    assert not page.error
    assert page.get("download_button")
    assert state.STUDIO_VIEW in [view.key for view in page.get("bidi_component")]


def test_a_path_that_leads_out_is_one_sentence(home: Path):
    page = open_path("/etc/hostname")

    assert len(page.error) == 1
    assert "outside the folders that may be opened" in seen(page)
    assert not page.get("download_button")


def test_the_path_is_still_there_after_another_page(home: Path):
    page = open_path(scene(home))

    page.switch_page(state.MODELS_PAGE).run()
    page.switch_page(state.STUDIO_PAGE).run()

    assert not page.exception
    assert page.text_input(key=f"{state.STUDIO_PATH}_text").value.endswith("scene.tif")
    assert page.get("download_button")


def test_a_link_opens_an_image_of_this_machine_and_one_outside_stays_closed(
    home: Path,
) -> None:
    path = scene(home)
    page = visit(image=f"machine:{path}")
    assert page.text_input(key=f"{state.STUDIO_PATH}_text").value == str(path)
    assert "Make the mask" in labels(page, "button")

    assert "outside the folders that may be opened" in seen(
        visit(image="machine:/etc/hostname")
    )


def test_an_upload_is_still_there_after_a_reload_or_asked_for_again(home: Path):
    page = visit("upload")
    box = page.file_uploader(key=state.STUDIO_UPLOAD)
    box.upload("land.png", encode(terrain(48, seed=5)[0]), "image/png").run()
    words = page.query_params["image"]
    words = words if isinstance(words, str) else words[0]

    page = visit(image=words)
    assert "land.png" in seen(page)
    assert page.get("download_button")

    page = visit(image="upload:../../secret.png")
    assert "The upload is gone" in seen(page)
    assert page.file_uploader(key=state.STUDIO_UPLOAD)


@pytest.mark.usefixtures("small_limit")
def test_before_a_long_prediction_the_fitting_scale_is_one_click_away(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    def ahead(_picture: object, _entry: object, scale: float | None) -> Gap:
        fits = Gap("alike", ())
        return fits if scale else Gap("different", ("finer",), scale_factor=0.5)

    monkeypatch.setattr("terrainlib.ui.jobs.trial.gap_ahead", ahead)
    page = open_path(scene(home))
    assert "finer" in seen(page)
    assert "Two parts of the image" in seen(page)
    pictures = len(page.get("imgs"))

    press(page, "Work at 0.5 working pixels per image pixel")

    assert page.number_input(key=f"{state.STUDIO_JOB}_scale").value == 0.5
    assert "Like the training images" in seen(page)
    assert len(page.get("imgs")) == pictures


def test_four_bands_ask_for_their_colours_and_the_mask_follows(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    from terrainlib.mask import prediction

    read: list[float] = []
    real = prediction.predict_image

    def watched(model: Any, image: Any, **options: Any) -> Any:
        read.append(float(image.rgb[..., 0].mean()))
        return real(model, image, **options)

    monkeypatch.setattr(prediction, "predict_image", watched)
    rgb = terrain(48, seed=5)[0]
    four = np.dstack([rgb, 255 - rgb[..., :1]]).astype(np.uint16) * 40
    page = open_path(write(home, "four.tif", tiff(four, photometric="MINISBLACK")))

    boxes = [box for box in page.selectbox if box.label in ("Red", "Green", "Blue")]
    assert [box.value for box in boxes] == [1, 2, 3]
    assert "4 bands" in seen(page)
    boxes[0].set_value(4).run()

    assert not page.exception
    assert not page.error
    assert len(read) == 2
    assert abs(read[0] - read[1]) > 0.05


def test_a_three_band_picture_asks_nothing(home: Path):
    page = open_path(scene(home))

    assert "Red" not in labels(page, "selectbox")


def test_several_uploads_become_one_prediction(home: Path, started: list[JobConfig]):
    page = visit("upload")
    box = page.file_uploader(key=state.STUDIO_UPLOAD)
    pictures = [encode(terrain(48, seed=seed)[0]) for seed in (5, 6)]
    box.upload("a.png", pictures[0], "image/png")
    box.upload("._a.png", b"what macOS leaves", "image/png")
    box.upload("b.png", pictures[1], "image/png").run()
    assert "2 images" in seen(page)
    assert not page.get("download_button")

    page.text_input(key=f"{state.STUDIO_JOB}_cluster").set_value("local:2").run()
    press(page, "Start the prediction")

    [config] = started
    assert config.cluster == "local:2"
    assert [image.name for image in config.images] == ["a.png", "b.png"]
    assert [image.stem for image in config.images] == ["a", "b"]
    assert [Path(image.path).read_bytes() for image in config.images] == pictures
    assert all(Path(i.path).is_relative_to(home) for i in config.images)


def test_a_large_image_is_shown_and_what_is_wanted_is_started(
    home: Path, started: list[JobConfig], small_limit: None
):
    page = open_path(scene(home))
    assert "64 × 64 px" in seen(page)
    assert "Takes about" in seen(page)
    assert not page.get("download_button")

    for label in ("Soft mask", "Probabilities", "Polygons", "World-builder's pack"):
        [box] = [box for box in page.checkbox if box.label == label]
        box.check().run()
    page.select_slider(key=f"{state.STUDIO_JOB}_cleaning_median").set_value(5).run()
    page.slider(key=f"{state.STUDIO_JOB}_cleaning_fill").set_value(40).run()
    page.number_input(key=f"{state.STUDIO_JOB}_scale").set_value(0.5).run()
    page.text_input(key=f"{state.STUDIO_JOB}_folder").set_value(str(home / "out")).run()
    press(page, "Start the prediction")

    [config] = started
    assert config.folder == str(home / "out")
    wanted = config.wanted
    assert (wanted.soft, wanted.probabilities, wanted.vectors) == (True, True, True)
    assert wanted.pack is not None
    assert wanted.sharpen is None
    assert wanted.cleaning == PostProcessing(5, 0, 40)
    assert wanted.scale == 0.5
    assert "job" in page.query_params
    assert "Stop" in labels(page, "button")


def test_without_a_place_there_are_no_probabilities_to_choose(
    home: Path, started: list[JobConfig], small_limit: None
):
    page = open_path(write(home, "land.png", encode(terrain(64, seed=4)[0])))

    [box] = [box for box in page.checkbox if box.label == "Probabilities"]

    assert box.disabled


def test_a_folder_for_results_outside_cannot_be_started(home: Path, small_limit: None):
    page = open_path(scene(home))

    page.text_input(key=f"{state.STUDIO_JOB}_folder").set_value("/etc/masks").run()

    [button] = [b for b in page.button if b.label == "Start the prediction"]
    assert button.disabled
    assert "outside the folders that may be opened" in seen(page)


def test_one_bad_file_of_a_folder_does_not_stop_the_others(
    home: Path, started: list[JobConfig]
):
    folder = home / "scenes"
    folder.mkdir()
    write(folder, "a.png", b"no picture")
    scene(folder, "b.tif")

    page = open_path(folder)
    assert not page.error
    assert "shown is b.tif" in seen(page)
    press(page, "Start the prediction")

    assert [image.name for image in started[0].images] == ["a.png", "b.tif"]


def test_heights_come_with_one_image_only(home: Path, models: Path):
    (home / "models" / "tiny.keras").unlink()
    shutil.copy(models / "high.keras", home / "models")
    folder = home / "scenes"
    folder.mkdir()
    scene(folder, "a.tif")
    scene(folder, "b.tif")

    page = open_path(folder)

    assert "one image at a time" in seen(page)
    assert "Start the prediction" not in labels(page, "button")


def test_heights_of_this_machine_are_taken_by_their_path(
    home: Path, models: Path, started: list[JobConfig], small_limit: None
):
    (home / "models" / "tiny.keras").unlink()
    shutil.copy(models / "high.keras", home / "models")
    heights = write(home, "heights.tif", tiff(terrain(64, seed=4)[2]))
    page = open_path(scene(home))
    assert "Start the prediction" not in labels(page, "button")

    page.text_input(key=f"{state.STUDIO_HEIGHT_PATH}_text").set_value(str(heights))
    page.button(key=f"{state.STUDIO_HEIGHT_PATH}_open").click().run()
    press(page, "Start the prediction")

    assert started[0].heights == str(heights)


def test_a_prediction_that_goes_on_is_found_again(home: Path):
    path = job(home, [scene(home)])

    page = visit()
    assert "Watch" in labels(page, "button")
    press(page, "Watch")

    assert page.query_params["job"] == path.name
    assert "scene.tif" in [title.value.replace("\\", "") for title in page.header]
    assert "Stop" in labels(page, "button")
    assert "Make the mask" not in labels(page, "button")


def test_a_link_shows_its_prediction_and_the_studio_is_one_press_away(home: Path):
    path = job(home, [scene(home)])

    page = visit(job=path.name)
    assert "Stop" in labels(page, "button")
    press(page, "Another image")

    assert "job" not in page.query_params
    assert "Make the mask" in labels(page, "button")


def test_stop_asks_the_worker(home: Path):
    path = job(home, [scene(home)])

    press(visit(job=path.name), "Stop")

    assert (path / "stop").exists()


def test_a_finished_prediction_shows_its_mask_in_pictures_and_words(home: Path):
    path = job(home, [scene(home)], "finished")
    made = made_of("scene.tif", "scene", path / "results")
    write_results(path, [made], {})

    page = visit(job=path.name)

    assert not page.exception
    text = seen(page)
    assert "unsure of 12.5%" in text
    assert "much darker" in text
    assert "scene_mask.tif" in text
    assert str(path / "results") in text
    assert "Water" in text
    assert len(page.get("image")) == 2
    assert any("Download all" in label for label in labels(page, "download_button"))


def test_a_batch_names_what_went_wrong_beside_what_went_well(home: Path):
    names = ["a.tif", "b.tif"]
    path = job(home, [scene(home, name) for name in names], "finished")
    made = made_of("a.tif", "a", path / "results")
    write_results(path, [made], {"b.tif": "the image is cut off after 40 %."})

    page = visit(job=path.name)

    assert not page.exception
    table = page.dataframe[0].value
    assert list(table["File"]) == names
    assert list(table["State"]) == ["finished", "failed"]
    assert "cut off" in table["What went wrong"][1]
    assert list(table["Shares"][0]) == list(made.shares.values())


def test_a_stopped_prediction_says_how_far_it_came(home: Path):
    path = job(home, [scene(home)], "stopped")
    made = made_of("scene.tif", "scene", path / "results", rows=32, stopped=True)
    write_results(path, [made], {})

    page = visit(job=path.name)

    assert "32 of 64 rows are predicted" in seen(page)


def test_a_crashed_prediction_shows_the_reason_and_the_log(home: Path):
    path = job(home, [scene(home)], "failed")
    (path / "worker.log").write_text("it went wrong here")

    page = visit(job=path.name)

    assert page.error
    assert "it went wrong here" in seen(page)


def test_files_and_images_that_were_moved_away_are_no_error(home: Path):
    image = scene(home)
    path = job(home, [image], "finished")
    write_results(path, [made_of("scene.tif", "scene", path / "results")], {})
    image.unlink()
    shutil.rmtree(path / "results")

    page = visit(job=path.name)

    assert not page.exception
    assert not page.error
    assert "not where it was" in seen(page)
    assert "not in their folder" in seen(page)


@pytest.mark.parametrize("name", ["gone", "../models", "/etc"])
def test_a_link_to_a_prediction_that_is_not_there_says_so(home: Path, name: str):
    page = visit(job=name)

    assert not page.exception
    assert "may have been deleted" in seen(page)


def test_earlier_predictions_are_listed_and_deleted_after_a_question(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[Callable[[], None]] = []

    def ask(*question: Any, key: str) -> None:
        asked.append(question[-1])

    monkeypatch.setattr("terrainlib.ui.workers.ask", ask)
    path = job(home, [scene(home)], "finished")

    page = visit()
    page.button(key=f"studio_job_delete_{path.name}").click().run()
    assert path.exists()
    asked[0]()

    assert not path.exists()
    assert files.predictions_dir().exists()


def test_a_press_on_open_shows_an_earlier_prediction(home: Path):
    path = job(home, [scene(home)], "finished")
    page = visit()

    page.button(key=f"studio_job_open_{path.name}").click().run()

    assert not page.exception
    assert page.query_params["job"] == path.name


def test_wanted_has_no_defaults_of_its_own_here(
    home: Path, started: list[JobConfig], small_limit: None
):
    page = open_path(scene(home))

    press(page, "Start the prediction")

    assert started[0].wanted == Wanted()
