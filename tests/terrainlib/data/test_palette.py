"""Classes, their colours, and masks as colours and back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    NO_DATA,
    ClassList,
    TerrainClass,
    color_keys,
    color_table,
    colorize,
    load_class_list,
    load_classes,
    nearest_class,
    save_class_list,
    save_classes,
    soft_colors,
)
from terrainlib.errors import DatasetError

BLACK_WHITE = (TerrainClass("a", (0, 0, 0)), TerrainClass("b", (255, 255, 255)))


def test_the_kaggle_palette_is_the_one_of_the_data_set() -> None:
    assert [item.name for item in KAGGLE_CLASSES] == [
        "Water",
        "Grassland",
        "Forest",
        "Hills",
        "Desert",
        "Mountain",
        "Tundra",
    ]
    table = color_table(KAGGLE_CLASSES)
    assert table.dtype == np.uint8
    assert table.tolist() == [
        [17, 141, 215],
        [225, 227, 155],
        [127, 173, 123],
        [185, 122, 87],
        [230, 200, 181],
        [150, 150, 150],
        [193, 190, 175],
    ]


def test_a_mask_takes_its_colours_and_no_data_is_black() -> None:
    mask = np.array([[0, 6], [NO_DATA, 99]], np.uint8)
    colors = colorize(mask, KAGGLE_CLASSES)
    assert colors.dtype == np.uint8
    assert colors.tolist() == [
        [[17, 141, 215], [193, 190, 175]],
        [[0, 0, 0], [0, 0, 0]],
    ]


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (0, 4)])
def test_colours_and_back_is_the_identity(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).integers(0, 7, shape, np.uint8)
    before = mask.copy()
    index, unknown = nearest_class(colorize(mask, KAGGLE_CLASSES), KAGGLE_CLASSES)
    np.testing.assert_array_equal(index, mask)
    np.testing.assert_array_equal(mask, before)
    assert index.dtype == np.uint8
    assert index.shape == shape
    assert unknown == 0


def test_the_nearest_class_is_that_of_the_least_squared_distance() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (40, 30, 3), np.uint8)
    differences = rgb[:, :, None].astype(int) - color_table(KAGGLE_CLASSES)
    expected = (differences**2).sum(axis=-1).argmin(axis=-1)
    index, unknown = nearest_class(rgb, KAGGLE_CLASSES)
    np.testing.assert_array_equal(index, expected)
    assert unknown == 1


def test_strangers_are_counted_as_a_share() -> None:
    rgb = np.zeros((10, 10, 3), np.uint8)
    rgb[0, :3] = (1, 0, 0)
    index, unknown = nearest_class(rgb, BLACK_WHITE)
    assert (index == 0).all()
    assert unknown == pytest.approx(0.03)


def test_of_equally_near_classes_the_first_wins() -> None:
    classes = (TerrainClass("a", (10, 0, 0)), TerrainClass("b", (12, 0, 0)))
    index, _ = nearest_class(np.array([[[11, 0, 0]]], np.uint8), classes)
    assert index[0, 0] == 0


def test_soft_colours_are_the_weighted_mean() -> None:
    probabilities = np.array([[[0.25, 0.75], [1.0, 0.0]]], np.float32)
    soft = soft_colors(probabilities, BLACK_WHITE)
    assert soft.dtype == np.float32
    assert soft.shape == (1, 2, 3)
    np.testing.assert_allclose(soft[0, :, 0], [0.75, 0.0])


def test_soft_colours_of_certain_classes_are_the_class_colours() -> None:
    mask = np.random.default_rng(2).integers(0, 7, (6, 5), np.uint8)
    certain = np.eye(7, dtype=np.float32)[mask]
    soft = soft_colors(certain, KAGGLE_CLASSES)
    assert soft.min() >= 0
    assert soft.max() <= 1
    np.testing.assert_array_equal(
        np.rint(soft * 255), colorize(mask, KAGGLE_CLASSES).astype(np.float32)
    )


def test_a_colour_is_one_number_with_red_first() -> None:
    assert color_keys(np.array([[1, 2, 3]], np.uint8)).tolist() == [0x010203]


def test_classes_are_saved_and_loaded(tmp_path: Path) -> None:
    classes = (*KAGGLE_CLASSES, TerrainClass("Küste & Watt", (1, 2, 3)))
    path = tmp_path / "classes.json"
    save_classes(path, classes)
    assert load_classes(path) == classes
    assert load_class_list(path) == ClassList(classes, ((),) * 8)
    first = json.loads(path.read_text(encoding="utf-8"))[0]
    assert first == {"name": "Water", "color": [17, 141, 215]}


def test_values_and_what_is_ignored_are_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    values = ((111,), (112, 121), ((1, 2, 3), 7))
    listed = ClassList(KAGGLE_CLASSES[:3], values, ignore=(0, (9, 9, 9)))
    save_class_list(path, listed)
    assert load_class_list(path) == listed
    assert json.loads(path.read_text(encoding="utf-8"))["classes"][1] == {
        "name": "Grassland",
        "color": [225, 227, 155],
        "values": [112, 121],
    }


def test_a_class_without_a_colour_has_that_of_kaggle_or_one_of_its_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "classes.json"
    path.write_text('[{"name": "road", "value": 4}, {"name": "water"}]')
    assert load_classes(path) == (
        TerrainClass("road", (0, 114, 178)),
        TerrainClass("water", (17, 141, 215)),
    )


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    text = '[{"name": "Gewässer", "color": [1, 2, 3]}]'
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(text.encode(encoding))
        assert load_classes(path)[0].name == "Gewässer"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(
        DatasetError,
        match=r"^classes\.json: its text is in Latin-1 or Windows-1252; save",
    ):
        load_classes(path)


def entry(name: Any = "A", color: Any = (1, 2, 3)) -> dict[str, Any]:
    return {"name": name, "color": list(color) if isinstance(color, tuple) else color}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("no json", "it is not a list of classes"),
        ("{}", "it is not a list of classes"),
        ("[]", "it is not a list of classes"),
        ("[1]", "class 1 has no name and color"),
        ("[" * 100_000, "it is not a list of classes"),
        (json.dumps([entry(name=3)]), "the name of class 1 is not a text of 1 to 60"),
        (
            json.dumps([entry(name="  ")]),
            "the name of class 1 is not a text of 1 to 60",
        ),
        (
            json.dumps([entry(name="x" * 61)]),
            "the name of class 1 is not a text of 1 to",
        ),
        (json.dumps([entry(name="a\nb")]), "the name of class 1 holds unprintable"),
        (
            json.dumps([entry(color=(1, 2))]),
            "the color of class 1 is not three numbers",
        ),
        (json.dumps([entry(color=(1, 2, 256))]), "the color of class 1 is not three"),
        (json.dumps([entry(color=(1, 2, 2.5))]), "the color of class 1 is not three"),
        (json.dumps([entry(color=(1, 2, True))]), "the color of class 1 is not three"),
        (json.dumps([entry(color="#010203")]), "the color of class 1 is not three"),
        (
            json.dumps([entry(), entry(color=(3, 2, 1))]),
            "two classes have the same name",
        ),
        (json.dumps([entry(), entry(name="B")]), "two classes have the same color"),
        (
            json.dumps([entry() | {"value": 65_536}]),
            "the value of class 1 is no",
        ),
        (json.dumps([entry() | {"values": 3}]), "the values of class 1 are not a list"),
        (json.dumps({"classes": [entry()], "ignore": 3}), "`ignore` is not a list"),
        (
            json.dumps([entry() | {"value": 1}, entry("B", (3, 2, 1))]),
            "the value 1 is listed twice (a class without a `value` stands for its",
        ),
        (
            json.dumps([entry(f"c{n}", (n, 0, 0)) for n in range(65)]),
            "it lists 65 classes, the limit is 64",
        ),
    ],
)
def test_a_bad_list_of_classes_gives_one_sentence(
    tmp_path: Path, content: str, what: str
) -> None:
    path = tmp_path / "classes.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        load_classes(path)
    message = str(caught.value)
    assert message.startswith(f"classes.json: not a valid list of classes: {what}")
    assert message.endswith(
        'Write it as [{"name": "Water", "color": [17, 141, 215]}, ...].'
    )


def test_a_missing_list_of_classes_gives_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"^classes\.json: not a valid list of"):
        load_classes(tmp_path / "classes.json")


def test_a_huge_list_of_classes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    path.write_text("[" + " " * 300_000 + "]")
    with pytest.raises(DatasetError, match="larger than 256 kB, the limit for a list"):
        load_classes(path)
