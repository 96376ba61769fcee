"""A labelled scene becomes a data set in the box that chooses one."""

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from terrainlib.data.dataset import open_dataset
from tests.conftest import PAGE_TIMEOUT_S
from tests.imagefiles import tiff, write
from tests.labelled import GRID, UTM, features, scene, square


def _script() -> None:
    import streamlit as st

    from terrainlib.ui.datasets.picker import pick_dataset

    dataset = pick_dataset("box")
    st.text(f"{len(dataset.pairs)} of {dataset.name}" if dataset else "nothing")


@pytest.fixture
def box() -> AppTest:
    page = AppTest.from_function(_script, default_timeout=PAGE_TIMEOUT_S)
    page.session_state["shared_dataset_source"] = "scene"
    return page.run()


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    fields = {"kind": ["Water", "Forest"], "owner": ["a", "b"]}
    shapes = [square(4, 4, 20), square(40, 40, 20)]
    return features(tmp_path / "labels.gpkg", shapes, fields)


def test_named_files_become_a_data_set_that_opens(
    box: AppTest, labels: Path, tmp_path: Path
) -> None:
    box.text_input(key="box_scene_image").set_value(str(scene(tmp_path)))
    box.text_input(key="box_scene_labels").set_value(str(labels)).run()
    box.selectbox(key="box_scene_size").set_value(32)
    box.button(key="box_scene_make").click().run()
    (shown,) = box.error
    assert "not clear which field" in shown.value
    box.selectbox(key="box_scene_field").set_value("kind")
    box.button(key="box_scene_make").click().run()
    assert not box.exception
    assert not box.error
    assert box.text[0].value == "2 of scene"
    assert (tmp_path / "datasets" / "scene" / "patches.csv").exists()


def test_uploads_become_one_too_and_leave_nothing_else(
    box: AppTest, labels: Path, tmp_path: Path
) -> None:
    image = scene(tmp_path)
    box.file_uploader(key="box_scene_image_upload").upload(
        "mine.tif", image.read_bytes()
    )
    box.file_uploader(key="box_scene_labels_upload").upload(
        "labels.gpkg", labels.read_bytes()
    ).run()
    box.selectbox(key="box_scene_field").set_value("kind")
    box.selectbox(key="box_scene_size").set_value(32)
    box.button(key="box_scene_make").click().run()
    assert not box.exception
    assert box.text[0].value == "2 of mine"
    assert not list((tmp_path / "cache").glob("**/*.gpkg"))


def test_bands_and_heights_are_chosen_with_it(
    box: AppTest, labels: Path, tmp_path: Path
) -> None:
    data = tiff(np.full((64, 64), 90, np.int16), crs=UTM, transform=GRID)
    box.text_input(key="box_scene_image").set_value(str(scene(tmp_path)))
    box.text_input(key="box_scene_heights").set_value(
        str(write(tmp_path, "dem.tif", data))
    )
    box.text_input(key="box_scene_bands").set_value("b4, 1")
    box.text_input(key="box_scene_labels").set_value(str(labels)).run()
    box.selectbox(key="box_scene_field").set_value("kind")
    box.selectbox(key="box_scene_size").set_value(32)
    box.button(key="box_scene_make").click().run()

    assert not box.exception
    assert not box.error
    dataset = open_dataset(tmp_path / "datasets" / "scene")
    assert dataset.has_heights
    assert dataset.bands.names == ("b4", "red")


def test_without_files_a_sentence_asks_for_them(box: AppTest) -> None:
    box.button(key="box_scene_make").click().run()
    (shown,) = box.error
    assert "An image and its labels are needed" in shown.value
