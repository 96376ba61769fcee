"""The list of a run's files: what differs is named, a few of many."""

from pathlib import Path

import pytest

from terrainlib.data.dataset import open_dataset
from terrainlib.errors import RunError, StoppedError
from terrainlib.runs.training.material import list_files, require_same, stored_files
from tests.synthetic import write_kaggle_dataset

BEFORE = {f"{number:04d}_t.png": "a" for number in range(8)}


def test_every_file_of_every_pair_is_listed_by_its_contents(tmp_path: Path) -> None:
    dataset = open_dataset(write_kaggle_dataset(tmp_path / "set", pairs=3))
    seen: list[tuple[int, int]] = []

    listed = list_files(dataset, progress=lambda done, of: seen.append((done, of)))

    names = {path.name for path in dataset.folder.iterdir()}
    assert set(listed) <= names
    assert {name for name in names if name.endswith(("_t.png", "_i2.png"))} <= set(
        listed
    )
    assert all(len(value) == 64 for value in listed.values())
    assert seen[-1] == (len(listed), len(listed))


def test_listing_can_be_stopped(tmp_path: Path) -> None:
    dataset = open_dataset(write_kaggle_dataset(tmp_path / "set", pairs=3))

    with pytest.raises(StoppedError):
        list_files(dataset, should_stop=lambda: True)


def test_the_same_files_are_let_through() -> None:
    require_same(BEFORE, dict(reversed(BEFORE.items())), Path(), name="run")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"0001_t.png": "b"}, "run: 1 file of the data set is not .* 0001_t.png has"),
        ({"9_t.png": "b"}, "run: 1 file of the data set is not what .* 9_t.png is new"),
        (
            dict.fromkeys(BEFORE, "b"),
            "8 files are not .*: 0000.* changed and 3 more. P",
        ),
    ],
)
def test_what_differs_is_named(changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(RunError, match=sentence):
        require_same(BEFORE, BEFORE | changes, Path(), name="run")


@pytest.mark.parametrize("content", [None, "[]", "{"])
def test_a_list_that_cannot_be_read_is_none(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "files.json").write_text(content)

    assert stored_files(tmp_path) is None
