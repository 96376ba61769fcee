"""Shaded relief: light from the north-west on heights in metres."""

from typing import Any

import numpy as np
import pytest

from terrainlib.data.relief import shaded_relief
from terrainlib.errors import ConfigError, ImageError

ROWS, COLUMNS = np.mgrid[0:20, 0:30].astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (20, 30)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_result_is_grey_of_the_same_shape(shape: Any, dtype: Any) -> None:
    height = np.random.default_rng(0).normal(0, 100, shape).astype(dtype)
    before = height.copy()
    shade = shaded_relief(height)
    assert shade.shape == shape
    assert shade.dtype == np.uint8
    np.testing.assert_array_equal(height, before)


def test_flat_land_has_the_light_of_the_sun_s_altitude() -> None:
    flat = np.full((5, 5), 123, np.float32)
    assert (shaded_relief(flat) == round(255 * np.sin(np.radians(45)))).all()
    assert (shaded_relief(flat, altitude=90) == 255).all()
    assert (shaded_relief(flat, altitude=0) == 0).all()


def test_a_45_degree_slope_that_faces_the_sun_is_white() -> None:
    assert (shaded_relief(COLUMNS * 10, azimuth=270) == 255).all()
    assert (shaded_relief(-COLUMNS * 10, azimuth=90) == 255).all()
    assert (shaded_relief(ROWS * 10, azimuth=0) == 255).all()
    assert (shaded_relief(-ROWS * 10, azimuth=180) == 255).all()


def test_a_45_degree_slope_turned_from_the_sun_is_black() -> None:
    assert (shaded_relief(COLUMNS * 10, azimuth=90) == 0).all()


def test_a_hand_computed_value() -> None:
    # 45 degrees towards the east, light from the north at 45: sin(45) / sqrt(2) = 0.5
    np.testing.assert_allclose(shaded_relief(COLUMNS * 3, azimuth=0), 127.5, atol=0.5)


def test_slopes_are_exaggerated_alike_whatever_their_unit() -> None:
    hills = np.sin(COLUMNS / 3) + np.cos(ROWS / 4)
    np.testing.assert_array_equal(shaded_relief(hills), shaded_relief(hills * 1000))


def test_true_slopes_that_are_steeper_are_kept() -> None:
    steep = COLUMNS * 300
    assert (shaded_relief(steep, pixel_m=100, azimuth=0) < 100).all()
    np.testing.assert_array_equal(
        shaded_relief(COLUMNS * 3, pixel_m=100), shaded_relief(COLUMNS * 3)
    )


def test_missing_heights_are_black_and_disturb_no_others() -> None:
    height = COLUMNS * 10
    height[5, 5] = np.nan
    height[9, 9] = np.inf
    shade = shaded_relief(height, azimuth=270)
    assert shade[5, 5] == shade[9, 9] == 0
    assert (shade[12:] == 255).all()
    assert (shaded_relief(np.full((4, 4), np.nan, np.float32)) == 0).all()


@pytest.mark.parametrize("shape", [(3, 3, 3), (4,), (0, 5)])
def test_other_shapes_are_refused(shape: Any) -> None:
    with pytest.raises(ImageError, match=r"must be \(height, width\), not \("):
        shaded_relief(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"pixel_m": 0}, "pixel_m must be more than 0 m, not 0"),
        ({"pixel_m": float("nan")}, "pixel_m must be more than 0 m, not nan"),
        ({"altitude": 91}, "altitude must be 0 to 90 degrees, not 91"),
    ],
)
def test_options_out_of_bounds_are_refused(options: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        shaded_relief(np.zeros((4, 4), np.float32), **options)
