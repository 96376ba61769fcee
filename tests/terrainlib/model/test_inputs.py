"""What a network is fed."""

import numpy as np
import pytest

from terrainlib.errors import InputError
from terrainlib.model.config import UNetConfig
from terrainlib.model.inputs import network_input, relief

COLORS_ONLY = UNetConfig.preset("fast")
WITH_HEIGHT = UNetConfig.preset("fast", height=True)


def test_colours_alone_pass_unchanged() -> None:
    rgb = np.random.default_rng(0).random((5, 6, 3), np.float32)

    np.testing.assert_array_equal(network_input(rgb, None, COLORS_ONLY), rgb)


@pytest.mark.parametrize("shape", [(5, 6), (2, 5, 6)])
def test_relief_becomes_the_fourth_channel(shape: tuple[int, ...]) -> None:
    rgb = np.zeros((*shape, 3), np.float32)
    height = np.full(shape, 800, np.float32)

    result = network_input(rgb, height, WITH_HEIGHT)

    assert result.shape == (*shape, 4)
    assert result.dtype == np.float32
    assert not result.any()  # a plateau has no relief


def test_a_network_with_relief_needs_heights() -> None:
    with pytest.raises(InputError, match=r"needs the heights .* Give a height file"):
        network_input(np.zeros((4, 4, 3), np.float32), None, WITH_HEIGHT)


def test_relief_is_the_root_of_the_range_in_five_pixels() -> None:
    height = np.zeros((9, 9), np.float32)
    height[4, 4] = 250.0

    result = relief(height)

    assert result[4, 4] == result[2, 2] == result[6, 6] == 0.5
    assert result[1, 1] == 0


def test_relief_does_not_depend_on_the_height_above_sea_level() -> None:
    height = np.random.default_rng(0).uniform(0, 900, (12, 12)).astype(np.float32)

    np.testing.assert_allclose(relief(height + 2000), relief(height), atol=1e-4)


def test_a_void_has_no_relief_and_makes_none_around_it() -> None:
    height = np.full((9, 9), 800, np.float32)
    height[3:6, 3:6] = np.nan

    assert not relief(height).any()
    assert not relief(np.full((3, 3), np.nan, np.float32)).any()
