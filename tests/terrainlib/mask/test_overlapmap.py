"""Overlaps drawn: where patches are laid, how their parts look, and a pair."""

import numpy as np
import pytest

from terrainlib.data.overlaps import Overlap, Overlaps
from terrainlib.mask.overlapmap import (
    OUTLINE_COLOR,
    PART_COLORS,
    Part,
    PatchMap,
    draw_map,
    draw_pair,
    lay_out,
)
from tests.overlapping import shifted

SIZES = dict.fromkeys("abcdefg", (100, 80))
CHAIN = (
    shifted("a", "b", right=60, down=10, share=0.4),
    shifted("b", "c", right=30, down=-20, share=0.6),
)
APART = shifted("d", "e", right=50, down=0)


def laid(*pairs: Overlap, sizes: dict[str, tuple[int, int]] = SIZES) -> PatchMap:
    return lay_out(Overlaps(pairs), sizes, most_patches=600)


def corner(patches: PatchMap, name: str) -> tuple[float, float]:
    x, y = patches.outlines[name][0]
    return round(float(x), 6), round(float(y), 6)


def picture(_name: str) -> np.ndarray:
    return np.full((40, 50, 3), 90, np.uint8)


def test_a_chain_is_laid_out_as_its_overlaps_say() -> None:
    patches = laid(*CHAIN)
    assert corner(patches, "a") == (0, 10)
    assert corner(patches, "b") == (60, 20)
    assert corner(patches, "c") == (90, 0)
    assert patches.size == pytest.approx((190, 100))
    assert patches.groups == 1


def test_a_patch_is_placed_over_its_largest_overlap() -> None:
    wrong = shifted("a", "c", right=5, down=5, share=0.1)
    assert corner(laid(*CHAIN, wrong), "c") == (90, 0)


def test_turned_and_enlarged_patches_keep_their_place() -> None:
    turned = Overlap("a", "b", 0.3, ((0.0, 2.0, 0.0), (-2.0, 0.0, 100.0)))
    patches = laid(turned)
    # where the corners of `a` lie in `b`: every px of `a` is two of `b`
    a, b = patches.outlines["a"], patches.outlines["b"]
    along, down = (b[1] - b[0]) / 100, (b[3] - b[0]) / 80
    for (x, y), place in zip(((0, 0), (100, 0), (100, 80)), a, strict=False):
        mapped = np.array(turned.matrix) @ (x, y, 1)
        assert b[0] + mapped[0] * along + mapped[1] * down == pytest.approx(place)


def test_patches_that_are_no_more_there_have_no_place() -> None:
    sizes = {name: size for name, size in SIZES.items() if name != "c"}
    assert sorted(laid(*CHAIN, sizes=sizes).outlines) == ["a", "b"]


def test_groups_lie_side_by_side_and_do_not_touch() -> None:
    patches = laid(APART, *CHAIN)
    assert (set(patches.outlines), patches.groups) == (set("abcde"), 2)
    chain, pair = (
        np.concatenate([patches.outlines[name] for name in names])
        for names in ("abc", "de")
    )
    assert (pair.min(axis=0) > chain.max(axis=0)).any()
    everything = np.concatenate([chain, pair])
    assert everything.min(axis=0) == pytest.approx((0, 0))
    assert everything.max(axis=0) == pytest.approx(patches.size)


def test_the_largest_groups_are_shown_where_there_are_too_many() -> None:
    pairs = Overlaps((APART, *CHAIN))
    assert set(lay_out(pairs, SIZES, most_patches=2).outlines) == set("abc")
    assert set(lay_out(pairs, SIZES, most_patches=3).outlines) == set("abcde")


def test_the_map_fills_the_wanted_size_and_shows_each_part_in_its_colour() -> None:
    parts: dict[str, Part] = {"a": "train", "b": "left out", "c": "leaking"}
    drawn = draw_map(laid(*CHAIN), parts, picture, longest_px=400, background=(1, 2, 3))
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] == 400
    assert (drawn[-1, -1] == (1, 2, 3)).all()
    pixels = drawn.reshape(-1, 3).astype(int)
    nearest = {
        part: np.abs(pixels - color).max(axis=1).min()
        for part, color in PART_COLORS.items()
    }
    assert all(nearest[part] < 40 for part in parts.values())
    assert nearest["validation"] > 40


def test_a_picture_is_painted_into_its_frame_turned_as_it_lies() -> None:
    halves = np.zeros((40, 50, 3), np.uint8)
    halves[:20] = 200  # the upper half of the patch
    frame = np.array([(80, 0), (80, 100), (0, 100), (0, 0)], float)  # a quarter turn
    patches = PatchMap({"a": frame}, (80.0, 100.0), 1)
    drawn = draw_map(patches, {}, lambda _name: halves, longest_px=108)
    assert (drawn[54, 64] == 200).all()
    assert (drawn[54, 24] == 0).all()


def test_few_patches_are_not_blown_up() -> None:
    assert draw_map(laid(APART), {}, picture, longest_px=4000).shape[1] < 500


def test_shared_ground_is_bright_and_framed_and_the_rest_is_darker() -> None:
    image = np.full((64, 64, 3), 0.5, np.float32)
    overlap = shifted("a", "b", right=32, down=0)
    first, second = draw_pair(image, image, overlap, side_px=256)
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
    pictures = draw_pair(image, image, overlap, side_px=256)
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
    first, _ = draw_pair(image, image, overlap, side_px=120)
    assert max(first.shape[:2]) == 120
    assert (first == 128).all()
