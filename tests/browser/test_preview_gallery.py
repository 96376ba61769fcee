"""Looking at data, and at what a model makes of it, in a real browser."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from terrainlib.data.sample import EMBEDDED_MODELS
from tests.browser.conftest import Server, open_folder, wait_for_run
from tests.crafted_runs import craft_run
from tests.synthetic import write_kaggle_dataset

pytestmark = pytest.mark.browser


def test_the_pairs_of_a_typed_folder_are_pictures_and_it_is_the_choice_elsewhere(
    open_page: Callable[[str], Page], tmp_path: Path
) -> None:
    folder = write_kaggle_dataset(tmp_path / "tiles", pairs=26)
    page = open_page("Dataset_Preview")
    open_folder(page, folder)
    expect(page.get_by_text("26 pairs")).to_be_visible()
    pictures = page.get_by_role("img", name="Mask of pair")
    expect(pictures).to_have_count(24)
    page.get_by_role("button", name="Next").click()
    expect(pictures).to_have_count(2)
    page.get_by_role("radio", name="Overlay").click()
    opacity = page.get_by_role("slider", name="Opacity of the mask")
    opacity.press("ArrowRight")
    wait_for_run(page)
    assert opacity.input_value() == "55"
    width = page.get_by_role("img", name="Mask over the image of pair 0025").evaluate(
        "image => image.complete ? image.naturalWidth : 0"
    )
    assert width == 512

    page.get_by_role("link", name="Training").click()
    wait_for_run(page)
    expect(page.get_by_text("26 pairs").first).to_be_visible()
    page.reload()
    expect(page.get_by_text("26 pairs").first).to_be_visible()


def test_a_reload_keeps_an_upload_and_the_pair_that_is_shown(
    open_page: Callable[[str], Page], tmp_path: Path
) -> None:
    folder = write_kaggle_dataset(tmp_path / "tiles", pairs=3)
    archive = shutil.make_archive(str(tmp_path / "mine"), "zip", folder)
    page = open_page("Dataset_Preview?data=zip")
    page.locator("input[type=file]").set_input_files(archive)
    expect(page.get_by_text("3 pairs").first).to_be_visible()
    page.get_by_role("button", name="0002 ·").click()
    large = page.get_by_role("img", name="Pair 0002 with its mask over it")
    expect(large).to_be_visible()
    page.reload()
    expect(large).to_be_visible()
    expect(page.get_by_text("3 pairs").first).to_be_visible()


def test_a_model_opens_with_its_own_data_and_its_images_are_turned_by_keys(
    app: Server,
    open_page: Callable[[str], Page],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = write_kaggle_dataset(tmp_path / "tiles", pairs=3)
    monkeypatch.setenv("TERRAINLIB_HOME", str(app.home))
    run = craft_run(folder, name="mine", epochs=1)
    shutil.copy(EMBEDDED_MODELS["default"], run / "model.keras")
    page = open_page(f"Prediction_Gallery?model=run/{run.name}")
    page.get_by_role("button", name="Predict 3 images").click()
    cards = page.get_by_role("button", name="Open 000")
    expect(cards).to_have_count(3, timeout=120_000)
    box = cards.first.bounding_box()
    assert box
    assert box["y"] + box["height"] < 900
    with page.expect_download() as download:
        page.get_by_role("button", name="Figure of this page").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")

    label = cards.nth(1).get_attribute("aria-label") or ""
    second = label.removeprefix("Open ").partition(":")[0]
    cards.first.click()
    confidence = page.get_by_role("img", name="Confidence of")
    expect(confidence).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="2 of 3")).to_be_visible()
    page.keyboard.press("+")
    scales = page.locator("dialog .layer").evaluate_all(
        "layers => new Set(layers.map(layer => layer.style.transform)).size"
    )
    assert scales == 1
    page.wait_for_url(f"**image={second}*")
    page.reload()
    expect(page.get_by_role("heading", name="2 of 3")).to_be_visible(timeout=30_000)
    page.keyboard.press("Escape")
    expect(confidence).to_have_count(0)

    page.get_by_role("tab", name="Scores", exact=True).click()
    page.locator("path[aria-label*='True']").first.click(force=True)
    page.wait_for_url("**mistake=*taken+for*")
