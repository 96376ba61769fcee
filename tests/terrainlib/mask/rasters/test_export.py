"""Masks as PNG pictures, read back by other libraries."""

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from terrainlib.data.classes.masks import MaskMeaning, read_mask
from terrainlib.data.palette import KAGGLE_CLASSES, TerrainClass, colorize
from terrainlib.errors import ConfigError, ImageError
from terrainlib.mask.rasters import png

MASK = np.array([[0, 1, 2, 3], [4, 5, 6, 255]], np.uint8)


def decoded(data: bytes) -> PillowImage.Image:
    return PillowImage.open(io.BytesIO(data))


def test_a_mask_png_shows_the_class_colours():
    picture = decoded(png.mask_png(MASK, KAGGLE_CLASSES))
    assert picture.mode == "RGB"
    assert (np.asarray(picture) == colorize(MASK, KAGGLE_CLASSES)).all()


def test_an_index_png_holds_indices_and_shows_colours():
    data = png.index_png(MASK, KAGGLE_CLASSES, texts={"note": "kept"})
    picture = decoded(data)
    assert picture.info["note"] == "kept"
    assert (np.asarray(picture) == MASK).all()
    colors = np.asarray(picture.convert("RGB"))
    assert (colors == colorize(MASK, KAGGLE_CLASSES)).all()


BLACK = (TerrainClass("Rock", (0, 0, 0)), TerrainClass("Ash", (1, 1, 1)))


@pytest.mark.parametrize("make", [png.mask_png, png.index_png])
@pytest.mark.parametrize("classes", [KAGGLE_CLASSES, BLACK])
def test_no_data_is_transparent_and_read_back_as_such(make, classes):
    mask = np.array([[0, 1, 255], [1, 255, 0]], np.uint8)
    data = make(mask, classes)
    alpha = np.asarray(decoded(data).convert("RGBA"))[..., 3]
    assert (alpha == np.where(mask == 255, 0, 255)).all()
    colors = tuple((item.color,) for item in classes)
    meaning = MaskMeaning("colors", colors)
    assert (read_mask(data, meaning).index == mask).all()


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3)])
def test_floats_are_rounded_to_bytes(shape):
    values = np.linspace(-0.1, 1.1, int(np.prod(shape)), dtype=np.float32)
    expected = np.rint(np.clip(values, 0, 1) * 255).reshape(shape)
    assert (
        np.asarray(decoded(png.encode_png(values.reshape(shape)))) == expected
    ).all()


def test_an_overlay_blends_image_and_mask():
    image = np.full((2, 2, 3), 100, np.uint8)
    mask = np.full((2, 2, 3), 200, np.uint8)
    assert (png.overlay(image, mask, 0) == 100).all()
    assert (png.overlay(image, mask, 1) == 200).all()
    assert (png.overlay(image, mask / np.float32(255), 0.25) == 125).all()


def test_an_overlay_of_other_size_or_opacity_is_refused():
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(ConfigError, match=r"opacity must be 0 to 1, not 1\.5"):
        png.overlay(image, image, 1.5)
    with pytest.raises(ConfigError, match="opacity must be 0 to 1, not nan"):
        png.overlay(image, image, float("nan"))
    with pytest.raises(ImageError, match="must have the same size"):
        png.overlay(image, np.zeros((3, 2, 3), np.uint8), 0.5)
