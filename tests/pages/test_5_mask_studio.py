"""The mask studio, as a person meets it."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from terrainlib.mask.gap import Gap
from terrainlib.ui import cached, state
from tests.models import KERAS_COPY_WARNING, hide_embedded_models, write_model
from tests.synthetic import terrain

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)

ROOT = Path(__file__).resolve().parents[2]


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
    add_model(terrainlib_home, models / "tiny.keras")
    return terrainlib_home


def add_model(home: Path, file: Path, name: str = "") -> Path:
    (home / "models").mkdir(exist_ok=True)
    return Path(shutil.copy(file, home / "models" / (name or file.name)))


def png(pixels: np.ndarray, path: Path) -> bytes:
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def visit(**session: object) -> AppTest:
    page = AppTest.from_file(str(ROOT / state.HOME_PAGE), default_timeout=60)
    page.switch_page(state.STUDIO_PAGE)
    for key, value in session.items():
        page.session_state[key] = value
    return page.run()


def seen(page: AppTest) -> str:
    """All text of a page in one."""
    elements = [*page.markdown, *page.error, *page.info, *page.caption, *page.success]
    return "\n".join(str(element.value) for element in elements)


def labels(page: AppTest, kind: str) -> list[str]:
    return [element.label for element in page.get(kind)]


def open_upload(data: bytes, name: str = "land.png") -> AppTest:
    page = visit(**{state.STUDIO_SOURCE: "upload"})
    page.file_uploader(key=state.STUDIO_UPLOAD).upload(name, data, "image/png").run()
    assert not page.exception
    return page


def test_without_any_model_it_says_where_to_get_one(
    terrainlib_home: Path, monkeypatch: pytest.MonkeyPatch
):
    hide_embedded_models(monkeypatch)

    page = visit()

    assert not page.exception
    assert page.info
    assert not page.get("download_button")


def test_the_first_visit_shows_a_scene_and_predicts_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*args: object, **options: object) -> None:
        raise AssertionError("predicted without being asked")

    monkeypatch.setattr("terrainlib.mask.prediction.predict_image", fail)

    page = visit()

    assert not page.exception
    assert page.selectbox(key=state.STUDIO_SCENE).value == "europe"
    assert "Make the mask" in labels(page, "button")
    assert not page.get("download_button")


def test_an_uploaded_image_gets_legend_shares_view_and_downloads(
    home: Path, tmp_path: Path
):
    page = open_upload(png(terrain(48, seed=5)[0], tmp_path / "land.png"))

    assert not page.error
    assert "Grassland" in seen(page)
    assert len(page.get("bidi_component")) == 2  # the view, and what sees failures
    assert len(page.get("arrow_vega_lite_chart") or page.get("vega_lite_chart")) == 1
    offered = labels(page, "download_button")
    assert offered == [
        "Areas (CSV)",
        "Class mask (PNG)",
        "Soft mask (PNG)",
        "Sharpened mask (PNG)",
        "Overlay (PNG)",
        "World-builder's pack (ZIP)",
    ]
    assert "does not say where it lies on the Earth" in seen(page)


def open_scene() -> AppTest:
    page = visit()
    [button] = [b for b in page.button if b.label == "Make the mask"]
    button.click().run()
    assert not page.exception
    return page


def table(page: AppTest) -> pd.DataFrame:
    return page.table[0].value


def test_a_georeferenced_scene_is_offered_for_gis_too(home: Path):
    page = open_scene()

    offered = labels(page, "download_button")
    assert offered[5:-1] == [
        "Class mask (GeoTIFF)",
        "Class names (AUX.XML)",
        "Soft mask (GeoTIFF)",
        "Probabilities (GeoTIFF)",
        "Sharpened mask (GeoTIFF)",
        "Polygons (GeoPackage)",
        "Polygons (GeoJSON)",
    ]
    assert not any(button.disabled for button in page.get("download_button"))
    assert all(text.endswith("km²") for text in table(page)["Area"])


def test_areas_without_a_place_are_in_pixels_and_say_what_is_not_known(
    home: Path, tmp_path: Path
):
    page = open_upload(png(terrain(48, seed=5)[0], tmp_path / "land.png"))

    areas = table(page)["Area"]
    assert all(text.endswith(" px") for text in areas)
    assert sum(int(text.split()[0].replace(",", "")) for text in areas) == 48 * 48
    assert "does not tell which errors the model makes" in seen(
        page
    )  # the tiny model's
    assert "The model is unsure of" in seen(page)


def test_cleaning_changes_the_areas_and_is_still_set_after_another_page(
    home: Path, tmp_path: Path
):
    page = open_upload(png(terrain(48, seed=5)[0], tmp_path / "land.png"))
    before = table(page)["Area"].tolist()

    page.slider(key=f"{state.STUDIO_CLEANING}_sieve").set_value(400).run()

    assert not page.exception
    assert "Cleaning changed" in seen(page)
    after = table(page)["Area"].tolist()
    assert after != before
    page.switch_page(state.MODELS_PAGE).run()
    page.switch_page(state.STUDIO_PAGE).run()
    assert table(page)["Area"].tolist() == after


def test_a_model_that_knows_nothing_of_its_images_says_so(home: Path, tmp_path: Path):
    page = open_upload(png(terrain(48, seed=5)[0], tmp_path / "land.png"))

    assert "Not compared with the training images" in seen(page)


def test_another_scale_predicts_again_and_an_empty_box_goes_back(
    home: Path, tmp_path: Path
):
    page = open_upload(png(terrain(48, seed=5)[0], tmp_path / "land.png"))
    assert "The mask was made at 1" in seen(page)

    [box] = page.number_input
    box.set_value(0.5).run()
    assert not page.exception
    assert "The mask was made at 0.5" in seen(page)
    page.switch_page(state.MODELS_PAGE).run()
    page.switch_page(state.STUDIO_PAGE).run()
    assert "The mask was made at 0.5" in seen(page)

    [box] = page.number_input
    box.set_value(None).run()
    assert "The mask was made at 1" in seen(page)


def test_a_different_image_offers_the_better_scale(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gap = Gap("different", ("much smoother",), scale_factor=0.5)
    monkeypatch.setattr("terrainlib.ui.studio.masks.scene_gap", lambda *_, **__: gap)
    page = open_upload(png(terrain(48, seed=5)[0], tmp_path / "land.png"))
    assert "Different from the training images" in seen(page)
    assert "much smoother" in seen(page)

    [button] = [b for b in page.button if b.label.startswith("Predict at 0.5")]
    button.click().run()

    assert not page.exception
    assert "The mask was made at 0.5" in seen(page)


def test_the_pack_asks_for_the_size_that_the_engine_takes(home: Path, tmp_path: Path):
    page = open_upload(png(terrain(48, seed=5)[0], tmp_path / "land.png"))

    page.selectbox(key=f"{state.STUDIO_PACK}_engine").set_value("unity").run()

    assert not page.exception
    assert page.selectbox(key=f"{state.STUDIO_PACK}_size_unity").value == 65


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("note.png", b"this is no picture"),
        ("empty.png", b""),
        ("half.png", None),
        ("scene.nc", b"CDF no picture either"),
    ],
)
def test_a_bad_upload_is_one_sentence_with_its_name(
    home: Path, tmp_path: Path, name: str, data: bytes | None
):
    if data is None:
        whole = png(terrain(48, seed=5)[0], tmp_path / "whole.png")
        data = whole[: len(whole) // 2]

    page = open_upload(data, name)

    [box] = page.file_uploader
    assert not list(box.proto.type)  # what the box refuses gets no sentence
    assert len(page.error) == 1
    assert name.replace(".", r"\.") in page.error[0].value
    assert not page.get("download_button")


def test_a_model_for_heights_asks_for_them_before_it_predicts(
    home: Path, models: Path, tmp_path: Path
):
    (home / "models" / "tiny.keras").unlink()
    add_model(home, models / "high.keras")
    rgb, _, height = terrain(48, seed=5)

    page = open_upload(png(rgb, tmp_path / "land.png"))
    assert not page.get("download_button")
    assert len(page.get("file_uploader")) == 2

    heights = png(height, tmp_path / "land_h.png")
    box = page.file_uploader(key=state.STUDIO_HEIGHT)
    box.upload("land_h.png", heights, "image/png").run()

    assert not page.exception
    assert not page.error
    assert page.get("download_button")


def test_heights_of_another_size_are_one_sentence(
    home: Path, models: Path, tmp_path: Path
):
    (home / "models" / "tiny.keras").unlink()
    add_model(home, models / "high.keras")
    page = open_upload(png(terrain(48, seed=5)[0], tmp_path / "land.png"))

    heights = png(terrain(40, seed=5)[2], tmp_path / "land_h.png")
    box = page.file_uploader(key=state.STUDIO_HEIGHT)
    box.upload("land_h.png", heights, "image/png").run()

    assert not page.exception
    assert len(page.error) == 1
    assert "same size" in page.error[0].value


def test_a_pair_of_the_gallery_opens_with_its_model(
    home: Path, models: Path, tiny_dataset: Path
):
    add_model(home, models / "tiny.keras", "other.keras")
    request = {
        "dataset_folder": str(tiny_dataset),
        "pair_id": "0002",
        "model_path": str(home / "models" / "other.keras"),
    }

    page = visit(**{state.STUDIO_REQUEST: request, state.STUDIO_NEWS: True})

    assert not page.exception
    assert page.segmented_control(key=state.STUDIO_SOURCE).value == "gallery"
    assert "0002" in seen(page)
    assert page.selectbox(key=state.STUDIO_MODEL).value == "added/other.keras"
    assert page.get("download_button")


def test_a_pair_that_is_gone_is_one_sentence(home: Path):
    request = {
        "dataset_folder": str(home / "gone"),
        "pair_id": "0002",
        "model_path": "default",
    }

    page = visit(**{state.STUDIO_REQUEST: request, state.STUDIO_NEWS: True})

    assert not page.exception
    assert len(page.error) == 1
    assert str(home) not in page.error[0].value


def test_what_the_session_keeps_is_small_and_plain(home: Path, tmp_path: Path):
    data = png(terrain(48, seed=5)[0], tmp_path / "land.png")
    page = open_upload(data)

    kept = page.session_state._state.filtered_state
    # Streamlit's own classes
    components = (state.STUDIO_VIEW, state.STUDIO_VIEW_AHEAD, state.STUDIO_FAILURES)
    own = {k: v for k, v in kept.items() if k not in components}
    own = {k: v for k, v in own.items() if not k.startswith(state.STUDIO_UPLOAD)}

    assert len(pickle.dumps(own)) < 4000
