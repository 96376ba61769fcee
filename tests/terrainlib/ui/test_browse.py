"""The browser of folders: only what may be opened, one step at a time."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from terrainlib.ui import browse
from tests.conftest import PAGE_TIMEOUT_S


def script() -> None:
    import streamlit as st

    from terrainlib.ui.browse import browse

    st.session_state.setdefault("box_browse", True)
    browse("box", lambda path: st.session_state.update(picked=path))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one allowed folder, with what is shown and what is not."""
    root = tmp_path / "root"
    for folder in ("a10", "a2", ".hidden", "a2/deep"):
        (root / folder).mkdir(parents=True)
    for file in ("land.TIF", "notes.txt", "a2/deep/field.png"):
        (root / file).touch()
    (root / "way_out").symlink_to(tmp_path)
    monkeypatch.setattr("terrainlib.ui.browse.allowed_folders", lambda: (root,))
    monkeypatch.setattr("terrainlib.places.allowed_folders", lambda: (root,))
    return root


def start(at: Path) -> AppTest:
    page = AppTest.from_function(script, default_timeout=PAGE_TIMEOUT_S)
    page.session_state["box_browse_at"] = str(at)
    return step(page)


def step(page: AppTest) -> AppTest:
    page.run()
    assert not page.exception
    return page


def test_it_lists_folders_and_wanted_files_and_neither_links_nor_hidden(root: Path):
    box = start(root).selectbox[0]

    assert box.options == ["⬆ One folder up", "📁 a2", "📁 a10", "land.TIF"]
    assert box.value is None


def test_steps_lead_down_to_a_file_that_is_handed_over(root: Path):
    page = start(root)
    for name in ("a2", "a2/deep", "a2/deep/field.png"):
        page.selectbox[0].set_value(str(root / name))
        step(page)

    assert page.session_state["picked"] == str(root / "a2/deep/field.png")
    assert not page.session_state["box_browse"]


def test_the_folder_that_one_stands_in_can_be_taken(root: Path):
    page = start(root / "a2")
    page.button(key="box_browse_take").click()

    assert step(page).session_state["picked"] == str(root / "a2")


def test_above_an_allowed_folder_is_the_list_of_them(root: Path):
    page = start(root)
    page.selectbox[0].set_value("..")
    step(page)

    assert page.selectbox[0].options == [f"📁 {root}", "📁 Examples of this app"]
    assert not page.button


def test_a_place_outside_is_never_listed(root: Path, tmp_path: Path):
    assert start(tmp_path).selectbox[0].options[0] == f"📁 {root}"


def test_of_a_full_folder_the_rest_is_told(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(browse, "MAX_LISTED", 2)
    listed = browse.list_folder(root, {".tif"})

    assert [path.name for path in listed.folders] == ["a2", "a10"]
    assert (listed.files, listed.left_out) == ((), 1)
