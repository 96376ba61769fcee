"""Saving the names of the classes found in a data set."""

from pathlib import Path

import pytest
from PIL import Image

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.palette import load_classes
from terrainlib.errors import DatasetError, StorageError
from terrainlib.ui.datasets.report import save_names


@pytest.fixture
def own(tmp_path: Path) -> Dataset:
    """Two pairs with masks in blue and red."""
    folder = tmp_path / "own"
    folder.mkdir()
    for number in (1, 2):
        Image.new("RGB", (16, 16), (90, 90, 90)).save(folder / f"{number}_t.png")
        mask = Image.new("RGB", (16, 16), (255, 0, 0))
        mask.paste((0, 0, 255), (0, 0, 8, 16))
        mask.save(folder / f"{number}_i2.png")
    return open_dataset(folder)


def test_the_names_go_with_the_colours_into_classes_json(own: Dataset) -> None:
    save_names(own, ["Sea", "  Lava "])
    saved = load_classes(own.folder / "classes.json")
    assert [(item.name, item.color) for item in saved] == [
        ("Sea", (0, 0, 255)),
        ("Lava", (255, 0, 0)),
    ]
    again = open_dataset(own.folder)
    assert again.classes_source == "classes.json"
    assert [pair.counts for pair in again.pairs] == [pair.counts for pair in own.pairs]


def test_a_class_left_empty_keeps_its_colour_for_a_name(own: Dataset) -> None:
    save_names(own, ["", "Lava"])
    saved = load_classes(own.folder / "classes.json")
    assert [item.name for item in saved] == ["#0000FF", "Lava"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["Land", "Land"], "two classes are called Land. Give each class a name"),
        (["#FF0000", ""], "two classes are called #FF0000"),
        (["x" * 61, "Lava"], "the name of #0000FF must have 1 to 60 plain characters"),
        (["a\x07b", "Lava"], "the name of #0000FF must have 1 to 60 plain characters"),
    ],
)
def test_names_that_cannot_be_are_refused_and_nothing_is_written(
    own: Dataset, names: list[str], sentence: str
) -> None:
    with pytest.raises(DatasetError, match=sentence):
        save_names(own, names)
    assert not (own.folder / "classes.json").exists()


def test_a_folder_that_cannot_be_written_gives_one_sentence(
    own: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError, match=r"classes\.json: No permission to write"):
        save_names(own, ["Sea", "Lava"])
    assert not (own.folder / "classes.json").exists()
