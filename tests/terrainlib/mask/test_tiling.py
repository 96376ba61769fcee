"""Tiles: every pixel once, aligned, and with its surroundings."""

import numpy as np
import pytest

from terrainlib.mask.tiling import exact_grid, round_up, tiles

SIZES = [(16, 16), (96, 64), (704, 1312), (512, 512), (528, 3008), (2048, 16)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("field", "multiple"), [(26, 16), (119, 16), (0, 8)])
def test_the_cores_cover_each_pixel_once(size, field, multiple):
    grid = exact_grid(size, receptive_field=field, multiple=multiple, tile_size=256)
    covered = np.zeros(size, int)
    for tile in tiles(grid):
        covered[tile.target] += 1
        inside = np.zeros(grid.tile)[tile.core]
        assert inside.shape == covered[tile.target].shape
    assert (covered == 1).all()


@pytest.mark.parametrize("size", SIZES)
def test_tiles_have_one_shape_and_lie_on_the_pooling_grid(size):
    grid = exact_grid(size, receptive_field=119, multiple=16, tile_size=256)
    for tile in tiles(grid):
        for axis, length in enumerate(size):
            source = tile.source[axis]
            assert 0 <= source.start <= source.stop <= length
            assert source.stop - source.start == grid.tile[axis]
            assert source.start % 16 == 0
            assert grid.tile[axis] % 16 == 0


@pytest.mark.parametrize("size", SIZES)
def test_each_core_has_its_surroundings_or_the_real_border(size):
    grid = exact_grid(size, receptive_field=119, multiple=16, tile_size=256)
    for tile in tiles(grid):
        for axis, length in enumerate(size):
            source, target = tile.source[axis], tile.target[axis]
            assert source.start == 0 or target.start - source.start >= 119
            assert source.stop == length or source.stop - target.stop >= 119
            assert tile.core[axis].start == target.start - source.start


def test_a_small_image_is_one_tile():
    grid = exact_grid((96, 64), receptive_field=119, multiple=16)
    assert grid.tile == (96, 64)
    assert len(tiles(grid)) == 1


def test_tiles_grow_with_the_receptive_field():
    grid = exact_grid((9000, 9000), receptive_field=500, multiple=64, tile_size=512)
    assert grid.margin == 512
    assert grid.tile == (2048, 2048)


@pytest.mark.parametrize(("value", "result"), [(0, 0), (1, 16), (16, 16), (17, 32)])
def test_rounding_up_gives_the_next_multiple(value, result):
    assert round_up(value, 16) == result
