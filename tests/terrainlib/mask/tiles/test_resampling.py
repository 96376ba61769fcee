"""Resampling: as good as OpenCV's, and the same for a part as for the whole."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from terrainlib.mask.tiles.resampling import Axis, Resizer

SIZES = [
    ((40, 60), (10, 15)),
    ((41, 63), (10, 16)),
    ((30, 20), (51, 34)),
    ((7, 9), (7, 30)),
    ((33, 50), (30, 60)),
    ((5, 5), (1, 1)),
    ((1, 1), (4, 4)),
    ((8, 8), (8, 8)),
]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize(("size", "target"), SIZES)
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_the_whole_is_what_opencv_gives(size, target, channels):
    values = noise(*size, *channels)
    resizer = Resizer.between(size, target)
    method = cv2.INTER_AREA if resizer.rows.areas else cv2.INTER_LINEAR
    expected = cv2.resize(values, (target[1], target[0]), interpolation=method)
    result = resizer.whole(values)
    assert result.dtype == np.float32
    assert result.shape == (*target, *channels)
    assert np.abs(result - expected.reshape(result.shape)).max() < 1e-5


def test_shrinking_bilinearly_is_what_opencv_gives():
    values = noise(90, 60, 3)
    result = Resizer.between((90, 60), (32, 32), linear=True).whole(values)
    assert np.abs(result - cv2.resize(values, (32, 32))).max() < 1e-5


@pytest.mark.parametrize(("size", "target"), SIZES)
@pytest.mark.parametrize("cuts", [1, 3, 5])
def test_parts_have_the_values_that_they_have_in_the_whole(size, target, cuts):
    values = noise(*size, 3)
    resizer = Resizer.between(size, target)
    whole = resizer.whole(values)
    edges = [np.unique(np.linspace(0, n, cuts + 1).astype(int)) for n in target]
    for top, bottom in zip(edges[0][:-1], edges[0][1:], strict=True):
        for left, right in zip(edges[1][:-1], edges[1][1:], strict=True):
            part = slice(int(top), int(bottom)), slice(int(left), int(right))
            source = resizer.window(*part)
            origin = source[0].start, source[1].start
            result = resizer.part(values[source], origin, *part)
            assert np.abs(result - whole[part]).max() < 1e-6


def test_weights_far_from_the_first_pixel_are_as_good_as_near_it():
    # Bilinear weights computed in float32 are off by up to 1e-3 here.
    axis = Axis(30_000, 51_000, areas=False)
    window = axis.window(50_000, 50_100)
    ramp = np.arange(window.start, window.stop, dtype=np.float32) - window.start
    result = axis.apply(ramp[:, None], window.start, 50_000, 50_100)[:, 0]
    centres = (np.arange(50_000, 50_100) + 0.5) * 30_000 / 51_000 - 0.5 - window.start
    assert np.abs(result - centres).max() < 1e-4


@pytest.mark.parametrize(("source", "target"), [(10, 37), (37, 10), (12, 12), (9, 10)])
@pytest.mark.parametrize("areas", [True, False])
def test_the_edges_share_out_the_target_and_the_reach_covers_them(
    source, target, areas
):
    axis = Axis(source, target, areas=areas and target <= source)
    edges = [axis.edge(pixel) for pixel in range(source + 1)]
    assert edges[0] == 0
    assert edges[-1] == target
    assert edges == sorted(edges)
    for pixel, (start, stop) in enumerate(pairwise(edges)):
        if start < stop:
            window = axis.window(start, stop)
            assert window.start >= max(0, pixel - axis.reach)
            assert window.stop <= min(source, pixel + 1 + axis.reach)
