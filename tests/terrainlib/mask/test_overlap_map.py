"""The map of overlaps: where patches are laid, and how their parts look."""

import numpy as np
import pytest

from terrainlib.data.overlaps import Overlap, Overlaps
from terrainlib.mask.overlap_map import (
    PART_COLORS,
    Part,
    PatchGroup,
    draw_map,
    patch_groups,
    side_by_side,
)
from tests.overlapping import shifted

SIZES = dict.fromkeys("abcdefg", (100, 80))
CHAIN = (
    shifted("a", "b", right=60, down=10, share=0.4),
    shifted("b", "c", right=30, down=-20, share=0.6),
)
APART = shifted("d", "e", right=50, down=0)


def corner(group: PatchGroup, name: str) -> tuple[float, float]:
    x, y = group.places[name][:, 2]
    return round(float(x), 6), round(float(y), 6)


def picture(_name: str) -> np.ndarray:
    return np.full((40, 50, 3), 90, np.uint8)


def test_a_chain_is_laid_out_as_its_overlaps_say() -> None:
    (group,) = patch_groups(Overlaps(CHAIN), SIZES)
    assert corner(group, "a") == (0, 10)
    assert corner(group, "b") == (60, 20)
    assert corner(group, "c") == (90, 0)
    assert group.size == pytest.approx((190, 100))


def test_groups_are_those_connected_by_shared_ground_largest_first() -> None:
    groups = patch_groups(Overlaps((APART, *CHAIN)), SIZES)
    assert [sorted(group.places) for group in groups] == [["a", "b", "c"], ["d", "e"]]


def test_a_patch_is_placed_over_its_largest_overlap() -> None:
    wrong = shifted("a", "c", right=5, down=5, share=0.1)
    (group,) = patch_groups(Overlaps((*CHAIN, wrong)), SIZES)
    assert corner(group, "c") == (90, 0)


def test_turned_and_enlarged_patches_keep_their_place() -> None:
    turned = Overlap("a", "b", 0.3, ((0.0, 2.0, 0.0), (-2.0, 0.0, 100.0)))
    (group,) = patch_groups(Overlaps((turned,)), SIZES)
    there, here = group.places["b"], group.places["a"]
    point = np.array((10.0, 20.0, 1.0))
    mapped = np.array((*np.array(turned.matrix) @ point, 1.0))
    assert there @ mapped == pytest.approx(here @ point)


def test_patches_that_are_no_more_there_have_no_place() -> None:
    sizes = {name: size for name, size in SIZES.items() if name != "c"}
    (group,) = patch_groups(Overlaps(CHAIN), sizes)
    assert sorted(group.places) == ["a", "b"]


def test_groups_side_by_side_do_not_touch() -> None:
    groups = patch_groups(Overlaps((APART, *CHAIN)), SIZES)
    plane = side_by_side(groups)
    assert set(plane.places) == set("abcde")
    right = max(plane.places[name][0, 2] + 100 for name in "abc")
    below = max(plane.places[name][1, 2] + 80 for name in "abc")
    assert all(
        plane.places[name][0, 2] > right or plane.places[name][1, 2] > below
        for name in "de"
    )
    low = min(place[:, 2].min() for place in plane.places.values())
    assert low == pytest.approx(0)


def test_the_map_fills_the_wanted_size_and_shows_each_part_in_its_colour() -> None:
    (group,) = patch_groups(Overlaps(CHAIN), SIZES)
    parts: dict[str, Part] = {"a": "train", "b": "left out", "c": "leaking"}
    drawn = draw_map(group, parts, picture, SIZES, longest_px=400, background=(1, 2, 3))
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


def test_small_groups_are_not_blown_up() -> None:
    (group,) = patch_groups(Overlaps((APART,)), SIZES)
    drawn = draw_map(group, {}, picture, SIZES, longest_px=4000)
    assert drawn.shape[1] < 500
