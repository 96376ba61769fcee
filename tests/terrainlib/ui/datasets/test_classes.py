"""Saving what the values of a data set's masks mean."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.palette import ClassList, TerrainClass, load_class_list
from terrainlib.errors import DatasetError, StorageError
from terrainlib.ui.datasets.classes import ValueRow, save_rows, value_rows
from tests.imagefiles import tiff


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


def coded(folder: Path, **options: Any) -> Dataset:
    """Two pairs with masks of the codes 0 to 3."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    codes = np.arange(64, dtype=np.uint8).reshape(8, 8) % 4
    for name in ("a", "b"):
        Image.new("RGB", (8, 8), (90, 90, 90)).save(folder / f"images/{name}.png")
        (folder / f"masks/{name}.tif").write_bytes(tiff(codes, **options))
    return open_dataset(folder)


def changed(dataset: Dataset, *changes: dict[str, Any]) -> list[ValueRow]:
    """Return the rows of a data set with something else in each."""
    pairs = zip(value_rows(dataset), changes, strict=True)
    return [replace(row, **change) for row, change in pairs]


def listed(dataset: Dataset) -> ClassList:
    return load_class_list(dataset.folder / "classes.json")


def test_the_names_go_with_the_colours_into_classes_json(own: Dataset) -> None:
    save_rows(own, changed(own, {"name": "Sea"}, {"name": "  Lava "}))
    classes = (TerrainClass("Sea", (0, 0, 255)), TerrainClass("Lava", (255, 0, 0)))
    assert listed(own) == ClassList(classes, ((), ()))
    again = open_dataset(own.folder)
    assert again.classes_source == "classes.json"
    assert [pair.counts for pair in again.pairs] == [pair.counts for pair in own.pairs]


def test_a_value_left_empty_keeps_its_colour_for_a_name(own: Dataset) -> None:
    save_rows(own, changed(own, {}, {"name": "Lava"}))
    assert [item.name for item in listed(own).classes] == ["#0000FF", "Lava"]


def test_another_colour_leaves_the_masks_as_they_are(own: Dataset) -> None:
    save_rows(own, changed(own, {"color": (1, 2, 3)}, {}))
    assert listed(own).values == (((0, 0, 255),), ())
    again = open_dataset(own.folder)
    assert again.classes[0].color == (1, 2, 3)
    assert [pair.counts for pair in again.pairs] == [pair.counts for pair in own.pairs]


def test_values_are_merged_left_out_and_taken_apart_again(tmp_path: Path) -> None:
    data = coded(tmp_path / "data")
    land = {"name": "Land"}
    save_rows(data, changed(data, land, {"name": "Sea"}, land, {"ignored": True}))
    merged = open_dataset(data.folder)
    assert merged.class_shares == {"Land": pytest.approx(2 / 3), "Sea": 1 / 3}
    assert merged.no_data_share == 0.25
    rows = value_rows(merged)
    assert [(row.title, row.name, row.ignored) for row in rows] == [
        ("0", "Land", False),
        ("2", "Land", False),
        ("1", "Sea", False),
        ("3", "", True),
    ]
    names = ({"name": "Soil"}, {"name": "Rock"}, {}, {"name": "Ice", "ignored": False})
    save_rows(merged, changed(merged, *names))
    apart = open_dataset(data.folder)
    assert list(apart.class_shares) == ["Soil", "Rock", "Sea", "Ice"]
    assert apart.meaning.codes == ((0,), (2,), (1,), (3,))
    assert len({item.color for item in apart.classes}) == 4


def test_0_declared_as_no_data_becomes_a_class_where_that_is_said(
    tmp_path: Path,
) -> None:
    data = coded(tmp_path / "data", nodata=0)
    assert data.unlisted == (0,)
    assert "mark 0 as no data" in data.notes[0]
    save_rows(data, changed(data, {}, {}, {}, {"name": "Sea"}))
    again = open_dataset(data.folder)
    assert again.notes == again.unlisted == ()
    assert again.class_shares == {"1": 0.25, "2": 0.25, "3": 0.25, "Sea": 0.25}


def test_a_value_that_the_list_lacks_can_be_named(tmp_path: Path) -> None:
    data = coded(tmp_path / "data")
    (data.folder / "classes.json").write_text(
        '[{"name": "A", "value": 0}, {"name": "B", "values": [1, 2]}]'
    )
    lacking = open_dataset(data.folder)
    assert lacking.pairs == ()
    assert lacking.unlisted == (3,)
    assert "25.0% of the pixels hold a value of no class, most often 3" in (
        lacking.problems[0].problem
    )
    save_rows(lacking, changed(lacking, {}, {}, {}, {"name": "C"}))
    assert len(open_dataset(data.folder).pairs) == 2


def test_the_list_of_a_labelling_tool_stays_under_another_name(own: Dataset) -> None:
    tools = '[{"title": "Sea", "color": "#0000FF"}]'
    (own.folder / "classes.json").write_text(tools)
    called = open_dataset(own.folder)
    save_rows(called, changed(called, {}, {"name": "Lava"}))
    assert [item.name for item in listed(own).classes] == ["Sea", "Lava"]
    assert (own.folder / "classes.tool.json").read_text() == tools


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([{"name": "Land"}] * 2, "fewer than 2 classes are left"),
        ([{"ignored": True}, {}], "fewer than 2 classes are left"),
        (
            [{"name": "x" * 61}, {}],
            "a class must have a name of 1 to 60 plain characters",
        ),
        ([{"name": "a\x07b"}, {}], "a class must have a name of 1 to 60 plain"),
        ([{}, {"color": (0, 0, 255)}], "#0000FF and #FF0000 have the same colour"),
    ],
)
def test_classes_that_cannot_be_are_refused_and_nothing_is_written(
    own: Dataset, changes: list[dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(DatasetError, match=sentence):
        save_rows(own, changed(own, *changes))
    assert not (own.folder / "classes.json").exists()


def test_a_folder_that_cannot_be_written_gives_one_sentence(
    own: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError, match=r"classes\.json: No permission to write"):
        save_rows(own, value_rows(own))
    assert not (own.folder / "classes.json").exists()
