"""The prediction gallery page, as a person sees it."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from terrainlib.data.dataset import open_dataset
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.splits import random_split
from terrainlib.errors import DatasetError
from terrainlib.model.config import UNetConfig
from terrainlib.ui.gallery import settings
from tests.conftest import PAGE_TIMEOUT_S, ROOT
from tests.crafted_runs import craft_run
from tests.models import hide_embedded_models
from tests.synthetic import write_folders_dataset, write_kaggle_dataset

PAGE = "pages/4_Prediction_Gallery.py"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with `tiny` (6 pairs) and an untrained model that has predicted them."""
    from terrainlib.mask.scores.gallery import open_gallery
    from terrainlib.model.modelfile import load_model
    from terrainlib.model.network import build_unet
    from terrainlib.model.reading.writer import save_model
    from terrainlib.model.record import ModelRecord

    home = tmp_path_factory.mktemp("home")
    dataset = open_dataset(write_kaggle_dataset(home / "tiny"))
    config = UNetConfig(image_size=32, filters=(4, 8), stem_stride=1)
    record = ModelRecord(
        config=config.to_dict(),
        classes=[{"name": c.name, "color": list(c.color)} for c in KAGGLE_CLASSES],
        name="Test model",
        scale=1.0,
        receptive_field=16,
        split=random_split(dataset.ids, share=0.3).to_dict(),
        dataset={"name": "tiny", "pairs": 6, "fingerprint": dataset.fingerprint},
    )
    keras_file, _ = save_model(build_unet(config), record, home / "saved")
    (home / "models").mkdir()
    shutil.copy(keras_file, home / "models" / "test.keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAINLIB_HOME", str(home))
        open_gallery(load_model(home / "models" / "test.keras"), dataset, split="all")
    return home


@pytest.fixture
def fresh(home: Path, terrainlib_home: Path) -> Path:
    """Return a copy of `tiny` in a home where the model has predicted nothing yet."""
    shutil.copytree(home / "models", terrainlib_home / "models")
    return Path(shutil.copytree(home / "tiny", terrainlib_home / "tiny"))


@pytest.fixture
def judged(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return `tiny` in the home where it is predicted; TensorFlow cannot be loaded."""
    monkeypatch.setenv("TERRAINLIB_HOME", str(home))
    forbid_tensorflow(monkeypatch)
    return home / "tiny"


def forbid_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensorflow", "keras"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it is an error now


def open_page(
    folder: Path | None = None,
    *,
    tab: str | None = None,
    model: str = "added/test.keras",
    **link: str,
) -> AppTest:
    app = str(ROOT / "streamlit_app.py")
    page = AppTest.from_file(app, default_timeout=PAGE_TIMEOUT_S).switch_page(PAGE)
    page.query_params["model"] = model
    if folder is not None:
        page.query_params["dataset"] = str(folder)
    if tab is not None:
        page.query_params["gallery_tab"] = tab
    for name, value in link.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def predict(page: AppTest) -> AppTest:
    page.button(key="gallery_predict").click().run()
    assert not page.exception
    return page


def metrics(page: AppTest) -> dict[str, str]:
    return {item.label: item.value for item in page.metric}


def card_names(page: AppTest, key: str = "gallery_cards") -> list[str]:
    """Return the images of the cards, in their order."""
    view = next(view for view in page.get("bidi_component") if view.key == key)
    return [card["id"] for card in sent_to(view)["cards"]]


def opened(page: AppTest) -> str | None:
    """Return the image that is open."""
    views = page.get("bidi_component")
    view = next(view for view in views if view.key == "gallery_open")
    shown: str | None = sent_to(view)["at"]
    return shown


def sent_to(view: Any) -> dict[str, Any]:
    """Return the plain part of what a component of pictures was given."""
    return dict(json.loads(view.proto.mixed.json))


def images(page: AppTest) -> str:
    """Return how many images the line of scores counts."""
    line = next(item.value for item in page.markdown if "mIoU" in item.value)
    return str(line.split("  ·  ")[-1])


def part_box(page: AppTest) -> Any:
    return next(b for b in page.segmented_control if b.label == "Pairs to score it on")


def part_labels(page: AppTest) -> list[str]:
    return list(part_box(page).options)


def open_all(folder: Path) -> AppTest:
    page = part_box(open_page(folder)).set_value("all").run()
    assert not page.exception
    return page


def add_run(home: Path, data: Path, name: str) -> str:
    """Make a run of the model on a data set; return the id of its model."""
    run = craft_run(data, name=name, epochs=1)
    shutil.copy(home / "models" / "test.keras", run / "model.keras")
    return f"run/{run.name}"


def offered(page: AppTest) -> list[str]:
    return list(page.selectbox(key="gallery_data").options)


def test_without_a_model_the_page_says_where_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hide_embedded_models(monkeypatch)
    page = open_page()
    assert page.info[0].value == "Train a model first, or add one from a file."
    assert not page.metric


def test_nothing_is_computed_before_it_is_asked_for(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_tensorflow(monkeypatch)
    page = open_page(fresh)
    assert page.button(key="gallery_predict").label == "Predict 2 images"
    assert not page.metric
    assert part_labels(page) == ["Held out (2)", "Trained on (4)", "All (6)"]


def test_predicting_the_held_out_pairs_and_then_all_does_no_pair_twice(
    fresh: Path,
) -> None:
    page = predict(open_page(fresh))
    assert images(page) == "2 images"
    assert any("may leak" in item.value for item in page.markdown)
    part_box(page).set_value("all").run()
    assert page.button(key="gallery_predict").label == "Predict 4 images"
    predict(page)
    assert images(page) == "6 images"
    assert any("seen in training" in item.value for item in page.markdown)
    assert not any("may leak" in item.value for item in page.markdown)


def test_what_was_predicted_before_is_shown_at_once(judged: Path) -> None:
    page = open_page(judged, tab="Scores")
    assert set(metrics(page)) == {
        *("Pixel accuracy", "mIoU", "Boundary F1", "Calibration error", "Images")
    }
    shown = metrics(page)
    assert shown.pop("Images") == "2"
    assert all(re.fullmatch(r"[01]\.\d{3}", value) for value in shown.values())
    assert any("may leak" in item.value for item in page.markdown)
    assert len(card_names(open_page(judged))) == 2
    assert len(page.get("vega_lite_chart")) == 4
    assert any(
        "Reliability" in (c.proto.alt or "") for c in page.get("vega_lite_chart")
    )


def test_the_rows_can_be_put_worst_first_best_first_or_by_name(judged: Path) -> None:
    page = open_all(judged)
    worst = card_names(page)
    assert len(worst) == 6
    page.segmented_control(key="gallery_order").set_value("best").run()
    assert not page.exception
    assert card_names(page) == worst[::-1]
    page.segmented_control(key="gallery_order").set_value("name").run()
    assert card_names(page) == sorted(worst)


def test_other_data_is_judged_as_a_whole_and_said_to_be_new(
    fresh: Path, tmp_path: Path
) -> None:
    page = open_page(write_folders_dataset(tmp_path / "other", pairs=3))
    assert part_labels(page) == ["All (3)"]
    assert any("has never seen this data set" in item.value for item in page.caption)
    predict(page)
    assert images(page) == "3 images"
    assert not any("leak" in item.value for item in page.markdown)


def test_data_of_other_classes_gives_one_sentence(fresh: Path, tmp_path: Path) -> None:
    folder = tmp_path / "strange"
    folder.mkdir()
    for number in (1, 2):
        Image.new("RGB", (16, 16), (90, 90, 90)).save(folder / f"{number}_t.png")
        mask = Image.new("RGB", (16, 16), (255, 0, 0))
        mask.paste((0, 0, 255), (0, 0, 8, 16))
        mask.save(folder / f"{number}_i2.png")
    page = open_page(folder)
    assert "strange" not in offered(page)
    assert not page.error
    page = open_page()
    page.session_state["shared_dataset_source"] = "folder"
    page.session_state["shared_dataset_folders"] = {"folder": str(folder)}
    page.selectbox(key="gallery_data").set_value("other").run()
    assert len(page.error) == 1
    assert "none of the model's" in page.error[0].value.replace("\\", "")
    assert not page.metric


def test_tables_and_figures_can_be_downloaded(judged: Path) -> None:
    page = open_page(judged, tab="Scores")
    labels = [item.label for item in page.get("download_button")]
    assert labels == ["Diagram", *["CSV"] * 4]
    page = open_page(judged)
    labels = [item.label for item in page.get("download_button")]
    assert labels == ["Figure of this page"]


def test_a_prediction_deleted_meanwhile_is_offered_to_be_made_again(
    judged: Path, home: Path
) -> None:
    page = open_page(judged)
    name = card_names(page)[0]
    picture = next((home / "cache" / "predictions").rglob(f"{name}.png"))
    data = picture.read_bytes()
    picture.unlink()
    try:
        again = open_page(judged)
        assert again.button(key="gallery_predict").label == "Predict 1 image"
    finally:
        picture.write_bytes(data)


def test_settings_are_scored_when_asked_for_and_then_kept(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = predict(open_page(fresh, tab=settings.TITLE))
    button = page.button(key="gallery_settings")
    assert button.label == "Score the settings on 2 images"
    button.click().run()
    assert not page.exception
    assert_settings(page)
    forbid_tensorflow(monkeypatch)
    page = open_page(fresh, tab=settings.TITLE)
    assert_settings(page)
    choice = page.segmented_control(key="gallery_settings_score")
    choice.set_value("boundary_f1").run()
    assert not page.exception
    assert_settings(page, "Boundary F1")


def assert_settings(page: AppTest, score: str = "mIoU") -> None:
    charts = [c.proto.alt or "" for c in page.get("vega_lite_chart")]
    for kind in ("sharpening", "cleaning"):
        assert sum(f"Line chart, {score} by {kind}" in text for text in charts) == 1
    answers = [m.value for m in page.markdown if m.value.startswith(("Yes: ", "No: "))]
    assert len(answers) == 1
    assert f" the {score} " in answers[0]
    labels = [item.label for item in page.get("download_button")]
    assert labels.count("CSV") == 1
    assert "gallery_settings" not in [button.key for button in page.button]


def test_settings_that_cannot_be_scored_give_one_sentence(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: Any, **_options: Any) -> None:
        raise DatasetError("none of the pairs can be read.", file="tiny")

    page = predict(open_page(fresh, tab=settings.TITLE))
    monkeypatch.setattr(settings, "score_settings", fail)
    page.button(key="gallery_settings").click().run()
    assert not page.exception
    (error,) = page.error
    assert error.value.replace("\\", "") == "tiny: none of the pairs can be read."


def test_a_model_brings_the_data_set_that_it_was_trained_on(
    fresh: Path, terrainlib_home: Path
) -> None:
    model = add_run(terrainlib_home, fresh, "islands")
    for known in (model, "added/test.keras"):  # which has the fingerprint of the run's
        page = open_page(model=known)
        assert page.selectbox(key="gallery_data").value == str(fresh)
        assert "tiny · trained on it" in offered(page)
        assert part_labels(page)[0] == "Held out (2)"
        assert not page.error


@pytest.mark.parametrize("why", ["gone", "not allowed"])
def test_where_its_data_set_cannot_be_opened_the_page_asks_for_one_that_fits(
    fresh: Path,
    terrainlib_home: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    moved = shutil.copytree(fresh, tmp_path_factory.mktemp("away") / "mine")
    model = add_run(terrainlib_home, moved, "mine")
    add_run(terrainlib_home, fresh, "islands")
    if why == "gone":
        shutil.rmtree(moved)
    else:
        folders = (terrainlib_home,)
        monkeypatch.setattr("terrainlib.places.allowed_folders", lambda: folders)
    page = open_page(model=model)
    assert [f"**{moved.name}**" in item.value for item in page.info] == [True]
    assert not page.error
    assert offered(page) == ["Embedded sample", "tiny", "Another data set …"]
    page.selectbox(key="gallery_data").set_value(str(fresh)).run()
    assert page.button(key="gallery_predict").label == "Predict 2 images"
    assert str(fresh) in page.query_params["dataset"]


def test_a_link_opens_an_image_and_a_mistake(judged: Path) -> None:
    name = card_names(open_page(judged))[1]
    page = open_page(judged, image=name)
    assert opened(page) == name
    page = open_page(judged, tab="Scores", mistake="Water taken for Forest")
    said = [item.value for item in (*page.markdown, *page.caption)]
    assert any("Water taken for Forest" in text for text in said)
    assert not open_page(judged, image="../0001", mistake="x").error


def test_images_are_filtered_by_class_and_score(judged: Path) -> None:
    page = open_all(judged)
    every = card_names(page)
    page.slider(key="gallery_score").set_value((0.99, 1.0)).run()
    assert [item.title for item in page.info] == ["No image fits"]
    page.slider(key="gallery_score").set_value((0.0, 1.0))
    page.selectbox(key="gallery_class").set_value("Water").run()
    assert not page.exception
    assert set(card_names(page)) <= set(every)
