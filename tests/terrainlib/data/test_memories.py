"""What is remembered of a data set, edited to nonsense: it is found out anew."""

from collections.abc import Callable
from pathlib import Path

import pytest

from terrainlib import files
from terrainlib.data.cache import build_cache
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.overlaps import Overlaps, find_overlaps
from tests.damaged_records import edits
from tests.overlapping import write_overlapping_dataset
from tests.synthetic import write_kaggle_dataset


def opened(folder: Path) -> Dataset:
    dataset = open_dataset(folder)
    assert all(isinstance(pair.image, Path) for pair in dataset.pairs)
    assert all(sum(pair.counts) >= 0 for pair in dataset.pairs)
    return dataset


def prepared(folder: Path) -> None:
    cache = build_cache(open_dataset(folder), 16)
    assert [image.shape for image in cache.images] == [(16, 16, 3)] * 2


@pytest.mark.parametrize(
    ("pattern", "read"),
    [("scans/*.json", opened), ("pairs/*/about.json", prepared)],
    ids=["scan", "cache"],
)
def test_a_memory_of_the_files_may_be_nonsense(
    tmp_path: Path, pattern: str, read: Callable[[Path], object]
) -> None:
    folder = write_kaggle_dataset(tmp_path / "tiny", pairs=2, size=16)
    read(folder)
    (memory,) = files.cache_dir().glob(pattern)
    for _label, data in list(edits(memory, values=2)):
        memory.write_bytes(data)
        read(folder)


def test_a_memory_of_overlaps_may_be_nonsense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(write_overlapping_dataset(tmp_path / "cut"))
    found = find_overlaps(dataset)
    assert found.pairs
    nothing = Overlaps(())
    monkeypatch.setattr("terrainlib.data.overlaps._search", lambda *_: nothing)
    (memory,) = files.cache_dir().glob("overlaps/*.json")
    whole = memory.read_bytes()
    for _label, data in list(edits(memory, values=2)):
        memory.write_bytes(data)
        for one in find_overlaps(dataset).pairs:
            one.reversed()
    memory.write_bytes(whole)
    assert find_overlaps(dataset) == found
