"""What the studio shows and what it hands out, without any network."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from terrainlib.data.imagery import Image, read_image
from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA, color_table, colorize
from terrainlib.errors import ConfigError
from terrainlib.mask.prediction import Prediction
from terrainlib.mask.sharpen import sharpen
from terrainlib.ui import studio
from terrainlib.ui.live_view import PREVIEW_PX, ViewSettings
from terrainlib.ui.pictures import encode_png
from terrainlib.ui.studio import MadeMask, PictureFile
from terrainlib.ui.studio_downloads import (
    class_geotiff,
    class_png,
    describe,
    downloads,
    overlay_png,
    sharpened,
    sharpened_png,
    soft_png,
)
from tests.synthetic import terrain

SIZE = 40


def opened(data: bytes) -> np.ndarray:
    return np.array(PillowImage.open(io.BytesIO(data)))


@pytest.fixture
def picture() -> PictureFile:
    return PictureFile("land.png", "key", encode_png(terrain(SIZE, 3)[0]))


@pytest.fixture
def made() -> MadeMask:
    """A mask with soft borders, and a corner without data."""
    index = terrain(SIZE, 3)[1].copy()
    index[:8, :8] = NO_DATA
    soft = cv2.blur(colorize(index, KAGGLE_CLASSES), (3, 3))
    soft[:8, :8] = 0
    image = Image(np.zeros((SIZE, SIZE, 3), np.float32), index != NO_DATA, name="land")
    pictures = studio._pictures("key", image, soft, KAGGLE_CLASSES)
    return MadeMask(index, soft, KAGGLE_CLASSES, (), None, pictures)


def test_shares_leave_out_pixels_without_data(made: MadeMask):
    counted = made.index[made.index != NO_DATA]

    assert sum(made.shares.values()) == pytest.approx(1)
    assert made.shares["Water"] == pytest.approx((counted == 0).mean())


@pytest.mark.parametrize("method", ["laplacian", "unsharp"])
def test_the_sharpened_download_is_the_librarys_sharpening(made: MadeMask, method: str):
    view = ViewSettings(1.35, method, 1.7)

    expected = sharpen(made.soft, 1.35, method=method, radius=1.7)

    np.testing.assert_array_equal(opened(sharpened_png(made, view)), expected)


def test_snapping_gives_class_colours_and_keeps_no_data_black(made: MadeMask):
    snapped = sharpened(made, ViewSettings(1.0, snap=True))

    found = np.unique(snapped.reshape(-1, 3), axis=0).tolist()
    allowed = [*color_table(KAGGLE_CLASSES).tolist(), [0, 0, 0]]
    assert all(color in allowed for color in found)
    assert (snapped[:8, :8] == 0).all()
    assert (snapped[10:, 10:].sum(axis=2) > 0).all()


def test_class_and_soft_masks_are_not_sharpened(made: MadeMask):
    np.testing.assert_array_equal(
        opened(class_png(made)), colorize(made.index, KAGGLE_CLASSES)
    )
    np.testing.assert_array_equal(opened(soft_png(made)), made.soft)


@pytest.mark.parametrize("opacity", [0.0, 0.5, 1.0])
def test_the_overlay_lies_between_image_and_mask(
    made: MadeMask, picture: PictureFile, opacity: float
):
    view = ViewSettings(0.5, opacity=opacity)
    rgb = read_image(picture.source).rgb * 255
    mask = sharpened(made, view).astype(float)

    pixels = opened(overlay_png(made, picture, view)).astype(float)

    assert np.abs(pixels - (rgb + opacity * (mask - rgb))).max() <= 1


def test_geotiff_is_offered_only_with_a_georeference(
    made: MadeMask, picture: PictureFile
):
    offered = downloads(made, picture, ViewSettings())

    assert [item.file_name for item in offered] == [
        "land_mask.png",
        "land_soft.png",
        "land_sharpened.png",
        "land_overlay.png",
    ]
    with pytest.raises(ConfigError, match="no georeference"):
        class_geotiff(made)


def test_pixels_without_data_are_transparent_in_the_view(made: MadeMask):
    pixels = opened(made.pictures.mask)

    assert (pixels[:8, :8, 3] == 0).all()
    assert (pixels[8:, :, 3] == 255).all()
    np.testing.assert_array_equal(pixels[8:, :, :3], made.soft[8:])


def test_a_large_image_is_shown_small_and_the_note_says_so():
    rgb = np.zeros((PREVIEW_PX // 2, PREVIEW_PX * 2, 3), np.float32)
    soft = np.zeros(rgb.shape, np.uint8)

    pictures = studio._pictures("key", Image.from_array(rgb), soft, KAGGLE_CLASSES)

    assert opened(pictures.mask).shape == (PREVIEW_PX // 4, PREVIEW_PX, 3)
    assert pictures.note.startswith("Preview at 1024 × 256 px of 2048 × 512 px")


def test_settings_are_described_in_words():
    assert describe(ViewSettings(1.5)) == "Laplacian, amount 1.50"
    assert describe(ViewSettings(0.5, "unsharp", 2.0, snap=True)) == (
        "unsharp mask of 2.0 px, amount 0.50, snapped to classes"
    )


def test_the_key_of_a_mask_changes_with_image_height_and_model(picture: PictureFile):
    other = PictureFile("land.png", "other", b"")
    keys = {
        studio.mask_key(picture, None, "a"),
        studio.mask_key(other, None, "a"),
        studio.mask_key(picture, other, "a"),
        studio.mask_key(picture, None, "b"),
    }

    assert len(keys) == 4


def test_predictions_and_made_masks_agree_on_rounding():
    soft = np.linspace(0, 1, SIZE * SIZE * 3, dtype=np.float32).reshape(SIZE, SIZE, 3)
    valid = np.ones((SIZE, SIZE), bool)
    one = np.zeros((SIZE, SIZE, 7), np.float32)

    prediction = Prediction(KAGGLE_CLASSES, valid, one, soft)

    np.testing.assert_array_equal(
        studio.to_bytes(prediction.soft), np.rint(soft * 255).astype(np.uint8)
    )
