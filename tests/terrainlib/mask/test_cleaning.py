"""Median, sieve and hole filling of class masks: by hand, and by plain slow code."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import cv2
import numpy as np
import pytest

from terrainlib.data.palette import NO_DATA
from terrainlib.errors import ConfigError, ImageError
from terrainlib.mask import cleaning as module
from terrainlib.mask.cleaning import STEPS, PostProcessing, fill_holes, median, sieve
from tests.synthetic import terrain

OPERATIONS = [(median, 3), (median, 7), (sieve, 12), (fill_holes, 12)]


def grid(text):
    """Return a mask from digits; a point is a pixel without data."""
    rows = [row.split() for row in text.strip().splitlines()]
    return np.array(
        [[NO_DATA if cell == "." else int(cell) for cell in row] for row in rows],
        np.uint8,
    )


def noisy(seed, *, size=48, holes=True):
    """Return land with specks of other classes and, if wanted, missing data."""
    rng = np.random.default_rng(seed)
    mask = terrain(size, seed)[1]
    specks = rng.random(mask.shape) < 0.15
    mask[specks] = rng.integers(0, 7, specks.sum())
    if holes:
        mask[rng.random(mask.shape) < 0.03] = NO_DATA
        mask[:5, :9] = NO_DATA
    return mask


def regions(mask):
    """Return the size, class and pixels of every region."""
    found = []
    for number in np.unique(mask[mask != NO_DATA]):
        count, labels = cv2.connectedComponents(
            (mask == number).astype(np.uint8), connectivity=4
        )
        for label in range(1, count):
            inside = labels == label
            found.append((int(inside.sum()), int(number), inside))
    return found


def around(inside):
    """Return the pixels that touch a region at a side."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    return (cv2.dilate(inside.astype(np.uint8), cross) > 0) & ~inside


def slow_median(mask, size):
    result = mask.copy()
    reach = size // 2
    for row, column in np.argwhere(mask != NO_DATA):
        window = mask[
            max(0, row - reach) : row + reach + 1,
            max(0, column - reach) : column + reach + 1,
        ]
        counts = np.bincount(window[window != NO_DATA], minlength=8)
        own = mask[row, column]
        most = counts.max()
        result[row, column] = own if counts[own] == most else counts.argmax()
    return result


def test_the_median_takes_the_class_of_the_majority():
    mask = grid("""
        0 0 2 2
        0 1 2 2
        0 0 2 0
        0 0 2 2
    """)
    expected = grid("""
        0 0 2 2
        0 0 2 2
        0 0 2 2
        0 0 2 2
    """)
    assert median(mask, 3).tolist() == expected.tolist()


def test_between_equally_frequent_classes_the_pixels_own_wins():
    assert median(grid("3 3 1 1"), 3).tolist() == [[3, 3, 1, 1]]
    # around the 5 the classes 2, 4 and 5 occur once each
    assert median(grid("2 5 4"), 3).tolist() == [[2, 5, 4]]
    # and here 1 and 3 twice: the 5 has one, so the lowest index wins
    assert median(grid("1 1 . \n 3 5 . \n 3 . ."), 3)[1, 1] == 1


def test_the_median_does_not_count_missing_data():
    mask = grid("""
        . . .
        . 4 .
        . 6 6
    """)
    assert median(mask, 3).tolist() == grid(". . . \n . 6 . \n . 6 6").tolist()


@pytest.mark.parametrize("size", [3, 5, 9])
def test_the_median_is_that_of_plain_code(size):
    mask = noisy(size)
    assert np.array_equal(median(mask, size), slow_median(mask, size))


def test_the_median_in_strips_is_the_median_of_the_whole(monkeypatch):
    mask = noisy(4)
    whole = median(mask, 7)
    monkeypatch.setattr(module, "_STRIP_PX", 5 * mask.shape[1])
    assert np.array_equal(median(mask, 7), whole)


def test_the_median_can_be_worked_on_by_band():
    mask = noisy(5)
    bands = []
    for start in range(0, 48, 10):
        first = max(0, start - 3)
        part = median(mask[first : start + 10 + 3], 7)
        bands.append(part[start - first :][: min(10, 48 - start)])
    assert np.array_equal(np.concatenate(bands), median(mask, 7))


def test_small_regions_take_the_class_of_their_largest_neighbour():
    mask = grid("""
        1 1 1 1 2 2
        1 3 3 1 2 2
        1 1 1 1 4 2
        1 1 1 1 2 2
    """)
    expected = grid("""
        1 1 1 1 2 2
        1 1 1 1 2 2
        1 1 1 1 1 2
        1 1 1 1 2 2
    """)
    assert sieve(mask, 3).tolist() == expected.tolist()
    only_the_single_pixel = mask.copy()
    only_the_single_pixel[2, 4] = 1
    assert sieve(mask, 2).tolist() == only_the_single_pixel.tolist()


def test_a_region_as_large_as_the_limit_stays():
    mask = grid("1 1 1 1 \n 1 3 3 1 \n 1 1 1 1")
    assert sieve(mask, 2).tolist() == mask.tolist()
    assert (sieve(mask, 3) == 1).all()


def test_corners_do_not_connect_regions():
    mask = grid("1 1 1 1 \n 1 3 1 1 \n 1 1 3 1 \n 1 1 1 1")
    assert (sieve(mask, 2) == 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_no_small_region_is_left_beside_a_large_one(seed):
    mask = noisy(seed)
    cleaned = sieve(mask, 12)
    found = regions(cleaned)
    assert len(found) < len(regions(mask))
    large = np.any([inside for size, _, inside in found if size >= 12], axis=0)
    for size, _, inside in found:
        assert size >= 12 or not large[around(inside)].any()


def test_where_all_regions_are_too_small_none_is_right():
    mask = grid("1 1 2 2 3 3")
    assert sieve(mask, 4).tolist() == mask.tolist()
    assert sieve(grid("1 1 1 1 2 2 3 3"), 4).tolist() == [[1] * 8]


def test_missing_data_takes_in_no_island():
    mask = grid("""
        . . . .
        . 3 . 1
        . . . 1
    """)
    assert sieve(mask, 100).tolist() == mask.tolist()


def test_a_hole_takes_the_class_around_it():
    mask = grid("""
        1 1 1 1 1 2
        1 3 4 1 2 2
        1 1 1 1 2 5
        1 1 1 2 2 2
    """)
    expected = mask.copy()
    expected[1, 1:3] = 1  # of two classes, but one class encloses both
    assert fill_holes(mask, 2).tolist() == expected.tolist()
    assert fill_holes(mask, 1).tolist() == mask.tolist()
    # the 5 is at the edge: nobody knows what lies beyond
    assert fill_holes(mask, 1000).tolist() == expected.tolist()


def test_of_holes_in_holes_the_outermost_that_fits_is_filled():
    mask = np.full((9, 9), 1, np.uint8)
    mask[2:7, 2:7] = 2  # 25 px with what is inside
    mask[3:6, 3:6] = 0  # 9 px
    mask[4, 4] = 6  # 1 px
    filled = mask.copy()
    filled[4, 4] = 0
    assert fill_holes(mask, 8).tolist() == filled.tolist()
    filled[3:6, 3:6] = 2
    assert fill_holes(mask, 24).tolist() == filled.tolist()
    assert (fill_holes(mask, 25) == 1).all()


def test_holes_that_touch_missing_data_stay():
    mask = grid("""
        1 1 1 1 1
        1 3 . 1 1
        1 1 1 4 1
        1 1 1 1 1
    """)
    expected = mask.copy()
    expected[2, 3] = 1
    assert fill_holes(mask, 100).tolist() == expected.tolist()


def test_hole_filling_can_be_worked_on_by_band():
    mask = noisy(8, size=60)
    whole = fill_holes(mask, 6)
    assert (whole != mask).any()
    bands = []
    for start in range(0, 60, 15):
        first = max(0, start - 7)
        part = fill_holes(mask[first : start + 15 + 7], 6)
        bands.append(part[start - first :][:15])
    assert np.array_equal(np.concatenate(bands), whole)


@pytest.mark.parametrize(("operation", "size"), OPERATIONS)
def test_nothing_is_invented_and_missing_data_stays_where_it_is(operation, size):
    mask = noisy(11)
    before = mask.copy()
    result = operation(mask, size)
    assert np.array_equal(mask, before)
    assert result.dtype == np.uint8
    assert result.shape == mask.shape
    assert (result != mask).any()
    assert np.array_equal(result == NO_DATA, mask == NO_DATA)
    assert set(np.unique(result)) <= set(np.unique(mask))


@pytest.mark.parametrize("operation", [median, sieve, fill_holes])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (4, 4)])
def test_zero_changes_nothing_and_gives_a_new_array(operation, shape):
    mask = np.random.default_rng(1).integers(0, 7, shape).astype(np.uint8)
    result = operation(mask, 0)
    assert np.array_equal(result, mask)
    assert not np.shares_memory(result, mask)


@pytest.mark.parametrize(("operation", "size"), OPERATIONS)
def test_the_smallest_and_emptiest_masks_pass_through(operation, size):
    for mask in (np.zeros((1, 1), np.uint8), np.full((3, 5), NO_DATA, np.uint8)):
        assert np.array_equal(operation(mask, size), mask)


def test_masks_may_be_views_and_read_only():
    mask = noisy(3)[::2, ::-1]
    mask.flags.writeable = False
    settings = PostProcessing(3, 4, 4)
    assert np.array_equal(settings.apply(mask), settings.apply(mask.copy()))


def test_all_three_go_one_after_the_other():
    mask = noisy(6)
    expected = fill_holes(sieve(median(mask, 5), 20), 30)
    assert np.array_equal(PostProcessing(5, 20, 30).apply(mask), expected)
    assert not np.array_equal(expected, median(sieve(mask, 20), 5))


def test_settings_know_whether_they_change_anything():
    assert PostProcessing().changes_nothing
    assert PostProcessing(sieve_px=1).changes_nothing
    assert not PostProcessing(median_px=3).changes_nothing
    assert not PostProcessing(fill_px=1).changes_nothing
    mask = noisy(2)
    assert np.array_equal(PostProcessing().apply(mask), mask)


@pytest.mark.parametrize("size", [-3, 1, 2, 4, 33, 3.0, True, None])
def test_a_window_that_cannot_be_is_refused(size):
    with pytest.raises(ConfigError, match="odd number from 3 to 31 px"):
        PostProcessing(median_px=size)
    with pytest.raises(ConfigError, match="odd number from 3 to 31 px"):
        median(np.zeros((3, 3), np.uint8), size)


@pytest.mark.parametrize("pixels", [-1, 1_000_001, 2.5, float("nan")])
def test_a_size_of_regions_that_cannot_be_is_refused(pixels):
    with pytest.raises(ConfigError, match="sieve must be a whole number from 0 to 1,0"):
        PostProcessing(sieve_px=pixels)
    with pytest.raises(ConfigError, match="hole filling must be a whole number"):
        PostProcessing(fill_px=pixels)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((3, 3), np.int64), "not int64"),
        (np.zeros((3, 3, 3), np.uint8), r"not \(3, 3, 3\)"),
        (np.zeros((0, 3), np.uint8), "not empty"),
        ([[1, 2]], "not list"),
    ],
)
def test_what_is_no_class_mask_is_refused(mask, words):
    for operation, size in OPERATIONS:
        with pytest.raises(ImageError, match=words):
            operation(mask, size)


def test_islands_join_the_regions_they_separated():
    # without the 3 the 1s are one region of 7 px, and larger than the 2s
    mask = grid("1 1 1 3 1 1 1 0 2 2 2 2 2")
    assert sieve(mask, 2).tolist() == grid("1 1 1 1 1 1 1 2 2 2 2 2 2").tolist()
    joined = sieve(mask, 2)
    joined[0, 7] = 0
    assert sieve(joined, 2).tolist() == grid("1 1 1 1 1 1 1 1 2 2 2 2 2").tolist()


def test_of_equally_large_neighbours_the_first_one_wins():
    assert sieve(grid("2 2 0 1 1"), 2).tolist() == [[2, 2, 2, 1, 1]]
    assert sieve(grid("1 1 0 2 2"), 2).tolist() == [[1, 1, 1, 2, 2]]


def test_the_way_to_a_large_region_leads_through_small_ones():
    assert sieve(grid("1 2 2 3 3 3 4 4 4 4"), 4).tolist() == [[4] * 10]


def test_several_threads_may_sieve_at_once():
    mask = noisy(3)
    expected = sieve(mask, 12)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(sieve, [mask] * 100, [12] * 100):
            assert np.array_equal(result, expected)


def test_the_table_of_steps_is_that_of_the_settings():
    names = [item.name for item in fields(PostProcessing)]
    assert [step.field for step in STEPS] == names
    for step in STEPS:
        for size in step.offered:
            step.check(size)
            only = PostProcessing(**{step.field: size})
            assert only.changes_nothing == (size < step.least)
        assert step.offered[0] == 0
