"""The working resolution: averages, rims, and pixels without data."""

import numpy as np
import pytest

from terrainlib.data.imagery import Image
from terrainlib.mask.tiles.feeding import prepare
from terrainlib.model.forward import network_input


def image_of(rgb: np.ndarray) -> Image:
    return Image.from_array(rgb.astype(np.float32))


def test_shrinking_averages_areas(color_model):
    rgb = np.random.default_rng(0).random((32, 64, 3))
    prepared = prepare(color_model(scale=0.25), image_of(rgb))
    expected = rgb.reshape(8, 4, 16, 4, 3).mean(axis=(1, 3))
    assert prepared.geometry.working == (8, 16)
    assert np.abs(prepared.pixels[:8, :16] - expected).max() < 1e-5


def test_the_lower_and_right_rims_are_reflected(color_model):
    rgb = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    pixels = prepare(color_model(), image_of(rgb)).pixels
    assert pixels.shape == (24, 32, 3)
    assert (pixels[:20, :30] == rgb).all()
    assert (pixels[20, :30] == rgb[18]).all()
    assert (pixels[:20, 31] == rgb[:, 27]).all()


def test_a_single_pixel_is_repeated(color_model):
    pixels = prepare(color_model(), image_of(np.full((1, 1, 3), 0.3))).pixels
    assert pixels.shape == (8, 8, 3)
    assert np.allclose(pixels, 0.3)


def test_pixels_without_data_darken_no_neighbour(color_model):
    rgb = np.full((32, 32, 3), 0.8)
    rgb[:, :6] = np.nan
    pixels = prepare(color_model(scale=0.25), image_of(rgb)).pixels
    assert (pixels[:8, 0] == 0).all()  # four columns without any data
    assert np.allclose(pixels[:8, 1:8], 0.8)  # two of four columns are known


@pytest.mark.parametrize("size", [(32, 32), (128, 128)])
def test_heights_come_to_the_working_resolution_with_the_image(color_model, size):
    factor = 32 / size[0]
    rng = np.random.default_rng(3)
    low = np.cumsum(rng.random((32, 32)), axis=0).astype(np.float32) * 90
    high = low.repeat(size[0] // 32, axis=0).repeat(size[1] // 32, axis=1)
    rgb = rng.random((*size, 3)).astype(np.float32)
    model = color_model(height=True, scale=factor)
    pixels = prepare(model, image_of(rgb), height=high).pixels
    expected = network_input(pixels[..., :3], low, model.config)
    assert np.abs(pixels - expected).max() < 1e-4
    assert pixels[..., 3].max() > 0.1


def test_heights_without_data_leave_their_neighbours_alone(color_model):
    model = color_model(height=True, scale=0.25)
    heights = np.full((64, 64), 500, np.float32)
    heights[40:, 30:] = np.nan
    heights[:, 0] = np.nan
    pixels = prepare(model, image_of(np.zeros((64, 64, 3))), height=heights).pixels
    # Flat land; where one of four columns is unknown the others decide.
    assert (pixels[:6, :, 3] == 0).all()
