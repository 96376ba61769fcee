"""A large raster in the mask studio: seen at once, predicted beside the page, found."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import rasterio
from playwright.sync_api import Page, expect
from rasterio.windows import Window

from terrainlib.data.sample import example_scenes
from terrainlib.runs.folder import read_job
from terrainlib.runs.process import find_process, read_process
from tests.browser.conftest import Server, own_button, show_example_mask, wait_for_run

pytestmark = pytest.mark.browser

OpenPage = Callable[[str], Page]
HEIGHT, WIDTH = 5000, 6000
OVERVIEW_MS = 30_000  # a second or two on a machine that has nothing else to do
PREDICTION_MS = 120_000


def mirrored(length: int, size: int) -> np.ndarray:
    """Return rows or columns that go to and fro over so many."""
    there_and_back = np.arange(length) % (2 * size)
    return np.minimum(there_and_back, 2 * size - 1 - there_and_back)


@pytest.fixture(scope="module")
def raster(app: Server) -> Path:
    """A GeoTIFF of 30 megapixels."""
    path = app.home / "large.tif"
    write_part(path, HEIGHT, WIDTH)
    return path


def write_part(path: Path, height: int, width: int) -> None:
    """Write a GeoTIFF made of an example scene, which goes on in a mirror."""
    with rasterio.open(example_scenes()[0].image) as scene:
        pixels, crs, transform = scene.read(), scene.crs, scene.transform
    rows, columns = mirrored(height, pixels.shape[1]), mirrored(width, pixels.shape[2])
    options = {"tiled": True, "blockxsize": 512, "blockysize": 512}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=3,
        dtype="uint8",
        crs=crs,
        transform=transform,
        compress="deflate",
        zlevel=1,
        photometric="RGB",
        **options,
    ) as target:
        for top in range(0, height, 512):
            part = pixels[:, rows[top : top + 512]][:, :, columns]
            target.write(part, window=Window(0, top, width, part.shape[1]))


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


def test_a_large_geotiff_is_seen_at_once_and_not_read_as_a_whole(
    app: Server, open_page: OpenPage, raster: Path
):
    page = open_page("Mask_Studio")
    show_example_mask(page)  # TensorFlow is then loaded: it is no part of what is read
    server = psutil.Process(app.pid)
    before = server.memory_info().rss

    open_by_path(page, raster)
    picture = page.get_by_alt_text("The image large.tif, 6000 by 5000 px")
    expect(picture).to_be_visible(timeout=OVERVIEW_MS)
    expect(page.get_by_text("6,000 × 5,000 px (30 megapixels)")).to_be_visible()
    assert server.memory_info().rss - before < 600e6
    expect(page.get_by_role("button", name="Start the prediction")).to_be_visible()


def test_a_folder_is_predicted_beside_the_page_and_found_by_its_address(
    app: Server, open_page: OpenPage, no_prediction_left: None
):
    scene = app.home / "scenes" / "land.tif"
    scene.parent.mkdir(exist_ok=True)
    write_part(scene, 300, 400)
    write_part(scene.with_name("sea.tif"), 60, 80)
    page = open_page("Mask_Studio")
    open_by_path(page, scene.parent)
    page.get_by_role("button", name="Start the prediction").click()
    expect(own_button(page, "Stop")).to_be_visible()
    assert "job=" in page.url
    address = page.url

    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
    page.goto(address)  # as a reload of the tab, or a link
    job = next((app.home / "predictions").glob("2*"))
    name = read_job(job).name
    expect(page.get_by_role("heading", name=name)).to_be_visible()

    button = page.get_by_role("button", name="Download all")
    expect(button).to_be_visible(timeout=PREDICTION_MS)
    wait_for_run(page)
    with page.expect_download() as caught:
        button.click()
    assert caught.value.suggested_filename.endswith(".zip")
    check_mask(job / "results" / "land_mask.tif", scene)

    page.get_by_role("button", name="Another image").click()
    wait_for_run(page)
    page.get_by_text("Predictions of large images and batches").click()
    expect(page.get_by_text(name, exact=True).first).to_be_visible()


def check_mask(path: Path, scene: Path) -> None:
    with rasterio.open(path) as mask, rasterio.open(scene) as image:
        assert mask.shape == image.shape
        assert mask.transform == image.transform
        assert mask.crs == image.crs
        assert mask.nodata == 255
        assert len(np.unique(mask.read(1))) > 2
