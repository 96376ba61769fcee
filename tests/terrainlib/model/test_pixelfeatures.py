"""Features of pixels: what the windows see, at borders and beside holes."""

import numpy as np
import pytest

from terrainlib.errors import InputError
from terrainlib.model.pixelclassifier import (
    COLOR_WINDOWS_PX,
    classifier_input,
    pixel_features,
    reach_px,
)


def test_mean_and_spread_are_those_of_the_window_mirrored_at_the_border() -> None:
    image = np.random.default_rng(5).integers(0, 256, (40, 50, 3), np.uint8)
    features = pixel_features(image / np.float32(255), use_height=False)
    assert features.shape == (40, 50, 21)
    assert features.dtype == np.float32
    assert (features[..., :3] == image).all()
    reach = max(COLOR_WINDOWS_PX) // 2
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    for row, column in [(0, 0), (20, 25), (39, 3)]:
        for number, window in enumerate(COLOR_WINDOWS_PX):
            first = reach - window // 2
            top, left = row + first, column + first
            part = padded[top : top + window, left : left + window].astype(float)
            found = features[row, column, 3 + 6 * number : 9 + 6 * number]
            expected = [*part.mean(axis=(0, 1)), *part.std(axis=(0, 1))]
            np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_heights_that_are_not_known_weigh_nothing() -> None:
    rgb = np.full((60, 60, 3), 0.5, np.float32)
    height = np.full((60, 60), 700, np.float32)
    height[:, :45] = np.nan
    features = pixel_features(
        classifier_input(rgb, height, use_height=True), use_height=True
    )
    assert features.shape == (60, 60, 28)
    assert np.isnan(features[:, :45, 21]).all()
    assert np.isnan(features[:, :29, 26]).all()  # nothing known within 16 px
    assert (features[:, 29:, 26] == 700).all()
    assert (features[:, 29:, 27] == 0).all()


@pytest.mark.parametrize("use_height", [False, True])
def test_a_pixel_beyond_the_reach_changes_nothing(use_height: bool) -> None:
    rng = np.random.default_rng(6)
    pixels = rng.random((60, 60, 4 if use_height else 3), dtype=np.float32)
    pixels[..., 3:] *= 1000
    reach = reach_px(use_height=use_height)
    before = pixel_features(pixels, use_height=use_height)
    pixels[30, 30] = 0
    after = pixel_features(pixels, use_height=use_height)
    changed = (after != before).any(axis=-1)
    rows = np.flatnonzero(changed.any(axis=1))
    assert (rows[0], rows[-1]) == (30 - reach, 30 + reach)


def test_heights_are_handed_on_in_metres_or_left_out() -> None:
    rgb = np.full((4, 5, 3), 0.25, np.float32)
    height = np.full((4, 5), 812.5, np.float32)
    assert (classifier_input(rgb, height, use_height=True)[..., 3] == 812.5).all()
    assert classifier_input(rgb, height, use_height=False).shape == (4, 5, 3)
    with pytest.raises(InputError, match=r"asked to use heights, and there are none\."):
        classifier_input(rgb, None, use_height=True)
