"""From an image to a mask in a real browser: painted, killed, gone on, taken along."""

import os
import shutil
import signal
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import rasterio
from playwright.sync_api import BrowserContext, Locator, Page, expect
from rasterio import Affine

from terrainlib.data.labels.strokefile import image_digest
from terrainlib.data.sample import EMBEDDED_MODELS, SAMPLE_DIR
from terrainlib.files import write_json
from terrainlib.ui.labels.training import TRAINED, Begun
from tests.browser.conftest import ROOT, Server, free_port, serve, wait_for_run
from tests.crafted_runs import craft_run
from tests.imagefiles import tiff

pytestmark = pytest.mark.browser

SIDE = 256
MASK = ".masks .mask"


def ground(path: Path) -> Path:
    """Write a GeoTIFF with water, forest and desert side by side."""
    noise = np.random.default_rng(0).integers(0, 12, (SIDE, SIDE, 3), np.uint8)
    rgb = noise + 30
    rgb[:, :86, 2] += 120
    rgb[:, 86:172, 1] += 70
    rgb[:, 172:] += 140
    grid = Affine(10, 0, 500_000, 0, -10, 5_200_000)
    path.write_bytes(tiff(rgb, crs="EPSG:32632", transform=grid))
    return path


def opened(page: Page, server: Server, image: Path) -> Page:
    page.goto(f"{server.url}/Labels?image=machine:{image}")
    wait_for_run(page)
    page.locator(".pictures .overview").wait_for()
    return page


def paint(page: Page, x: float, y: float) -> None:
    """Paint a short stroke by mouse; x and y are shares of the image."""
    box = page.locator(".area").bounding_box()
    assert box
    left, top = box["x"] + x * box["width"], box["y"] + y * box["height"]
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 20, top + 20, steps=3)
    page.mouse.up()


def saved(page: Page, count: int) -> None:
    painter = page.locator(".painter")
    expect(painter).to_have_count(1, timeout=60_000)
    for name, number in (("data-strokes", count), ("data-waiting", 0)):
        expect(painter).to_have_attribute(name, str(number), timeout=60_000)


def download(page: Page, button: Locator, folder: Path) -> Path:
    with page.expect_download(timeout=60_000) as found:
        button.click(timeout=60_000)
    path = folder / found.value.suggested_filename
    found.value.save_as(path)
    return path


def test_a_photo_becomes_a_mask_that_is_taken_along(
    tmp_path: Path, page: Page, context: BrowserContext
) -> None:
    image, home, port = ground(tmp_path / "ground.tif"), tmp_path / "home", free_port()
    with serve(ROOT / "streamlit_app.py", home, port) as server:
        opened(page, server, image)
        paint(page, 0.15, 0.5)  # water
        page.keyboard.press("3")
        paint(page, 0.5, 0.5)  # forest
        saved(page, 2)
        expect(page.locator(MASK)).to_have_count(1, timeout=120_000)
        page.keyboard.press("5")
        paint(page, 0.8, 0.5)  # desert
        saved(page, 3)
        os.kill(server.pid, signal.SIGKILL)
        page.keyboard.press("1")
        paint(page, 0.1, 0.2)
        expect(page.locator(".painter")).to_have_attribute("data-waiting", "1")
    with serve(ROOT / "streamlit_app.py", home, port) as server:
        saved(page, 4)
        page.get_by_role("application").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        saved(page, 5)
        page.keyboard.press("Control+z")
        saved(page, 4)
        wait_for_run(page)
        page.get_by_role("button", name="Make the mask of the whole image").click()
        path = download(
            page, page.get_by_role("button", name="Class mask (GeoTIFF)"), tmp_path
        )
        with rasterio.open(path) as data:
            told, crs = data.read(1), data.crs.to_epsg()
        assert crs == 32632
        assert [np.bincount(told[:, x]).argmax() for x in (30, 128, 230)] == [0, 2, 4]
        take = page.locator('[class*="st-key-labels_take_labels"] button').first
        labels = download(page, take, tmp_path)
        assert labels.name == "ground_labels.gpkg"
        shutil.rmtree(home / "labels")
        other = opened(context.new_page(), server, image)
        saved(other, 0)
        bring(other, labels)
        trained(home, image)
        show_trained(opened(other, server, image))


def bring(page: Page, labels: Path) -> None:
    page.locator("input[type=file]").last.set_input_files(labels)
    page.get_by_role("button", name="Bring them in").click()
    saved(page, 4)


def show_trained(page: Page) -> None:
    """Show the mask of the model that was trained on the labels."""
    page.get_by_role("button", name="Show its mask").click(timeout=600_000)
    own = page.get_by_role("radio", name="The model's own")
    expect(own).to_be_checked(timeout=120_000)
    expect(page.locator(MASK)).to_have_count(1, timeout=120_000)


def trained(home: Path, image: Path) -> None:
    """Leave a training on the labels of an image as it is when it has ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAINLIB_HOME", str(home))
        run = craft_run(SAMPLE_DIR, name="mine")
    shutil.copy(EMBEDDED_MODELS["default"], run / "model.keras")
    write_json(home / "labels" / image_digest(image) / TRAINED, asdict(Begun(run.name)))


@pytest.mark.exhaustive
def test_a_network_is_trained_on_strokes_and_its_mask_comes_back(
    tmp_path: Path, page: Page
) -> None:
    image, home = ground(tmp_path / "ground.tif"), tmp_path / "home"
    with serve(ROOT / "streamlit_app.py", home) as server:
        opened(page, server, image)
        for number, (key, x) in enumerate((("1", 0.15), ("3", 0.5), ("5", 0.8)) * 3):
            page.keyboard.press(key)
            paint(page, x, 0.1 + 0.3 * (number // 3))
            saved(page, number + 1)
        wait_for_run(page)
        page.get_by_role("spinbutton", name="Minutes").fill("1")
        page.get_by_role("spinbutton", name="Minutes").press("Tab")
        wait_for_run(page)
        page.get_by_role("button", name="Train a model on these labels").click()
        show_trained(page)
