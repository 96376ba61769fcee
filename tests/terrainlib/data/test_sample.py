"""What is embedded is there, complete and as documented."""

import csv
from pathlib import Path

import numpy as np
import pytest

from terrainlib.data import overlaps
from terrainlib.data.dataset import Dataset
from terrainlib.data.imagery import read_height, read_image
from terrainlib.data.overlaps import find_overlaps, known_overlaps
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.sample import SAMPLE_DIR, example_scenes, open_sample


@pytest.fixture
def sample() -> Dataset:
    return open_sample()


def test_the_sample_has_320_pairs_with_heights_and_no_problem(sample: Dataset) -> None:
    assert len(sample.pairs) == 320
    assert sample.problems == ()
    assert sample.has_heights
    assert sample.layout == "kaggle"
    assert sample.classes == KAGGLE_CLASSES
    assert sample.classes_source == "kaggle"
    assert {pair.size for pair in sample.pairs} == {(128, 128)}


def test_its_class_shares_are_those_of_its_table(sample: Dataset) -> None:
    with (SAMPLE_DIR / "tiles.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    for name, share in sample.class_shares.items():
        column = next(key for key in rows[0] if name.lower() in key.lower())
        expected = np.mean([float(row[column]) for row in rows])
        assert share == pytest.approx(expected, abs=2e-3), name


def test_the_scenes_are_georeferenced_and_have_heights_on_the_same_grid() -> None:
    scenes = example_scenes()
    assert [scene.name for scene in scenes] == ["europe", "south_asia"]
    for scene in scenes:
        image = read_image(scene.image)
        assert image.georeference is not None
        assert read_height(scene.height).shape == (image.height, image.width)


def test_its_shared_ground_is_known_without_a_search(sample: Dataset) -> None:
    # After a change of the search call `data.overlaps.write_ready_made`.
    known = known_overlaps(sample)
    assert known is not None
    assert len(known.pairs) > 1_000
    assert known_overlaps(sample.with_ids(sample.ids[:5])) is None


@pytest.mark.exhaustive
def test_what_is_known_of_it_is_what_a_search_finds(
    sample: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = known_overlaps(sample)
    monkeypatch.setattr(overlaps, "READY_MADE", Path("none"))
    assert find_overlaps(sample) == known
