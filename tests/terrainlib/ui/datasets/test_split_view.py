"""What a split costs, in words and as bars."""

from dataclasses import replace
from pathlib import Path

import pytest

from terrainlib import files
from terrainlib.data.overlaps import Overlaps
from terrainlib.data.splits import BLOCKS, Split
from terrainlib.ui.datasets.splits import (
    cost_sentence,
    parts_frame,
    parts_of_split,
    run_split,
)
from tests.overlapping import shifted

PAIRS = Overlaps(
    (shifted("a", "b", right=5, down=5), shifted("c", "d", right=5, down=5))
)


def split(train: str, validation: str, left_out: str = "") -> Split:
    return Split(
        "leak-free",
        0,
        0.15,
        tuple(train),
        tuple(validation),
        "0" * 16,
        "",
        tuple(left_out),
    )


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (
            split("abcd", "ef", "gh"),
            "4 of 8 patches for training, 2 held out for scoring, 2 left out for "
            "sharing ground with a held-out patch",
        ),
        (
            replace(split("ab", "c", "d"), leak=BLOCKS),
            "2 of 4 patches for training, 1 held out for scoring, 1 left out for lying "
            "beside a held-out patch",
        ),
        (
            split("abc", "d"),
            "3 of 4 patches for training, 1 held out for scoring, none left out",
        ),
    ],
)
def test_the_cost_is_one_sentence(made: Split, sentence: str) -> None:
    assert cost_sentence(made) == sentence


def test_a_validation_patch_that_shares_ground_with_training_leaks() -> None:
    parts = parts_of_split(split("ae", "bc", "d"), PAIRS)
    assert parts == {
        "a": "train",
        "e": "train",
        "b": "leaking",
        "c": "validation",
        "d": "left out",
    }


def test_the_bars_of_a_split_lie_end_to_end_over_all_its_patches() -> None:
    frame = parts_frame({"one": parts_of_split(split("ae", "bc", "d"), PAIRS)})
    assert list(frame["patches"]) == [2, 1, 1, 1]
    assert list(frame["from"]) == [0, 2, 3, 4]
    assert list(frame["to"]) == [2, 3, 4, 5]


def test_the_split_of_a_run_is_read_again_when_it_changes(tmp_path: Path) -> None:
    assert run_split(tmp_path) is None
    for made in (split("abc", "d"), split("ab", "cde")):
        record = {"fingerprint": "0" * 16, "split": made.to_dict()}
        files.write_json(tmp_path / "split.json", record)
        found = run_split(tmp_path)
        assert found is not None
        assert found.validation == made.validation
