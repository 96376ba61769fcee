"""The models page in a real browser: adding, and choosing a row."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from terrainlib.data.sample import EMBEDDED_MODELS
from tests.browser.conftest import wait_for_run

pytestmark = pytest.mark.browser

OpenPage = Callable[[str], Page]
CHECK_MS = 60_000  # TensorFlow is loaded for the first file
HEAD_PX, ROW_PX = 35, 35


def test_the_answer_to_an_upload_is_on_the_screen_and_chooses_the_new_row(
    open_page: OpenPage, tmp_path: Path
):
    notes = tmp_path / "notes.keras"
    notes.write_text("no model")
    model = tmp_path / "hills.keras"
    model.write_bytes(EMBEDDED_MODELS["default"].read_bytes())
    page = open_page("Models")
    page.get_by_text("Add a model from a file").click()
    box = page.get_by_test_id("stFileUploaderDropzoneInput")
    add = page.get_by_role("button", name="Add this model")
    card = page.locator("[class*='st-key-models_card']").get_by_role("heading")

    for file, answer in (
        (notes, "This file was not added"),
        (model, "hills was added"),
    ):
        box.set_input_files(file)
        expect(page.get_by_role("button", name=f"Remove {file.name}")).to_be_visible()
        wait_for_run(page)  # with another file in the box
        add.click()
        expect(page.get_by_text(answer)).to_be_in_viewport(ratio=1, timeout=CHECK_MS)

    expect(card).to_have_text("hills")
    expect(card).to_be_in_viewport()
    expect(page).to_have_url(re.compile("model=added%2Fhills.keras$"))


def test_a_click_into_a_row_shows_its_card_and_stands_in_the_address(
    open_page: OpenPage,
):
    page = open_page("Models")
    table = page.get_by_test_id("stDataFrame")
    card = page.locator("[class*='st-key-models_card']").get_by_role("heading")
    expect(card).to_have_text("Embedded default")

    table.locator("canvas").first.wait_for()
    table.click(position={"x": 120, "y": HEAD_PX + 1.5 * ROW_PX})
    expect(card).not_to_have_text("Embedded default")
    wait_for_run(page)
    table.click(position={"x": 60, "y": HEAD_PX / 2})  # sorts by name
    table.click(position={"x": 120, "y": HEAD_PX + 0.5 * ROW_PX})

    expect(card).to_have_text("Embedded default")
    expect(page).to_have_url(re.compile("model=default$"))
    page.reload()
    expect(card).to_have_text("Embedded default")
