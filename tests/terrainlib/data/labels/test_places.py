"""Places of patches: which share ground, and the split by blocks."""

import numpy as np
import pytest
from pyproj import Transformer

from terrainlib.data.dataset import open_dataset
from terrainlib.data.labels.places import (
    Place,
    read_places,
    shared_ground,
    write_places,
)
from terrainlib.data.overlaps import Overlap, Overlaps, find_overlaps, known_overlaps
from terrainlib.data.splits import BLOCKS, BLOCKS_TOUCHING, leak_free_split
from tests.labelled import GRID, UTM, at
from tests.synthetic import write_folders_dataset

HERE = tuple(GRID)[:6]


def place(number, row, column, *, scene="a", side=32, crs="", transform=None):
    name = f"tile_{number:02d}"
    return Place(name, scene, row, column, side, side, crs, transform)


def test_the_table_says_again_what_was_written(tmp_path):
    places = [place(1, 0, 5, crs=UTM, transform=HERE), place(2, 7, 0)]
    write_places(tmp_path / "patches.csv", places)
    assert read_places(tmp_path) == {item.id: item for item in places}


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "",
        "id,scene,row,column,height,width\nx,a,0,0,0,32\n",
        "\0",
        "id\n",
    ],
)
def test_another_table_says_nothing(tmp_path, text):
    (tmp_path / "patches.csv").write_text(text)
    assert not read_places(tmp_path)


def test_patches_of_one_scene_are_compared_by_their_pixels():
    found = list(shared_ground([place(1, 0, 0), place(2, 16, 0), place(3, 0, 40)]))
    shares = {(one.first, one.second): one.share for one in found}
    assert shares == {(0, 1): 0.5, (0, 2): 0, (1, 2): 0}  # 8 px are near, not shared
    shared = next(one for one in found if one.share)
    assert shared.matrix.tolist() == [[1, 0, 0], [0, 1, -16]]


def test_patches_of_two_scenes_are_compared_by_their_places():
    coarse = (20, 0, HERE[2], 0, -20, HERE[5])
    one = place(1, 16, 16, crs=UTM, transform=HERE)
    other = place(2, 0, 0, scene="b", side=32, crs=UTM, transform=coarse)
    (found,) = shared_ground([one, other])
    assert found.share == pytest.approx(0.25)
    assert found.matrix.tolist() == [[0.5, 0, 8], [0, 0.5, 8]]
    assert not list(shared_ground([one, place(2, 0, 0, scene="b")]))  # lies nowhere


def test_patches_of_two_reference_systems_are_compared_on_the_earth():
    x, y = Transformer.from_crs(UTM, 3035, always_xy=True).transform(*at(0, 0))
    one = place(1, 0, 0, crs=UTM, transform=HERE)
    other = place(2, 0, 0, scene="b", crs="EPSG:3035", transform=(10, 0, x, 0, -10, y))
    (found,) = shared_ground([one, other])
    assert 0.9 < found.share < 1


def dataset_of(tmp_path, places):
    folder = write_folders_dataset(tmp_path / "set", pairs=len(places), heights=False)
    write_places(folder / "patches.csv", places)
    return open_dataset(folder)


def test_overlaps_are_known_from_the_places_without_a_search(tmp_path):
    places = [place(1, 0, 0), place(2, 16, 0), place(3, 0, 400)]
    dataset = dataset_of(tmp_path, places)
    found = known_overlaps(dataset)
    assert found == find_overlaps(dataset)
    assert found.exact
    matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, -16.0))
    assert found.pairs == (Overlap("tile_01", "tile_02", 0.5, matrix),)


def test_places_of_other_patches_are_not_believed(tmp_path):
    dataset = dataset_of(tmp_path, [place(1, 0, 0), place(2, 16, 0, side=64)])
    assert known_overlaps(dataset) is None
    write_places(dataset.folder / "patches.csv", [place(1, 0, 0)])
    assert known_overlaps(open_dataset(dataset.folder)) is None


def grid_overlaps(side):
    places = [
        place(row * side + column, 32 * row, 32 * column)
        for row in range(side)
        for column in range(side)
    ]
    ids = [item.id for item in places]
    near = tuple(
        Overlap(ids[one.first], ids[one.second], 0.0, ((1, 0, 0), (0, 1, 0)))
        for one in shared_ground(places)
    )
    return places, Overlaps((), near, exact=True)


def test_validation_patches_are_blocks_with_a_gap_around_them():
    places, overlaps = grid_overlaps(10)
    where = {item.id: np.array((item.row, item.column)) / 32 for item in places}
    shares = {name: [1, 0] if at[0] < 5 else [0, 1] for name, at in where.items()}
    split = leak_free_split(where, overlaps, shares)
    assert split == leak_free_split(reversed(list(where)), overlaps, shares)
    assert split.leak == BLOCKS
    assert len(split.validation) == 15
    assert len(split.train) >= 65
    for name in split.validation:
        apart = [np.abs(where[name] - where[other]).max() for other in split.train]
        assert min(apart) >= 2
    beside = sum(
        any(np.abs(where[one] - where[two]).sum() == 1 for two in split.validation)
        for one in split.validation
    )
    assert beside >= 12  # of 15
    upper = sum(where[name][0] < 5 for name in split.validation)
    assert 4 <= upper <= 11


@pytest.mark.parametrize(("side", "count"), [(1, 2), (2, 4)])
def test_few_patches_side_by_side_are_divided_all_the_same(side, count):
    places, overlaps = grid_overlaps(2)
    ids = [item.id for item in places][:count]
    split = leak_free_split(ids, overlaps, {name: [1] for name in ids})
    assert split.leak == BLOCKS_TOUCHING
    assert len(split.train) == count - 1
    assert len(split.validation) == 1
