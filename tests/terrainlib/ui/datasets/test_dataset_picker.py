"""The box that chooses a data set, apart from any page."""

import io
import shutil
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from terrainlib import files
from terrainlib.data.dataset import open_dataset
from terrainlib.ui.datasets.picker import sizes, summary
from tests.conftest import PAGE_TIMEOUT_S
from tests.synthetic import write_kaggle_dataset


def _script() -> None:
    import streamlit as st

    from terrainlib.ui.datasets.picker import pick_dataset

    dataset = pick_dataset(st.session_state["which"])
    st.text(f"{len(dataset.pairs)} of {dataset.name}" if dataset else "nothing")


@pytest.fixture
def new_box() -> AppTest:
    page = AppTest.from_function(_script, default_timeout=PAGE_TIMEOUT_S)
    page.session_state["which"] = "first"
    return page


@pytest.fixture
def box(new_box: AppTest) -> AppTest:
    """The box of a session that has turned to folders: no sample has to be read."""
    new_box.session_state["shared_dataset_source"] = "folder"
    return new_box


def _open(page: AppTest, folder: Path) -> None:
    page.segmented_control(key="first_source").set_value("folder").run()
    page.text_input(key="first_folder").set_value(str(folder))
    page.button(key="first_folder_send").click().run()
    assert not page.exception


def test_the_sample_is_chosen_at_first_and_a_folder_is_asked_for(
    new_box: AppTest,
) -> None:
    box = new_box.run()
    assert not box.exception
    assert box.text[0].value == "320 of sample"
    box.segmented_control(key="first_source").set_value("folder").run()
    assert not box.exception
    assert box.text[0].value == "nothing"
    assert "ID_i2.png" in box.caption[0].value


def test_the_choice_is_shared_by_the_pages(box: AppTest, tiny_dataset: Path) -> None:
    _open(box.run(), tiny_dataset)
    assert box.text[0].value == "6 of tiny"
    box.session_state["which"] = "second"
    box.run()
    assert not box.exception
    assert box.text[0].value == "6 of tiny"
    assert box.segmented_control(key="second_source").value == "folder"
    assert box.text_input(key="second_folder").value == str(tiny_dataset)


def test_each_source_remembers_its_own_folder(box: AppTest, tiny_dataset: Path) -> None:
    _open(box.run(), tiny_dataset)
    box.segmented_control(key="first_source").set_value("sample").run()
    assert box.text[0].value == "320 of sample"
    box.segmented_control(key="first_source").set_value("folder").run()
    assert box.text[0].value == "6 of tiny"


def test_a_mistyped_folder_can_be_corrected(box: AppTest, tiny_dataset: Path) -> None:
    _open(box.run(), tiny_dataset.with_name("tinny"))
    assert len(box.error) == 1
    assert box.text[0].value == "nothing"
    _open(box, tiny_dataset)
    assert not box.error
    assert box.text[0].value == "6 of tiny"


def test_an_unknown_source_of_an_old_session_falls_back_to_the_sample(
    box: AppTest,
) -> None:
    box.session_state["shared_dataset_source"] = "ftp"
    box.run()
    assert not box.exception
    assert box.text[0].value == "320 of sample"


def test_the_sizes_name_the_smallest_and_the_largest(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "mixed", pairs=1, size=16)
    assert sizes(open_dataset(folder)) == "16 × 16 px"
    write_kaggle_dataset(folder, pairs=2, size=24)
    write_kaggle_dataset(folder, pairs=1, size=48)
    assert sizes(open_dataset(folder)) == "24 × 24 to 48 × 48 px"


def test_the_summary_shows_names_as_text(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "*my* :red[set]", pairs=1, heights=False)
    (folder / "0002_t.png").write_text("no picture")
    line = summary(open_dataset(folder))
    assert r"\*my\* \:red\[set\]" in line
    assert "1 pair" in line
    assert "1 problem" in line
    assert "heights" not in line


def _upload(page: AppTest, name: str, data: bytes) -> None:
    page.segmented_control(key="first_source").set_value("zip").run()
    page.file_uploader(key="first_zip").upload(name, data).run()
    assert not page.exception


def test_a_zip_is_unpacked_again_where_its_folder_went_out(
    box: AppTest, tiny_dataset: Path
) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        for path in tiny_dataset.iterdir():
            made.write(path, path.name)
    _upload(box.run(), "my set.zip", data.getvalue())
    assert box.text[0].value == "6 of my set"

    (upload,) = (files.cache_dir() / "uploads").iterdir()
    shutil.rmtree(upload)
    box.run()

    assert not box.exception
    assert box.text[0].value == "6 of my set"
    assert upload.is_dir()


def test_a_bent_zip_is_refused_by_one_sentence(box: AppTest) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("a.png", "1")
    bent = bytearray(data.getvalue())
    bent[bent.index(b"PK\x01\x02") + 6] = 99  # the version it needs: 9.9

    _upload(box.run(), "bent.zip", bytes(bent))

    (shown,) = box.error
    assert shown.value.startswith("bent\\.zip\\: not a complete zip archive")
    assert box.text[0].value == "nothing"
