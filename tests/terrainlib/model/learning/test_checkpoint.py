"""Checkpoints: whole or not there, the last two kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terrainlib.errors import TrainingError
from terrainlib.model.learning import checkpoint

ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(4, np.int64)]


def save(folder: Path, *epochs: int) -> None:
    for epoch in epochs:
        checkpoint.save_checkpoint(folder, epoch, ARRAYS, {"epoch": epoch})


def test_a_checkpoint_reads_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, 1)

    loaded = checkpoint.load_latest(tmp_path)

    assert loaded is not None
    assert loaded.facts == {"epoch": 1}
    for stored, original in zip(loaded.arrays, ARRAYS, strict=True):
        np.testing.assert_array_equal(stored, original)
        assert stored.dtype == original.dtype


def test_a_training_gone_wrong_reads_back(tmp_path: Path) -> None:
    facts = {"loss": [float("nan"), float("inf")]}

    checkpoint.save_checkpoint(tmp_path, 1, ARRAYS, facts)

    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None
    assert str(loaded.facts) == str(facts)


@pytest.mark.parametrize("facts", [[1], 10**400, [[[[[[]]]]]] * 2])
def test_facts_that_are_none_make_a_damaged_checkpoint(
    tmp_path: Path, facts: Any
) -> None:
    checkpoint.write(tmp_path / "epoch-00001.npz", ARRAYS, facts)

    with pytest.raises(TrainingError, match="damaged"):
        checkpoint.load_latest(tmp_path)


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    save(tmp_path, 1, 2, 3)

    names = [path.name for path in checkpoint.epochs_saved(tmp_path)]
    assert names == ["epoch-00002.npz", "epoch-00003.npz"]


@pytest.mark.parametrize("kept_bytes", [0, 100, -10])
def test_a_torn_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, kept_bytes: int
) -> None:
    save(tmp_path, 1, 2)
    newest = tmp_path / "epoch-00002.npz"
    newest.write_bytes(newest.read_bytes()[:kept_bytes])

    loaded = checkpoint.load_latest(tmp_path)

    assert loaded is not None
    assert loaded.facts == {"epoch": 1}


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    save(tmp_path, 1, 2)
    newest = tmp_path / "epoch-00002.npz"
    data = bytearray(newest.read_bytes())
    data[data.index(np.float32(5).tobytes())] ^= 1
    newest.write_bytes(bytes(data))

    loaded = checkpoint.load_latest(tmp_path)

    assert loaded is not None
    assert loaded.facts == {"epoch": 1}


def test_damaged_checkpoints_alone_are_refused_and_left_in_place(
    tmp_path: Path,
) -> None:
    save(tmp_path, 1)
    path = tmp_path / "epoch-00001.npz"
    path.write_bytes(b"")

    with pytest.raises(TrainingError, match="all checkpoints of this run are damaged"):
        checkpoint.load_latest(tmp_path)
    assert path.exists()


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoint.load_latest(tmp_path) is None
    assert checkpoint.load_best(tmp_path) is None
