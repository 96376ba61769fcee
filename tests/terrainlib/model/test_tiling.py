"""Tiles: every pixel once, aligned, and with its surroundings."""

import pytest

from terrainlib.model.tiling import Grid, exact_grid, round_up

SIZES = [(16, 16), (96, 64), (704, 1312), (512, 512), (528, 3008), (2048, 16)]
FIELDS = [(26, 16), (119, 16), (0, 8), (54, 8)]


def axes(grid: Grid):
    return zip((grid.rows, grid.columns), grid.size, grid.tile, strict=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("field", "multiple"), FIELDS)
def test_tiles_have_one_shape_on_the_pooling_grid_and_cores_that_follow_each_other(
    size, field, multiple
):
    grid = exact_grid(size, receptive_field=field, multiple=multiple, tile_size=256)
    for spans, length, tile in axes(grid):
        end = 0
        for span in spans:
            assert 0 <= span.start < span.stop <= length
            assert span.stop - span.start == tile
            assert span.start % multiple == tile % multiple == 0
            assert span.core.start == end < span.core.stop
            end = span.core.stop
        assert end == length
    assert len(grid) == len(grid.rows) * len(grid.columns)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("field", "multiple"), FIELDS)
def test_each_core_has_its_surroundings_or_the_real_border(size, field, multiple):
    grid = exact_grid(size, receptive_field=field, multiple=multiple, tile_size=256)
    for spans, length, _ in axes(grid):
        for span in spans:
            assert span.start == 0 or span.core.start - span.start >= field
            assert span.stop == length or span.stop - span.core.stop >= field


def test_a_small_image_is_one_tile():
    grid = exact_grid((96, 64), receptive_field=119, multiple=16)
    assert grid.tile == (96, 64)
    assert len(grid) == 1


def test_tiles_grow_with_the_receptive_field():
    grid = exact_grid((9024, 9024), receptive_field=500, multiple=64, tile_size=512)
    assert grid.margin == 512
    assert 1536 <= grid.tile[0] <= 2048


def test_tiles_shrink_to_what_covers_the_image():
    grid = exact_grid((16, 1312), receptive_field=54, multiple=8, tile_size=1024)
    assert grid.tile == (16, 712)  # twice, with 112 px in both


def test_height_and_width_of_tiles_may_differ():
    grid = exact_grid(
        (9024, 9024), receptive_field=54, multiple=8, tile_size=(512, 2048)
    )
    assert grid.tile[0] <= 512
    assert 1024 < grid.tile[1] <= 2048


@pytest.mark.parametrize(("value", "result"), [(0, 0), (1, 16), (16, 16), (17, 32)])
def test_rounding_up_gives_the_next_multiple(value, result):
    assert round_up(value, 16) == result
