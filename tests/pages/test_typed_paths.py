"""Every place where a path or a name enters a page: what lies outside stays closed."""

import os
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from terrainlib.ui import state
from tests.conftest import PAGE_TIMEOUT_S, ROOT, more
from tests.synthetic import write_kaggle_dataset

OUTSIDE = "outside the folders that may be opened"
BOXES = {
    state.DATASET_PAGE: "preview",
    state.TRAINING_PAGE: "training",
    state.GALLERY_PAGE: "gallery",
}
FIRST, *OTHERS = BOXES


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set that is not in an allowed folder."""
    return write_kaggle_dataset(tmp_path_factory.mktemp("outside") / "secret", pairs=2)


def open_page(page: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.switch_page(page)
    app.query_params["dataset"] = "other"  # the gallery: a data set of one's own choice
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def seen(page: AppTest) -> str:
    kinds = ("markdown", "error", "info", "caption", "title", "header", "code")
    elements = [element for kind in kinds for element in page.get(kind)]
    return "\n".join(str(element.value) for element in elements).replace("\\", "")


def open_folder(page: AppTest, key: str, typed: object) -> AppTest:
    page.segmented_control(key=f"{key}_source").set_value("folder").run()
    page.text_input(key=f"{key}_folder").set_value(str(typed))
    page.button(key=f"{key}_folder_send").click().run()
    assert not page.exception
    return page


@pytest.mark.parametrize("page", [FIRST, *more(*OTHERS)])
def test_a_data_set_outside_is_refused_by_one_sentence(
    terrainlib_home: Path, outside: Path, page: str
):
    link = terrainlib_home / "link"
    link.symlink_to(outside)
    dots = terrainlib_home / os.path.relpath(outside, terrainlib_home)
    opened = open_page(page)

    for typed in (outside, dots, link):
        shown = open_folder(opened, BOXES[page], typed)

        assert [OUTSIDE in error.value for error in shown.error] == [True], typed
        assert "2 pairs" not in seen(shown)
        assert shown.session_state[state.DATASET_FOLDER] is None


def test_a_data_set_inside_is_opened_however_it_is_written(
    terrainlib_home: Path, outside: Path
):
    folder = write_kaggle_dataset(terrainlib_home / "tiles", pairs=2)
    (terrainlib_home / "link").symlink_to(folder)
    page = open_page(state.DATASET_PAGE)

    for typed in (folder, f'"{folder.parent}/x/../tiles"', terrainlib_home / "link"):
        open_folder(page, "preview", typed)

        assert not page.error
        assert "2 pairs" in seen(page)
        assert page.session_state[state.DATASET_FOLDER] == str(folder.resolve())


def test_a_folder_that_came_to_lead_out_is_refused_the_next_time(
    terrainlib_home: Path, outside: Path
):
    folder = write_kaggle_dataset(terrainlib_home / "tiles", pairs=2)
    page = open_folder(open_page(state.DATASET_PAGE), "preview", folder)
    folder.rename(terrainlib_home / "moved")
    folder.symlink_to(outside)

    page.run()

    assert [OUTSIDE in error.value for error in page.error] == [True]


def _instant(folder: str) -> None:
    from terrainlib.ui.models.picker import pick_pixel_classifier

    pick_pixel_classifier("box")


def test_a_box_that_is_sent_a_path_of_no_choice_opens_nothing(outside: Path):
    """A choice arrives as text, and Streamlit does not ask whether it was offered."""
    page = AppTest.from_function(
        _instant, args=(str(outside),), default_timeout=PAGE_TIMEOUT_S
    )
    page.session_state["box_pixel_classifier_data"] = str(outside)

    page.run()

    assert not page.exception
    assert [OUTSIDE in error.value for error in page.error] == [True]
    assert "Learnt from" not in seen(page)


def test_a_pair_that_another_page_asks_for_is_not_taken_from_outside(outside: Path):
    page = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    page.switch_page(state.STUDIO_PAGE)
    page.session_state[state.STUDIO_REQUEST] = {
        "dataset_folder": str(outside),
        "pair_id": "0001",
        "model_path": "default",
    }
    page.session_state[state.STUDIO_NEWS] = True

    page.run()

    assert not page.exception
    assert OUTSIDE in seen(page)
    assert not page.get("download_button")


@pytest.mark.parametrize("name", ["../runs/a", "/etc", "."])
@pytest.mark.parametrize(
    ("page", "query"), [(state.TRAINING_PAGE, "run"), (state.STUDIO_PAGE, "job")]
)
def test_a_name_in_the_address_is_looked_up_and_never_a_path(
    terrainlib_home: Path, page: str, query: str, name: str
):
    for folder in ("runs", "predictions"):
        (terrainlib_home / folder / "a").mkdir(parents=True)

    shown = open_page(page, **{query: name})

    assert "It may have been deleted." in seen(shown)


@pytest.mark.parametrize("name", ["run/../../etc", "added/../secret.keras", "/x.keras"])
def test_a_model_in_the_address_is_chosen_by_name_only(
    terrainlib_home: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    loaded: list[object] = []
    monkeypatch.setattr("terrainlib.ui.cached.model", loaded.append)
    (terrainlib_home / "models").mkdir()
    (terrainlib_home / "secret.keras").touch()

    page = open_page(state.GALLERY_PAGE, model=name)

    assert name not in page.selectbox[0].options
    assert not any("secret" in str(path) for path in loaded)
