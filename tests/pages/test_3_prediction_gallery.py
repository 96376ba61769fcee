"""The prediction gallery page, as a person sees it."""

import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from terrainlib import files
from terrainlib.data.dataset import open_dataset
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.splits import random_split
from terrainlib.model.config import UNetConfig
from tests.conftest import PAGE_TIMEOUT_S, ROOT
from tests.synthetic import write_folders_dataset, write_kaggle_dataset

PAGE = "pages/3_Prediction_Gallery.py"


@pytest.fixture(scope="module")
def model_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A tiny untrained model whose split holds out 2 of the 6 pairs of `tiny`."""
    from terrainlib.model.modelfile import ModelRecord, save_model
    from terrainlib.model.network import build_unet

    folder = tmp_path_factory.mktemp("model")
    dataset = open_dataset(write_kaggle_dataset(folder / "tiny"))
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
    keras_file, _ = save_model(build_unet(config), record, folder / "saved")
    return keras_file.read_bytes()


@pytest.fixture
def model(model_bytes: bytes) -> str:
    """The tiny model among those added by hand; its id."""
    files.write_bytes(files.models_dir() / "test.keras", model_bytes)
    return "added/test.keras"


def open_page(model: str | None, folder: Path | None = None) -> AppTest:
    app = str(ROOT / "streamlit_app.py")
    page = AppTest.from_file(app, default_timeout=PAGE_TIMEOUT_S).switch_page(PAGE)
    if model is not None:
        page.query_params["model"] = model
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


def part_labels(page: AppTest) -> list[str]:
    box = next(b for b in page.segmented_control if b.label == "Pairs to judge it on")
    return list(box.options)


def test_without_a_model_the_page_says_where_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "terrainlib.ui.model_list.DEFAULT_MODEL", tmp_path / "none.keras"
    )
    page = open_page(None)
    assert page.info[0].value == "Train a model first, or add one from a file."
    assert not page.metric


def test_nothing_is_computed_before_it_is_asked_for(
    model: str, tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # importing it is an error now
    monkeypatch.setitem(sys.modules, "keras", None)
    page = open_page(model, tiny_dataset)
    assert page.button(key="gallery_predict").label == "Predict 2 images"
    assert not page.metric
    assert part_labels(page) == ["Held out (2)", "Trained on (4)", "All pairs (6)"]


def test_predicting_shows_scores_rows_and_the_warning_of_a_random_split(
    model: str, tiny_dataset: Path
) -> None:
    page = predict(open_page(model, tiny_dataset))
    assert set(metrics(page)) == {"Pixel accuracy", "mIoU", "Boundary F1", "Images"}
    assert metrics(page)["Images"] == "2"
    assert all(value.endswith("%") or value == "2" for value in metrics(page).values())
    assert any("may leak" in item.value for item in page.markdown)
    assert len(page.get("image")) == 8  # image, prediction, truth, errors of two pairs
    assert len(row_names(page)) == 2
    assert len(page.get("vega_lite_chart")) == 2


def test_what_was_predicted_is_shown_again_without_tensorflow(
    model: str, tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = metrics(predict(open_page(model, tiny_dataset)))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setitem(sys.modules, "keras", None)
    page = open_page(model, tiny_dataset)
    assert metrics(page) == first
    assert not [button for button in page.button if "Predict" in button.label]


def test_the_whole_set_reuses_what_is_there_and_says_it_was_seen(
    model: str, tiny_dataset: Path
) -> None:
    page = predict(open_page(model, tiny_dataset))
    box = next(b for b in page.segmented_control if b.label == "Pairs to judge it on")
    box.set_value("all").run()
    assert page.button(key="gallery_predict").label == "Predict 4 images"
    predict(page)
    assert metrics(page)["Images"] == "6"
    assert any("seen in training" in item.value for item in page.markdown)


def test_the_rows_can_be_put_worst_first_best_first_or_by_name(
    model: str, tiny_dataset: Path
) -> None:
    page = open_page(model, tiny_dataset)
    box = next(b for b in page.segmented_control if b.label == "Pairs to judge it on")
    box.set_value("all").run()
    predict(page)
    worst = row_names(page)
    page.segmented_control(key="gallery_order").set_value("best").run()
    assert not page.exception
    assert row_names(page) == worst[::-1]
    page.segmented_control(key="gallery_order").set_value("name").run()
    assert row_names(page) == sorted(worst)


def test_other_data_is_judged_as_a_whole_and_said_to_be_new(
    model: str, tmp_path: Path
) -> None:
    folder = write_folders_dataset(tmp_path / "other", pairs=3)
    page = open_page(model, folder)
    assert part_labels(page) == ["All pairs (3)"]
    assert any("not trained on this data set" in item.value for item in page.caption)
    predict(page)
    assert metrics(page)["Images"] == "3"
    assert not any("leak" in item.value for item in page.markdown)


def test_data_of_other_classes_gives_one_sentence(model: str, tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "strange", pairs=2)
    (folder / "classes.json").write_text(
        '[{"name": "Ice", "color": [1, 2, 3]}, {"name": "Rock", "color": [9, 9, 9]}]'
    )
    page = open_page(model, folder)
    assert len(page.error) == 1
    assert not page.metric


def test_a_row_can_be_sharpened_in_the_studio(model: str, tiny_dataset: Path) -> None:
    page = predict(open_page(model, tiny_dataset))
    name = row_names(page)[0]
    page.button(key=f"gallery_studio_{name}").click().run()
    assert not page.exception
    assert page.session_state["studio_request"]["pair_id"] == name
    assert page.session_state["studio_request"]["dataset_folder"] == str(tiny_dataset)


def test_tables_and_figures_can_be_downloaded(model: str, tiny_dataset: Path) -> None:
    page = predict(open_page(model, tiny_dataset))
    labels = [item.label for item in page.get("download_button")]
    assert labels.count("CSV") == 3
    assert labels.count("Figure") == 2
    assert labels.count("Figure of this page") == 1


def test_a_prediction_that_was_deleted_is_offered_to_be_made_again(
    model: str, tiny_dataset: Path
) -> None:
    predict(open_page(model, tiny_dataset))
    for picture in (files.cache_dir() / "predictions").rglob("*.png"):
        picture.unlink()
    page = open_page(model, tiny_dataset)
    assert page.button(key="gallery_predict").label == "Predict 2 images"
