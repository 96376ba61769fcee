"""Which part of a data set a model can be judged on."""

from pathlib import Path

import pytest

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.splits import random_split
from terrainlib.model.config import UNetConfig
from terrainlib.model.record import ModelRecord
from terrainlib.ui.parts import parts_of
from tests.synthetic import write_kaggle_dataset


@pytest.fixture
def dataset(tiny_dataset: Path) -> Dataset:
    return open_dataset(tiny_dataset)


def _record(split: dict[str, object] | None) -> ModelRecord:
    config = UNetConfig.preset("fast").to_dict()
    return ModelRecord(config=config, classes=[], split=split)


def test_the_held_out_part_comes_first_on_the_data_of_the_training(
    dataset: Dataset,
) -> None:
    split = random_split(dataset.ids, share=0.3).to_dict()
    parts = parts_of(_record(split), dataset)
    assert list(parts.items()) == [("validation", 2), ("train", 4), ("all", 6)]


def test_on_other_data_with_some_equal_ids_only_all_pairs_are_offered(
    dataset: Dataset, tmp_path: Path
) -> None:
    other = open_dataset(write_kaggle_dataset(tmp_path / "other", pairs=9))
    split = random_split(dataset.ids, share=0.3).to_dict()
    assert parts_of(_record(split), other) == {"all": 9}


@pytest.mark.parametrize("record", [None, _record(None), _record({"train": ["x"]})])
def test_without_a_split_only_all_pairs_are_offered(
    record: ModelRecord | None, dataset: Dataset
) -> None:
    assert parts_of(record, dataset) == {"all": 6}
