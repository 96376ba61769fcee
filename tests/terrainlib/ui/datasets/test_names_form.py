"""The form for names that fit no rule: what it shows, and what is kept."""

import os
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from terrainlib import files
from terrainlib.data.choices import Choices, Patterns, read_choices, save_choices
from terrainlib.data.dataset import open_dataset
from terrainlib.ui.datasets.pairs import found_pairs
from tests.conftest import PAGE_TIMEOUT_S
from tests.synthetic import write_folders_dataset


def _script() -> None:
    import streamlit as st

    from terrainlib.ui.datasets.picker import pick_dataset

    dataset = pick_dataset("first")
    st.text(f"{len(dataset.pairs)} of {dataset.name}" if dataset else "nothing")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Return a folder of twelve pairs `N_s2.png` and `N_lc.png`, and one image more."""
    folder = write_folders_dataset(tmp_path / "odd", pairs=12, size=16, heights=False)
    for part, ending in (("images", "s2"), ("masks", "lc")):
        for number, path in enumerate(sorted((folder / part).iterdir()), start=1):
            path.rename(folder / f"area_{number}_{ending}.png")
        (folder / part).rmdir()
    (folder / "area_13_s2.png").write_bytes(b"")
    return folder


def _open(folder: Path) -> AppTest:
    page = AppTest.from_function(_script, default_timeout=PAGE_TIMEOUT_S)
    page.session_state["shared_dataset_source"] = "folder"
    page.session_state["shared_dataset_folders"] = {"folder": str(folder)}
    page.run()
    assert not page.exception
    return page


def test_the_names_are_shown_with_the_pairs_that_they_would_give(odd: Path) -> None:
    page = _open(odd)
    assert page.error[0].value.startswith("odd\\: no image with a mask")
    groups, pairs = (table.value for table in page.dataframe)
    assert groups["pattern"].tolist() == ["*_s2.png", "*_lc.png"]
    assert groups["files"].tolist() == [13, 12]
    assert page.selectbox(key="first_pattern_images").value == "*_s2.png"
    assert page.selectbox(key="first_pattern_masks").value == "*_lc.png"
    ids = [f"area_{number}" for number in range(1, 7)]
    assert pairs["Pair"].tolist() == ids  # area_2 before area_10
    assert any(
        "**12 pairs** · 1 image without a mask" in m.value for m in page.markdown
    )
    assert page.text[0].value == "nothing"


def test_accepted_names_are_kept_in_the_folder_and_open_it(odd: Path) -> None:
    save_choices(odd, Choices(bands=("red", 2, 1)))
    page = _open(odd)
    page.button(key="first_use").click().run()
    assert not page.exception
    assert page.text[0].value == "12 of odd"
    chosen = read_choices(odd)
    assert chosen == Choices(Patterns("*_s2.png", "*_lc.png"), ("red", 2, 1))
    assert open_dataset(odd).layout == "patterns"
    page.toggle(key="first_names").set_value(True).run()
    assert page.selectbox(key="first_pattern_images").value == "*_s2.png"
    page.button(key="first_forget").click().run()
    assert not page.exception
    assert page.text[0].value == "nothing"
    assert read_choices(odd) == Choices(bands=("red", 2, 1))


def test_names_that_give_no_pair_cannot_be_accepted(odd: Path) -> None:
    page = _open(odd)
    page.selectbox(key="first_pattern_masks").set_value("*_s2.png").run()
    assert "cannot stand for two things" in page.error[1].value
    assert page.button(key="first_use").disabled
    page.selectbox(key="first_pattern_masks").set_value("*_lc.png").run()
    assert not page.button(key="first_use").disabled


def test_a_folder_that_cannot_be_written_is_told_in_one_sentence(
    odd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = _open(odd)

    def refuse(path: Path, value: object) -> None:
        raise files.storage_error(path, OSError(30, os.strerror(30)))

    monkeypatch.setattr(files, "write_json", refuse)
    page.button(key="first_use").click().run()
    assert not page.exception
    shown = [error.value.replace("\\", "") for error in page.error]
    assert shown[1:] == ["dataset.json: The disk is read-only. Choose another folder."]


def test_a_data_set_that_is_mostly_unused_offers_to_say_its_names(
    tmp_path: Path,
) -> None:
    folder = write_folders_dataset(tmp_path / "few", pairs=3, size=16, heights=False)
    page = _open(folder)
    assert not page.toggle
    for number in (1, 2):
        path = folder / "masks" / f"tile_0{number}.png"
        path.rename(path.with_name(f"m{number}.png"))
    page.run()
    assert page.text[0].value == "1 of few"
    assert page.toggle(key="first_names")


def test_pairs_are_shown_as_people_sort_them(odd: Path) -> None:
    save_choices(odd, Choices(Patterns("*_s2.png", "*_lc.png")))
    dataset = open_dataset(odd)
    assert dataset.ids[:3] == ("area_1", "area_10", "area_11")  # splits go by it
    shown = [pair.id for pair in found_pairs(dataset)]
    assert shown == [f"area_{number}" for number in range(1, 13)]
