"""The windows that stand for an image lie in it, are few, and reach all over it."""

import numpy as np
import pytest

from terrainlib.data.formats.raster import sample_windows, spread, whole


@pytest.mark.parametrize("shape", [(1, 1), (128, 90), (2000, 2000), (1, 4_000_000)])
def test_small_images_are_sampled_whole(shape: tuple[int, int]) -> None:
    assert sample_windows(*shape) == [whole(*shape)]


@pytest.mark.parametrize(
    "shape", [(2001, 2000), (20_000, 20_000), (30_001, 999), (3, 5_000_000)]
)
def test_of_large_ones_about_a_million_pixels_are(shape: tuple[int, int]) -> None:
    windows = sample_windows(*shape)
    sizes = [(r.stop - r.start) * (c.stop - c.start) for r, c in windows]
    assert len(windows) == len({(r.start, c.start) for r, c in windows}) <= 256
    assert sum(sizes) <= 256 * 64 * 64
    for axis, length in enumerate(shape):
        starts = sorted({window[axis].start for window in windows})
        assert starts[0] >= 0
        assert all(start % 64 == 0 for start in starts)
        assert max(window[axis].stop for window in windows) <= length
        gaps = np.diff([0, *starts, length])
        assert gaps.max() <= max(64, length / 4)


def test_spread_numbers_are_even_and_leave_the_ends_alike() -> None:
    assert spread(10, 5) == [1, 3, 5, 7, 9]
    assert spread(4, 4) == [0, 1, 2, 3]
    assert spread(100, 1) == [50]
