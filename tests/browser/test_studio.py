"""The mask studio in a real browser: from an upload to a sharpened download."""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from terrainlib.data.imagery import read_image
from terrainlib.data.palette import color_table
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.mask.sharpen import sharpen
from tests.browser.conftest import Server, show_example_mask, wait_for_run
from tests.browser.test_live_view import READ_PIXELS
from tests.models import KERAS_COPY_WARNING

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings(KERAS_COPY_WARNING),
]

OpenPage = Callable[[str], Page]
PREDICTION_MS = 120_000
TILE = SAMPLE_DIR / "0007_t.png"


def upload(page: Page, file: Path) -> None:
    page.get_by_role("radio", name="Upload").click()
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(file)
    page.locator(".view[data-drawn]").wait_for(timeout=PREDICTION_MS)
    wait_for_run(page)


def download(page: Page, label: str) -> np.ndarray:
    wait_for_run(page)  # a click while buttons are drawn anew is lost
    with page.expect_download() as caught:
        page.get_by_role("button", name=label).click()
    data = np.frombuffer(Path(caught.value.path()).read_bytes(), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_an_upload_is_downloaded_as_mask_sharpened_and_cleaned(open_page: OpenPage):
    from terrainlib.mask.prediction import predict_image
    from terrainlib.model.modelfile import load_model

    page = open_page("Mask_Studio")
    upload(page, TILE)

    prediction = predict_image(load_model("default"), read_image(TILE))
    soft = np.rint(prediction.soft * 255).astype(np.uint8)
    downloaded = download(page, "Soft mask (PNG)")
    assert np.abs(downloaded.astype(int) - soft.astype(int)).max() <= 1
    colors = color_table(prediction.palette)[prediction.classes]
    before = download(page, "Class mask (PNG)")
    assert (before == colors).all(axis=2).mean() > 0.999

    slider = page.get_by_label("Sharpening", exact=True)
    slider.focus()
    for _ in range(30):
        slider.press("ArrowRight")
    expect(page.get_by_text("Laplacian, amount 1.50.")).to_be_visible()
    wait_for_run(page)

    sharp = download(page, "Sharpened mask (PNG)")
    np.testing.assert_array_equal(sharp, sharpen(downloaded, 1.5))

    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
    page.get_by_role("link", name="Mask Studio").click()
    page.locator(".view[data-drawn]").wait_for()
    expect(page.get_by_text(TILE.name)).to_be_visible()
    expect(page.get_by_label("Sharpening", exact=True)).to_have_value("1.5")

    page.get_by_role("button", name="Clean").click()
    page.get_by_role("slider", name="Sieve, px").press("End")
    expect(page.get_by_text("Cleaning changed")).to_be_visible(timeout=PREDICTION_MS)
    expect(page.get_by_label("Classes", exact=True)).to_be_checked()
    wait_for_run(page)
    cleaned = download(page, "Class mask (PNG)")
    assert (cleaned != before).any()
    np.testing.assert_array_equal(download(page, "Soft mask (PNG)"), downloaded)
    shown = page.locator("canvas.other").evaluate(READ_PIXELS)
    pixels = np.array(shown[2], np.uint8).reshape(shown[0], shown[1], 4)
    np.testing.assert_array_equal(pixels[..., :3], cleaned)


def test_a_large_image_is_shown_small_and_downloaded_whole(
    open_page: OpenPage, tmp_path: Path
):
    tile = cv2.imread(str(TILE))
    large = cv2.resize(tile, (1100, 300), interpolation=cv2.INTER_CUBIC)
    file = tmp_path / "large.png"
    cv2.imwrite(str(file), large)

    page = open_page("Mask_Studio")
    upload(page, file)

    expect(
        page.get_by_text("Preview at 1024 × 279 px of 1100 × 300 px")
    ).to_be_visible()
    assert download(page, "Class mask (PNG)").shape == (300, 1100, 3)


def test_a_scene_downloads_on_its_own_grid_and_a_failure_says_why(
    open_page: OpenPage, app: Server
):
    import rasterio

    page = open_page("Mask_Studio")
    show_example_mask(page)

    with page.expect_download() as caught:
        page.get_by_role("button", name="Class mask (GeoTIFF)").click()

    data = Path(caught.value.path()).read_bytes()
    with (
        rasterio.open(io.BytesIO(data)) as mask,
        rasterio.open(SAMPLE_DIR / "scenes" / "europe.tif") as scene,
    ):
        assert mask.dtypes == ("uint8",)
        assert (mask.height, mask.width) == (scene.height, scene.width)
        assert mask.transform == scene.transform
        assert mask.crs == scene.crs
        assert mask.nodata == 255

    button = page.get_by_role("button", name="Polygons (GeoPackage)")
    cache, aside = app.home / "cache", app.home / "aside"
    cache.mkdir(exist_ok=True)
    cache.rename(aside)
    cache.touch()  # a file where a folder must be: nothing can be written there
    try:
        button.click()
        sentence = page.get_by_text("Polygons (GeoPackage) could not be made")
        expect(sentence).to_be_visible(timeout=PREDICTION_MS)
        expect(page.get_by_text("Cannot be written")).to_be_visible()
    finally:
        cache.unlink()
        aside.rename(cache)

    with page.expect_download(timeout=PREDICTION_MS) as caught:
        button.click()

    assert caught.value.suggested_filename == "europe.gpkg"
    assert Path(caught.value.path()).read_bytes().startswith(b"SQLite format 3")
    expect(sentence).to_have_count(0)


def test_the_home_page_is_there_quickly_and_its_example_sharpens(open_page: OpenPage):
    page = open_page("")

    expect(page.get_by_role("heading", level=1)).to_have_text("Terrain Mask Generator")
    slider = page.get_by_label("Sharpening", exact=True)
    slider.focus()
    slider.press("End")
    expect(slider).to_have_attribute("aria-valuetext", "3.00")
