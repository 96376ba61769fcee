"""The pixel classifier: fitted in memory, and used as any other model."""

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from terrainlib import files
from terrainlib.data.dataset import open_dataset
from terrainlib.mask.prediction import predict_image
from terrainlib.ui.datasets.splits import has_seen, parts_of
from terrainlib.ui.models import picker
from terrainlib.ui.models.picker import PixelChoice, model_of, pixel_entry, stamp_of
from tests.conftest import PAGE_TIMEOUT_S
from tests.synthetic import terrain, write_kaggle_dataset


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picker, "IMAGE_SIZE_PX", 32)


@pytest.mark.parametrize("height", [False, True])
def test_a_word_stands_for_data_and_heights(height: bool) -> None:
    choice = PixelChoice("/data/a:b", height)

    assert PixelChoice.of_word(choice.word) == choice


@pytest.mark.parametrize("word", ["default", "/models/a.keras", "pixels-x:/data", ""])
def test_other_words_are_other_models(word: str) -> None:
    assert PixelChoice.of_word(word) is None


@pytest.mark.parametrize("height", [False, True])
def test_the_entry_predicts_as_a_model_and_leaves_no_file_of_its_own(
    tiny_dataset: Path, height: bool
) -> None:
    entry = pixel_entry(PixelChoice(str(tiny_dataset), height))
    model = model_of(entry.model)
    rgb, _, heights = terrain(40, seed=1)
    metres = heights.astype(np.float32) if height else None
    prediction = predict_image(model, (rgb / 255).astype(np.float32), height=metres)

    assert prediction.classes.shape == (40, 40)
    assert entry.record is not None
    assert entry.record.config["height"] is height
    assert PixelChoice.of_word(entry.model) == PixelChoice(str(tiny_dataset), height)
    left = {path.relative_to(files.home_dir()).parts[:2] for path in written()}
    of_the_data = ("pairs", "scans", "datasets", "bands")
    assert left <= {("cache", name) for name in of_the_data}


def written() -> list[Path]:
    home = files.home_dir()
    return [p for p in home.rglob("*") if p.is_file() and "tiny" not in p.parts]


def test_it_is_fitted_once_and_again_when_the_data_change(tiny_dataset: Path) -> None:
    word = PixelChoice(str(tiny_dataset), False).word
    first, stamp = model_of(word), stamp_of(word)
    assert model_of(word) is first

    write_kaggle_dataset(tiny_dataset, pairs=7)

    assert stamp_of(word) != stamp
    assert model_of(word).network.digest != first.network.digest


def test_it_has_seen_all_pairs_of_its_data(tiny_dataset: Path) -> None:
    record = pixel_entry(PixelChoice(str(tiny_dataset), False)).record
    dataset = open_dataset(tiny_dataset)

    assert parts_of(record, dataset) == {"all": 6}
    assert has_seen(record, dataset, "all")


def _picker() -> None:
    import streamlit as st

    from terrainlib.ui.models.picker import pick_pixel_classifier

    entry = pick_pixel_classifier("box")
    st.session_state["picked"] = entry.model if entry else None


def pick(folder: Path | None) -> AppTest:
    page = AppTest.from_function(_picker, default_timeout=PAGE_TIMEOUT_S)
    page.session_state["shared_dataset_folder"] = str(folder) if folder else None
    page.run()
    assert not page.exception
    return page


def test_the_box_begins_with_the_data_chosen_in_the_app(tiny_dataset: Path) -> None:
    page = pick(tiny_dataset)

    assert page.session_state["picked"] == f"pixels-image:{tiny_dataset}"
    assert page.selectbox[0].options == ["tiny", "Embedded sample"]
    assert page.selectbox[0].value == str(tiny_dataset)
    assert "looks at single pixels" in page.caption[0].value


def test_heights_are_used_when_they_are_there_and_asked_for(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    page = pick(tiny_dataset)
    page.toggle[0].set_value(True).run()
    assert page.session_state["picked"] == f"pixels-height:{tiny_dataset}"

    flat = write_kaggle_dataset(tmp_path / "flat", heights=False)
    assert not pick(flat).toggle


def test_data_that_cannot_be_learnt_from_give_one_sentence(tmp_path: Path) -> None:
    page = pick(tmp_path / "gone")

    assert page.session_state["picked"] is None
    assert len(page.error) == 1
    assert page.error[0].proto.title == "The pixel classifier cannot be fitted"
