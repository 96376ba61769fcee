"""Finding shared ground from pixels: crops of maps whose places are known."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from terrainlib.data import overlaps
from terrainlib.data.dataset import open_dataset
from terrainlib.data.overlap import search
from terrainlib.data.overlap.features import Picture
from terrainlib.data.overlap.geometry import composed, inverted, shared_part
from terrainlib.data.overlap.matching import agreement, settled
from terrainlib.data.overlaps import (
    MAX_UNASKED_GB,
    Overlap,
    Overlaps,
    find_overlaps,
    known_overlaps,
    search_cost,
)
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.errors import StoppedError
from tests.relief import relief_map, write_patches

SIDE = 96
MAP, HEIGHTS = relief_map(640, seed=1)


def crop(left: int, top: int, width: int = SIDE, height: int = SIDE):
    part = np.s_[top : top + height, left : left + width]
    return MAP[part], HEIGHTS[part]


def found_in(folder: Path, patches: dict) -> Overlaps:
    return find_overlaps(open_dataset(write_patches(folder, patches)))


def ids(found: Overlaps) -> list[tuple[str, str]]:
    return [(pair.first, pair.second) for pair in found.pairs]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "patches"


def test_crops_that_overlap_are_found_with_their_share_and_map(folder: Path) -> None:
    found = found_in(folder, {"a": crop(0, 0), "b": crop(40, 20), "c": crop(300, 300)})
    assert ids(found) == [("a", "b")]
    pair = found.pairs[0]
    assert pair.share == pytest.approx(56 * 76 / SIDE**2, abs=0.02)
    np.testing.assert_allclose(np.array(pair.matrix)[:, :2], np.eye(2), atol=0.02)
    np.testing.assert_allclose(np.array(pair.matrix) @ (70, 60, 1), (30, 40), atol=0.6)


def test_crops_apart_are_not_found(folder: Path) -> None:
    places = [(0, 0), (200, 0), (0, 200), (200, 200), (400, 400), (500, 100)]
    patches = {f"p{number}": crop(*place) for number, place in enumerate(places)}
    assert found_in(folder, patches) == Overlaps(())


def test_the_same_patch_twice_is_found(folder: Path) -> None:
    found = found_in(folder, {"a": crop(0, 0), "b": crop(0, 0)})
    assert ids(found) == [("a", "b")]
    assert found.pairs[0].share == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("colour", [(17, 60, 120), (0, 0, 0), (255, 255, 255)])
def test_flat_patches_say_nothing(folder: Path, colour: tuple[int, int, int]) -> None:
    flat = np.full((SIDE, SIDE, 3), colour, np.uint8), np.zeros((SIDE, SIDE), np.uint16)
    patches = {"a": flat, "b": flat, "c": crop(0, 0), "d": crop(30, 0)}
    assert ids(found_in(folder, patches)) == [("c", "d")]


def test_nothing_but_water_is_searched_without_a_find(folder: Path) -> None:
    water = np.full((SIDE, SIDE, 3), (17, 60, 120), np.uint8), None
    assert found_in(folder, {"a": water, "b": water}) == Overlaps(())


def test_one_patch_shares_ground_with_nobody(folder: Path) -> None:
    assert found_in(folder, {"a": crop(0, 0)}) == Overlaps(())


def test_patches_of_other_sizes_are_found(folder: Path) -> None:
    found = found_in(
        folder, {"a": crop(0, 0, 160, 120), "b": crop(60, 40), "c": crop(400, 400)}
    )
    assert ids(found) == [("a", "b")]
    share = 96 * 80 / (160 * 120)
    assert found.pairs[0].share == pytest.approx(share, abs=0.02)


def test_stretched_columns_are_found(folder: Path) -> None:
    rgb, height = crop(40, 10, 80)
    stretched = tuple(
        cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        for pixels in (rgb, height)
    )
    found = found_in(folder, {"a": crop(0, 0), "b": stretched, "c": crop(300, 0)})
    assert ids(found) == [("a", "b")]
    assert found.pairs[0].matrix[0][0] == pytest.approx(SIDE / 80, abs=0.03)
    assert found.pairs[0].matrix[1][1] == pytest.approx(1, abs=0.03)


def test_turned_patches_are_found(folder: Path) -> None:
    rgb, height = crop(40, 20)
    turned = np.rot90(rgb).copy(), np.rot90(height).copy()
    found = found_in(folder, {"a": crop(0, 0), "b": turned})
    assert ids(found) == [("a", "b")]
    np.testing.assert_allclose(
        np.array(found.pairs[0].matrix)[:, :2], [[0, 1], [-1, 0]], atol=0.03
    )


def test_a_chain_shows_an_overlap_too_small_to_be_seen(folder: Path) -> None:
    found = found_in(
        folder, {"a": crop(0, 0), "b": crop(45, 0), "c": crop(91, 0), "d": crop(99, 4)}
    )
    assert ids(found) == [("a", "b"), ("a", "c"), ("b", "c"), ("b", "d"), ("c", "d")]
    sliver = found.pairs[1]
    assert sliver.share == pytest.approx(5 / SIDE, abs=0.015)


def test_neither_masks_nor_lists_of_places_are_read(folder: Path) -> None:
    write_patches(folder, {"a": crop(0, 0), "b": crop(40, 20)})
    dataset = open_dataset(folder)
    for mask in folder.glob("*_i2.png"):
        mask.unlink()
    assert ids(find_overlaps(dataset)) == [("a", "b")]


def test_a_file_that_vanished_leaves_the_others(folder: Path) -> None:
    write_patches(folder, {"a": crop(0, 0), "b": crop(40, 20), "c": crop(20, 10)})
    dataset = open_dataset(folder)
    (folder / "c_t.png").unlink()
    assert ids(find_overlaps(dataset)) == [("a", "b")]


@pytest.mark.parametrize(
    ("times", "said", "unasked"),
    [
        (50, "about 18 s on two cores, with 0.1 GB of memory", True),
        (5_000, "about 30 min on two cores, with 2.5 GB of memory", False),
        (25_000, "about 2.5 h on two cores, with 12.5 GB of memory", False),
    ],
)
def test_a_search_says_what_it_takes_before_it_begins(
    folder: Path, times: int, said: str, unasked: bool
) -> None:
    two = open_dataset(write_patches(folder, {"a": crop(0, 0), "b": crop(40, 20)}))
    cost = search_cost(replace(two, pairs=two.pairs * times))
    assert cost.text == said
    assert (cost.memory_gb <= MAX_UNASKED_GB) is unasked


def test_an_unchanged_data_set_is_searched_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(write_patches(folder, {"a": crop(0, 0), "b": crop(40, 20)}))
    assert known_overlaps(dataset) is None
    found = find_overlaps(dataset)
    monkeypatch.setattr(search, "search", None)
    assert find_overlaps(dataset) == found
    assert known_overlaps(dataset) == found


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"pairs": [["a", "z", 1, []]], "possible": []}']
)
def test_a_damaged_memory_is_made_again(
    folder: Path, terrainlib_home: Path, damage: bytes
) -> None:
    dataset = open_dataset(write_patches(folder, {"a": crop(0, 0), "b": crop(40, 20)}))
    found = find_overlaps(dataset)
    (memory,) = (terrainlib_home / "cache" / "overlaps").iterdir()
    good = memory.read_bytes()
    memory.write_bytes(damage)
    assert known_overlaps(dataset) is None
    assert find_overlaps(dataset) == found
    assert memory.read_bytes() == good


def test_another_search_finds_the_same(folder: Path) -> None:
    patches = {f"p{n}": crop(37 * n, 23 * n) for n in range(5)}
    dataset = open_dataset(write_patches(folder, patches))
    assert overlaps._search(dataset, None, None) == overlaps._search(
        dataset, None, None
    )


def test_progress_rises_to_its_end(folder: Path) -> None:
    dataset = open_dataset(write_patches(folder, {"a": crop(0, 0), "b": crop(40, 20)}))
    seen: list[tuple[int, int]] = []
    find_overlaps(dataset, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("asked", [1, 3, 4])
def test_a_search_that_is_stopped_keeps_nothing(folder: Path, asked: int) -> None:
    dataset = open_dataset(write_patches(folder, {"a": crop(0, 0), "b": crop(40, 20)}))
    times = iter(range(1, 100))
    with pytest.raises(StoppedError, match="as asked"):
        find_overlaps(dataset, should_stop=lambda: next(times) >= asked)
    assert known_overlaps(dataset) is None


# the values


def test_overlaps_know_neighbours_and_leaks() -> None:
    matrix = ((1.0, 0.0, -40.0), (0.0, 1.0, 0.0))
    found = Overlaps(
        (Overlap("a", "b", 0.5, matrix), Overlap("b", "c", 0.2, matrix)),
        (Overlap("c", "d", 0.0, matrix),),
    )
    assert found.neighbours() == {"a": {"b"}, "b": {"a", "c"}, "c": {"b"}}
    assert found.neighbours(careful=True)["d"] == {"c"}
    assert found.leak(["a", "d"], ["b", "c"]) == 0.5
    assert found.leak(["a"], ["c"]) == 0
    assert found.leak(["a"], []) == 0
    assert [(one.first, one.second) for one in found.of("b")] == [
        ("b", "a"),
        ("b", "c"),
    ]
    assert found.of("b")[0].matrix[0] == (1, 0, 40)


def test_an_outline_is_the_shared_ground_in_the_first_patch() -> None:
    pair = Overlap("a", "b", 0.5, ((1.0, 0.0, -60.0), (0.0, 1.0, -10.0)))
    outline = pair.outline((100, 80), (100, 80))
    assert set(map(tuple, outline.tolist())) == {
        (60, 10),
        (100, 10),
        (100, 80),
        (60, 80),
    }


# the parts


def test_maps_are_composed_and_inverted() -> None:
    first = np.array([[2.0, 0, 5], [0, 1, 1]])
    then = np.array([[0.0, 1, 0], [-1, 0, 3]])
    point = (3, 4, 1)
    between = (*(first @ point), 1)
    np.testing.assert_allclose(composed(first, then) @ point, then @ between)
    np.testing.assert_allclose(composed(first, inverted(first)), np.eye(2, 3))


def test_the_share_is_of_the_larger_patch() -> None:
    shift = np.array([[1.0, 0, -50], [0, 1, 0]])
    assert shared_part((100, 100), (100, 100), shift) == pytest.approx(0.5)
    assert shared_part((100, 100), (50, 100), shift) == pytest.approx(0.5)
    twice = np.array([[2.0, 0, 0], [0, 2, 0]])  # the second shows the ground larger
    assert shared_part((100, 100), (100, 100), twice) == pytest.approx(0.25)
    assert shared_part((100, 100), (100, 100), shift * [[1, 1, 2]]) == 0


def _picture(left: int, top: int, *, flat: bool) -> Picture:
    rgb, height = crop(left, top)
    grey = np.full((SIDE, SIDE), 90, np.uint8) if flat else rgb[..., 1].copy()
    return Picture((SIDE, SIDE), 1.0, grey, height.astype(np.float32))


def test_heights_are_evidence_where_the_image_is_flat() -> None:
    first, second = _picture(0, 0, flat=True), _picture(50, 30, flat=True)
    right = np.array([[1.0, 0, -50], [0, 1, -30]])
    seen = agreement(first, second, right)
    assert seen.grey is None
    assert seen.height is not None
    assert seen.height > 0.85
    assert seen.pixels == 46 * 66
    wrong = agreement(first, _picture(300, 30, flat=True), right)
    assert wrong.height is not None
    assert wrong.height < 0.4


def test_pixels_settle_a_map_that_is_a_little_off() -> None:
    first, second = _picture(0, 0, flat=False), _picture(50, 30, flat=False)
    near = np.array([[1.0, 0, -48.5], [0, 1, -30.8]])
    np.testing.assert_allclose(settled(first, second, near)[:, 2], (-50, -30), atol=0.2)


def test_a_sliver_of_the_common_area_says_nothing() -> None:
    first, second = _picture(0, 0, flat=False), _picture(95, 80, flat=False)
    seen = agreement(first, second, np.array([[1.0, 0, -95], [0, 1, -80]]))
    assert (seen.grey, seen.height) == (None, None)


# the sample


def test_on_real_tiles_it_finds_what_their_places_say() -> None:
    tiles = _tiles_of_the_north()
    dataset = open_dataset(SAMPLE_DIR).with_ids(tiles)
    found = {
        (pair.first, pair.second): pair.share for pair in find_overlaps(dataset).pairs
    }
    true = _true_shares(tiles)
    clear = {pair for pair, share in true.items() if share >= 0.2}
    assert len(clear) > 60
    assert len(clear & set(found)) >= 0.97 * len(clear)
    assert len(set(found) & set(true)) >= 0.995 * len(found)
    errors = [abs(found[pair] - true[pair]) for pair in set(found) & set(true)]
    assert max(errors) < 0.06


def _tiles_of_the_north() -> dict[str, tuple[float, float]]:
    """Return latitude and longitude of 40 tiles that lie close together."""
    with (SAMPLE_DIR / "tiles.csv").open(encoding="utf-8") as file:
        rows = [
            (r["id"], float(r["lat"]), float(r["lon"])) for r in csv.DictReader(file)
        ]
    rows.sort(key=lambda row: math.hypot(row[1] - 50, (row[2] - 60) / 2))
    return {name: (latitude, longitude) for name, latitude, longitude in rows[:40]}


def _true_shares(tiles: dict[str, tuple[float, float]]) -> dict[tuple[str, str], float]:
    """Return the shared part of all tiles, 128 px of 4 arc-minutes of latitude."""
    half = 128 * 4 / 60 / 2
    boxes = {}
    for name, (latitude, longitude) in tiles.items():
        wide = half / math.cos(math.radians(latitude))
        boxes[name] = (
            latitude - half,
            latitude + half,
            longitude - wide,
            longitude + wide,
        )

    def area(south: float, north: float, west: float, east: float) -> float:
        if north <= south or east <= west:
            return 0.0
        return (math.sin(math.radians(north)) - math.sin(math.radians(south))) * (
            east - west
        )

    shares = {}
    for one, a in boxes.items():
        for two, b in boxes.items():
            common = area(
                max(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), min(a[3], b[3])
            )
            if one < two and common > 0:
                shares[one, two] = common / max(area(*a), area(*b))
    return shares
