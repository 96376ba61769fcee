"""What an image looks like in numbers: hand-computed values, and what changes them."""

import cv2
import numpy as np
import pytest

from terrainlib.model.looks import (
    COLOR_CELLS,
    FEATURES,
    color_cells,
    color_shares,
    image_features,
    mean_color,
    natural_value,
)


def texture(size: int = 64, seed: int = 1) -> np.ndarray:
    """Return a rough landscape of three bands in [0, 1]."""
    rng = np.random.default_rng(seed)
    planes = [
        cv2.resize(
            rng.random((size // step, size // step, 3), np.float32), (size, size)
        )
        for step in (1, 2, 4, 8)
    ]
    return (0.2 + 0.15 * np.sum(planes, axis=0)).astype(np.float32)


def feature(name: str, rgb: np.ndarray, valid: np.ndarray | None = None) -> float:
    found = image_features(rgb, valid)
    assert found is not None
    return float(found[FEATURES.index(name)])


def test_a_half_red_image_has_the_values_computed_by_hand() -> None:
    rgb = np.zeros((16, 16, 3), np.float32)
    rgb[:, 8:, 0] = 0.6

    found = image_features(rgb)

    assert found is not None
    expected = [0.1 + 0.02, 0.32 / 0.02, 1, 0.1 + 0.01, 0.3 + 0.02, 0.3 + 0.01, 1, 1]
    np.testing.assert_allclose(found, np.log2(expected), atol=1e-5)
    np.testing.assert_allclose(mean_color(found), [0.3, 0, 0], atol=1e-5)
    assert natural_value("contrast", found[3]) == pytest.approx(0.1)
    assert natural_value("brightness", found[0]) == pytest.approx(0.1)


def test_a_chessboard_has_all_its_detail_between_neighbours() -> None:
    board = (np.indices((32, 32)).sum(axis=0) % 2).astype(np.float32)
    coarse = board.repeat(2, axis=0).repeat(2, axis=1)
    assert feature("detail", np.stack([board] * 3, axis=-1)) > 8
    assert feature("detail", np.stack([coarse] * 3, axis=-1)) < -8
    assert feature("coarse_detail", np.stack([coarse] * 3, axis=-1)) > 8


def test_detail_does_not_depend_on_contrast_or_brightness() -> None:
    rgb = texture()
    assert feature("detail", rgb * 0.5 + 0.2) == pytest.approx(
        feature("detail", rgb), abs=0.01
    )
    assert feature("contrast", rgb * 0.5) < feature("contrast", rgb) - 0.7


def test_a_blurred_or_enlarged_image_has_less_detail() -> None:
    rgb = texture()
    enlarged = cv2.resize(rgb[:16, :16], (64, 64), interpolation=cv2.INTER_CUBIC)
    least = feature("detail", rgb) - 0.2
    assert -1.05 < feature("detail", cv2.GaussianBlur(rgb, (0, 0), 2)) < least
    assert -1.05 < feature("detail", enlarged) < least


def test_a_factor_of_two_is_a_difference_of_about_one() -> None:
    rgb = texture()
    difference = feature("brightness", rgb) - feature("brightness", rgb / 2)
    assert difference == pytest.approx(1, abs=0.1)


def test_pixels_without_data_change_nothing() -> None:
    rgb, valid = texture(), np.ones((64, 64), bool)
    valid[:, 32:] = False
    torn = rgb.copy()
    torn[:, 32:] = 0
    before = torn.copy()

    found, expected = image_features(torn, valid), image_features(rgb[:, :32])

    assert found is not None
    assert expected is not None
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(torn, before)


@pytest.mark.parametrize("shape", [(1, 1), (15, 17), (7, 400), (16, 8)])
def test_a_window_with_fewer_than_256_pixels_is_not_measured(
    shape: tuple[int, int],
) -> None:
    assert image_features(np.zeros((*shape, 3), np.float32)) is None


def test_a_window_with_too_little_data_is_not_measured() -> None:
    valid = np.zeros((64, 64), bool)
    valid[:15] = True
    assert image_features(np.zeros((64, 64, 3), np.float32), valid) is None
    valid[:16] = True
    assert image_features(np.zeros((64, 64, 3), np.float32), valid) is not None


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_images_have_finite_features(level: float) -> None:
    found = image_features(np.full((17, 19, 3), level, np.float32))
    assert found is not None
    assert np.isfinite(found).all()


def test_colours_fall_into_levels_of_their_square_root() -> None:
    edges = (np.arange(6) / 6) ** 2 + 1e-4
    greys = np.repeat(edges[:, None], 3, axis=1).astype(np.float32)
    assert color_cells(greys).tolist() == [43 * level for level in range(6)]
    assert color_cells(np.array([0, 0, 1], np.float32)) == 5


def test_colour_shares_sum_to_one_over_the_pixels_with_data() -> None:
    rgb = texture()
    valid = rgb[..., 0] > 0.5
    shares = color_shares(rgb, valid)
    assert shares.shape == (COLOR_CELLS,)
    assert shares.sum() == pytest.approx(1)
    assert color_shares(rgb, np.zeros_like(valid)).sum() == 0
