"""The prediction gallery page, as a person sees it."""

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


def open_page(folder: Path | None = None) -> AppTest:
    app = str(ROOT / "streamlit_app.py")
    page = AppTest.from_file(app, default_timeout=PAGE_TIMEOUT_S).switch_page(PAGE)
    page.query_params["model"] = "added/test.keras"
    if folder is not None:
        page.session_state["shared_dataset_source"] = "folder"
        page.session_state["shared_dataset_folders"] = {"folder": str(folder)}
    page.run()
    assert not page.exception
    return page


def predict(page: AppTest) -> AppTest:
    page.button(key="gallery_predict").click().run()
    assert not page.exception
    return page


def metrics(page: AppTest) -> dict[str, str]:
    return {item.label: item.value for item in page.metric}


def row_names(page: AppTest) -> list[str]:
    lines = [item.value for item in page.markdown if "pixel accuracy" in item.value]
    return [line.split("**")[1] for line in lines]


def part_box(page: AppTest) -> Any:
    return next(b for b in page.segmented_control if b.label == "Pairs to score it on")


def part_labels(page: AppTest) -> list[str]:
    return list(part_box(page).options)


def open_all(folder: Path) -> AppTest:
    page = part_box(open_page(folder)).set_value("all").run()
    assert not page.exception
    return page


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
    assert part_labels(page) == ["Held out (2)", "Trained on (4)", "All pairs (6)"]


def test_predicting_the_held_out_pairs_and_then_all_does_no_pair_twice(
    fresh: Path,
) -> None:
    page = predict(open_page(fresh))
    assert metrics(page)["Images"] == "2"
    assert any("may leak" in item.value for item in page.markdown)
    part_box(page).set_value("all").run()
    assert page.button(key="gallery_predict").label == "Predict 4 images"
    predict(page)
    assert metrics(page)["Images"] == "6"
    assert any("seen in training" in item.value for item in page.markdown)
    assert not any("may leak" in item.value for item in page.markdown)


def test_what_was_predicted_before_is_shown_at_once(judged: Path) -> None:
    page = open_page(judged)
    assert set(metrics(page)) == {
        *("Pixel accuracy", "mIoU", "Boundary F1", "Calibration error", "Images")
    }
    assert metrics(page)["Images"] == "2"
    assert all(value.endswith("%") or value == "2" for value in metrics(page).values())
    assert any("may leak" in item.value for item in page.markdown)
    assert len(page.get("image")) == 8  # image, prediction, truth, errors of two pairs
    assert len(row_names(page)) == 2
    assert len(page.get("vega_lite_chart")) == 4
    assert any(
        "Reliability" in (c.proto.alt or "") for c in page.get("vega_lite_chart")
    )


def test_the_rows_can_be_put_worst_first_best_first_or_by_name(judged: Path) -> None:
    page = open_all(judged)
    worst = row_names(page)
    assert len(worst) == 6
    page.segmented_control(key="gallery_order").set_value("best").run()
    assert not page.exception
    assert row_names(page) == worst[::-1]
    page.segmented_control(key="gallery_order").set_value("name").run()
    assert row_names(page) == sorted(worst)


def test_other_data_is_judged_as_a_whole_and_said_to_be_new(
    fresh: Path, tmp_path: Path
) -> None:
    page = open_page(write_folders_dataset(tmp_path / "other", pairs=3))
    assert part_labels(page) == ["All pairs (3)"]
    assert any("never saw this data set" in item.value for item in page.caption)
    predict(page)
    assert metrics(page)["Images"] == "3"
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
    assert len(page.error) == 1
    assert "none of the model's" in page.error[0].value.replace("\\", "")
    assert not page.metric


def test_a_row_can_be_sharpened_in_the_studio(judged: Path) -> None:
    page = open_page(judged)
    name = row_names(page)[0]
    page.button(key=f"gallery_studio_{name}").click()
    # the studio itself needs TensorFlow: only what it is asked for matters here
    page.run()
    request = page.session_state["studio_request"]
    assert request["pair_id"] == name
    assert request["dataset_folder"] == str(judged)
    assert request["model_path"].endswith("test.keras")


def test_tables_and_figures_can_be_downloaded(judged: Path) -> None:
    labels = [item.label for item in open_page(judged).get("download_button")]
    assert labels.count("CSV") == 4
    assert labels.count("Diagram") == 1
    assert labels.count("Figure") == 2
    assert labels.count("Figure of this page") == 1


def test_a_prediction_deleted_meanwhile_is_offered_to_be_made_again(
    judged: Path, home: Path
) -> None:
    page = open_page(judged)
    name = row_names(page)[0]
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
    page = predict(open_page(fresh))
    assert len(page.get("vega_lite_chart")) == 4
    button = page.button(key="gallery_settings")
    assert button.label == "Score the settings on 2 images"
    button.click().run()
    assert not page.exception
    assert_settings(page)
    forbid_tensorflow(monkeypatch)
    page = open_page(fresh)
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
    assert labels.count("CSV") == 5
    assert "gallery_settings" not in [button.key for button in page.button]


def test_settings_that_cannot_be_scored_give_one_sentence(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: Any, **_options: Any) -> None:
        raise DatasetError("none of the pairs can be read.", file="tiny")

    page = predict(open_page(fresh))
    monkeypatch.setattr(settings, "score_settings", fail)
    page.button(key="gallery_settings").click().run()
    assert not page.exception
    (error,) = page.error
    assert error.value.replace("\\", "") == "tiny: none of the pairs can be read."
