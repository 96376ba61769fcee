"""Two patches with their shared ground outlined."""

import numpy as np
import pytest

from terrainlib.mask.overlap_picture import OUTLINE_COLOR, overlap_pictures
from tests.overlapping import shifted


def test_shared_ground_is_bright_and_framed_and_the_rest_is_darker() -> None:
    image = np.full((64, 64, 3), 0.5, np.float32)
    overlap = shifted("a", "b", right=32, down=0)
    first, second = overlap_pictures(image, image, overlap, side_px=256)
    assert first.shape == second.shape == (256, 256, 3)
    assert (first[128, 192] == 128).all()
    assert (second[128, 64] == 128).all()
    assert (first[128, 64] < 100).all()
    assert (second[128, 192] < 100).all()
    assert (first[128, 128] == OUTLINE_COLOR).all()
    assert (second[128, 128] == OUTLINE_COLOR).all()


def test_the_dot_marks_the_same_corner_in_both() -> None:
    image = np.zeros((64, 64, 3), np.float32)
    overlap = shifted("a", "b", right=20, down=30)
    pictures = overlap_pictures(image, image, overlap, side_px=256)
    dots = []
    for picture in pictures:
        hit = (picture == OUTLINE_COLOR).all(axis=2).astype(np.float32)
        near = [
            (hit[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].sum(), x, y)
            for x in range(0, 257, 4)
            for y in range(0, 257, 4)
        ]
        dots.append(max(near)[1:])
    (x, y), (other_x, other_y) = dots
    assert x - other_x == pytest.approx(80, abs=8)
    assert y - other_y == pytest.approx(120, abs=8)


@pytest.mark.parametrize("size", [(30, 90), (200, 50)])
def test_any_size_and_shape_can_be_drawn(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 0.5, np.float32)
    overlap = shifted("a", "b", right=500, down=0)  # nothing in common
    first, _ = overlap_pictures(image, image, overlap, side_px=120)
    assert max(first.shape[:2]) == 120
    assert (first == 128).all()
