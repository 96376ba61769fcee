"""Which part of a data set a model can be judged on."""

from dataclasses import replace
from pathlib import Path

import pytest

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.splits import random_split
from terrainlib.model.config import UNetConfig
from terrainlib.model.record import ModelRecord
from terrainlib.ui.datasets.splits import caution, has_seen, parts_of
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


def test_pairs_left_out_of_a_split_belong_to_its_data_all_the_same(
    dataset: Dataset,
) -> None:
    first, second, third, *others = dataset.ids
    split = {"validation": [first], "left_out": [second, third], "train": others}
    assert parts_of(_record(split), dataset) == {"validation": 1, "train": 3, "all": 6}
    assert parts_of(_record(split | {"left_out": []}), dataset) == {"all": 6}


def test_held_out_pairs_are_seen_once_a_model_was_trained_on_all(
    dataset: Dataset,
) -> None:
    record = _record(random_split(dataset.ids, share=0.3).to_dict())
    final = replace(record, final={"pairs": 6})
    seen = {part: has_seen(record, dataset, part) for part in ("validation", "all")}
    assert seen == {"validation": False, "all": True}
    assert has_seen(final, dataset, "validation")


def test_a_model_without_a_split_has_seen_the_data_that_it_names(
    dataset: Dataset,
) -> None:
    record = _record(None)
    assert not has_seen(record, dataset, "all")
    known = replace(record, dataset={"fingerprint": dataset.fingerprint})
    assert has_seen(known, dataset, "all")


def test_seen_pairs_are_said_to_be_seen_whatever_the_split_was() -> None:
    assert caution("validation", "leak-free", seen=True)[0] == "seen in training"
    assert caution("validation", "random: may leak", seen=False)[0].startswith("random")
    assert caution("all", "random: may leak", seen=False) == ("", "")
