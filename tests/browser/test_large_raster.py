"""A large raster in the mask studio: seen at once, predicted beside the page, found."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import rasterio
from playwright.sync_api import Page, expect
from rasterio.windows import Window

from terrainlib.data.sample import example_scenes
from terrainlib.runs.process import find_process, read_process
from tests.browser.conftest import Server, own_button, show_example_mask, wait_for_run

pytestmark = pytest.mark.browser

OpenPage = Callable[[str], Page]
HEIGHT, WIDTH = 5000, 6000
OVERVIEW_MS = 30_000  # a second or two on a machine that has nothing else to do
PREDICTION_MS = 300_000


def mirrored(length: int, size: int) -> np.ndarray:
    """Return rows or columns that go to and fro over so many."""
    there_and_back = np.arange(length) % (2 * size)
    return np.minimum(there_and_back, 2 * size - 1 - there_and_back)


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory, app: Server) -> Path:
    """A GeoTIFF of 30 megapixels, made of an example scene."""
    path = app.home / "large.tif"
    with rasterio.open(example_scenes()[0].image) as scene:
        pixels, crs, transform = scene.read(), scene.crs, scene.transform
    rows, columns = mirrored(HEIGHT, pixels.shape[1]), mirrored(WIDTH, pixels.shape[2])
    options = {"tiled": True, "blockxsize": 512, "blockysize": 512}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=HEIGHT,
        width=WIDTH,
        count=3,
        dtype="uint8",
        crs=crs,
        transform=transform,
        compress="deflate",
        zlevel=1,
        photometric="RGB",
        **options,
    ) as target:
        for top in range(0, HEIGHT, 512):
            part = pixels[:, rows[top : top + 512]][:, :, columns]
            target.write(part, window=Window(0, top, WIDTH, part.shape[1]))
    return path


@pytest.fixture
def no_prediction_left(app: Server) -> Iterator[None]:
    """End the worker of a prediction that a failed test has left, by its process id."""
    yield
    for folder in (app.home / "predictions").glob("2*"):
        process = find_process(read_process(folder))
        if process is not None:
            process.kill()


def open_by_path(page: Page, path: Path) -> None:
    page.get_by_role("radio", name="On this machine").click()
    page.get_by_label("File or folder on this machine", exact=True).fill(str(path))
    page.get_by_test_id("stBaseButton-secondaryFormSubmit").click()


def test_a_large_geotiff_by_its_path_becomes_a_mask_while_the_page_stays_quick(
    app: Server, open_page: OpenPage, raster: Path, no_prediction_left: None
):
    page = open_page("Mask_Studio")
    show_example_mask(page)  # TensorFlow is then loaded: it is no part of what is read
    server = psutil.Process(app.pid)
    before = server.memory_info().rss

    open_by_path(page, raster)
    picture = page.get_by_alt_text("The image large.tif, 6000 by 5000 px")
    expect(picture).to_be_visible(timeout=OVERVIEW_MS)
    expect(page.get_by_text("6,000 × 5,000 px (30 megapixels)")).to_be_visible()
    assert server.memory_info().rss - before < 600e6  # it was not read as a whole

    # A quarter of the scale: 1.9 megapixels go through the network.
    scale = page.get_by_label("Scale: working pixels per image pixel", exact=True)
    scale.fill("0.25")
    scale.press("Enter")
    wait_for_run(page)
    page.get_by_role("button", name="Start the prediction").click()
    expect(own_button(page, "Stop")).to_be_visible()
    assert "job=" in page.url
    address = page.url

    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
    page.goto(address)  # as a reload of the tab, or a link
    expect(page.get_by_role("heading", name="large.tif")).to_be_visible()

    mask = page.get_by_alt_text("Terrain mask of large.tif")
    expect(mask).to_be_visible(timeout=PREDICTION_MS)
    expect(page.get_by_text(re.compile(r"large_mask\.tif [\d.]+ MB"))).to_be_visible()
    expect(page.get_by_text("The model is unsure of")).to_be_visible()
    wait_for_run(page)
    with page.expect_download() as caught:
        page.get_by_role("button", name="Download all").click()
    assert caught.value.suggested_filename.endswith(".zip")
    check_mask(
        next((app.home / "predictions").glob("*/results/large_mask.tif")), raster
    )


def check_mask(path: Path, raster: Path) -> None:
    with rasterio.open(path) as mask, rasterio.open(raster) as image:
        assert (mask.height, mask.width) == (HEIGHT, WIDTH)
        assert mask.transform == image.transform
        assert mask.crs == image.crs
        assert mask.nodata == 255
        assert len(np.unique(mask.read(1, out_shape=(500, 600)))) > 2


def test_stop_keeps_what_is_finished_and_the_studio_lists_it(
    app: Server, open_page: OpenPage, raster: Path, no_prediction_left: None
):
    page = open_page("Mask_Studio")
    open_by_path(page, raster)
    page.get_by_role("button", name="Start the prediction").click()
    goes_on = page.get_by_text("It goes on even if you leave or close this page.")
    expect(goes_on).to_be_visible(timeout=PREDICTION_MS)

    own_button(page, "Stop").click()
    stopped = page.get_by_text("Stopped, as you asked; the finished rows are kept.")
    expect(stopped).to_be_visible(timeout=PREDICTION_MS)

    page.get_by_role("button", name="Another image").click()
    wait_for_run(page)
    page.get_by_text("Predictions of large images and batches").click()
    expect(page.get_by_text("large.tif", exact=True).first).to_be_visible()
