"""Which files belong together by the rules of their names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from terrainlib.data.dataset import open_dataset
from terrainlib.data.layout import Layout
from terrainlib.data.layouts.find import find_data_folder, find_layout
from terrainlib.data.palette import KAGGLE_CLASSES, TerrainClass, save_classes
from terrainlib.errors import DatasetError
from tests.synthetic import write_folders_dataset, write_kaggle_dataset


def put(folder: Path, *names: str) -> Path:
    """Make empty files; the rules look at names alone."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def pairs(layout: Layout) -> dict[str, tuple[str, ...]]:
    """Return image, mask and, where there is one, height, by id."""
    return {
        found.id: tuple(
            stamp.name for stamp in (found.image, found.mask, found.height) if stamp
        )
        for found in layout.candidates
    }


@pytest.mark.parametrize(
    ("names", "layout", "expected"),
    [
        pytest.param(
            ["Images/IMG_1.JPG", "Masks/img_1.png"],
            "folders",
            {"IMG_1": ("Images/IMG_1.JPG", "Masks/img_1.png")},
            id="capitals",
        ),
        pytest.param(
            ["images/a.png", "images/A.png", "masks/A.png", "masks/a.png"],
            "folders",
            {
                "a": ("images/a.png", "masks/a.png"),
                "A": ("images/A.png", "masks/A.png"),
            },
            id="names that differ by capitals alone",
        ),
        pytest.param(
            ["images/Überflug.png", "masks/Ü\u0062erflug.png".replace("Ü", "U\u0308")],
            "folders",
            {"Überflug": ("images/Überflug.png", "masks/U\u0308berflug.png")},
            id="accents as macOS writes them",
        ),
        pytest.param(
            ["img/1.tif", "gt/1.tif", "DSM/1.tif"],
            "folders",
            {"1": ("img/1.tif", "gt/1.tif", "DSM/1.tif")},
            id="other words",
        ),
        pytest.param(
            ["imgs/1_sat.jpg", "annotations/1_mask.png", "dems/1_dem.tif"],
            "folders",
            {"1": ("imgs/1_sat.jpg", "annotations/1_mask.png", "dems/1_dem.tif")},
            id="endings in folders",
        ),
        pytest.param(
            [f"Tile {n}/{k}" for n in "12" for k in ("images/a.jpg", "masks/a.png")],
            "folders",
            {
                "Tile 1/a": ("Tile 1/images/a.jpg", "Tile 1/masks/a.png"),
                "Tile 2/a": ("Tile 2/images/a.jpg", "Tile 2/masks/a.png"),
            },
            id="one level down",
        ),
        pytest.param(
            ["images/train/a.jpg", "labels/train/a.png", "labels/train/a.txt"],
            "folders",
            {"train/a": ("images/train/a.jpg", "labels/train/a.png")},
            id="one level further down",
        ),
        pytest.param(
            ["119_sat.jpg", "119_mask.png", "120_SAT.jpg", "120_Mask.PNG"],
            "names",
            {
                "119": ("119_sat.jpg", "119_mask.png"),
                "120": ("120_SAT.jpg", "120_Mask.PNG"),
            },
            id="endings of names",
        ),
        pytest.param(
            ["a.tif", "a_label.tif", "a_dem.tif", "b.tif", "b_gt.png"],
            "names",
            {"a": ("a.tif", "a_label.tif", "a_dem.tif"), "b": ("b.tif", "b_gt.png")},
            id="bare names",
        ),
        pytest.param(
            ["train/1_sat.jpg", "train/1_mask.png", "test/1_sat.jpg"],
            "names",
            {"train/1": ("train/1_sat.jpg", "train/1_mask.png")},
            id="endings one level down",
        ),
        pytest.param(
            ["0001_t.png", "0001_i2.png", "0001_h.png", "photo.png"],
            "kaggle",
            {"0001": ("0001_t.png", "0001_i2.png", "0001_h.png")},
            id="kaggle beside a photo",
        ),
        pytest.param(
            [f"{k}/a.png" for k in ("images", "masks")]
            + [f"old/{k}/{n}.png" for k in ("images", "masks") for n in "bc"],
            "folders",
            {"a": ("images/a.png", "masks/a.png")},
            id="the top goes first",
        ),
    ],
)
def test_names_are_understood(
    tmp_path: Path,
    names: list[str],
    layout: str,
    expected: dict[str, tuple[str, ...]],
) -> None:
    found = find_layout(put(tmp_path, *names))
    assert found.name == layout
    assert pairs(found) == expected


@pytest.mark.parametrize(
    ("names", "problems"),
    [
        (
            ["Images/a.jpg", "Masks/a.png", "Images/B.jpg"],
            {"Images/B.jpg": "an image without a mask. Add Masks/B.*."},
        ),
        (
            ["T/images/a.jpg", "T/masks/a.png", "T/masks/b.png", "T/heights/b.tif"],
            {"T/masks/b.png": "a mask without an image. Add T/images/b.*."},
        ),
        (
            ["a.jpg", "a_mask.png", "b_mask.png", "c.png", "c_height.png"],
            {
                "b_mask.png": "a mask without an image. Add b.*.",
                "c.png": "an image without a mask. Add c_mask.*.",
            },
        ),
        (
            ["train/1.png", "train/1_mask.png", "test/1.png", "test/2.png"],
            {"test": "no image here has a mask (2 images); none of them is used."},
        ),
        (
            ["images/a.png", "masks/a.png", "labels/a.png"],
            {
                "labels/a.png": "masks/a.png has the same name and is used. Rename "
                "one of the two."
            },
        ),
        (
            ["a.png", "a_mask.png", "b.webp"],
            {"b.webp": ".webp files are not read. Save it as PNG, JPEG or TIFF."},
        ),
    ],
)
def test_what_is_left_over_is_named(
    tmp_path: Path, names: list[str], problems: dict[str, str]
) -> None:
    layout = find_layout(put(tmp_path, *names))
    assert {one.file: one.problem for one in layout.problems} == problems


@pytest.mark.parametrize(
    "hidden",
    [".a_t.png", "._1_t.png", "__MACOSX/images/b.png", "Thumbs.db", "desktop.ini"],
)
def test_hidden_files_are_passed_by(tmp_path: Path, hidden: str) -> None:
    layout = find_layout(put(tmp_path, "1_t.png", "1_i2.png", hidden))
    assert list(pairs(layout)) == ["1"]
    assert layout.problems == []


def test_pairs_of_folders_below_have_ids_that_name_the_folder(tmp_path: Path) -> None:
    for tile in ("Tile 1", "Tile 2"):
        write_folders_dataset(tmp_path / tile, pairs=2, size=16)
    dataset = open_dataset(tmp_path)
    assert dataset.ids == (
        "Tile 1/tile_01",
        "Tile 1/tile_02",
        "Tile 2/tile_01",
        "Tile 2/tile_02",
    )
    assert dataset.has_heights
    assert open_dataset(tmp_path) == dataset  # as it is remembered


@pytest.mark.parametrize("at", ["classes.json", "Tile 1/classes.json"])
def test_classes_are_listed_at_the_top_or_in_every_folder(
    tmp_path: Path, at: str
) -> None:
    for tile in ("Tile 1", "Tile 2"):
        write_folders_dataset(tmp_path / tile, pairs=1, size=16, heights=False)
    renamed = (TerrainClass("Sea", (17, 141, 215)), *KAGGLE_CLASSES[1:])
    save_classes(tmp_path / at, renamed)
    if at != "classes.json":
        save_classes(tmp_path / "Tile 2" / "classes.json", renamed)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == renamed
    assert dataset.problems == ()


def test_titles_of_a_labelling_tool_name_colours_of_the_masks(tmp_path: Path) -> None:
    write_folders_dataset(tmp_path / "T 1", pairs=2, size=16, heights=False)
    listed = '{"classes": [{"title": "Sea", "color": "#118DD7", "shape": "any"}]}'
    (tmp_path / "classes.json").write_text(listed)
    dataset = open_dataset(tmp_path)
    assert dataset.ids == ("T 1/tile_01", "T 1/tile_02")
    assert dataset.classes[0] == TerrainClass("Sea", (17, 141, 215))
    assert dataset.classes[1:] == KAGGLE_CLASSES[1:]
    assert any("it names 1 of the 7 classes" in note for note in dataset.notes)


def test_different_lists_of_classes_are_a_problem(tmp_path: Path) -> None:
    put(tmp_path, "A/images/1.png", "A/masks/1.png", "B/images/1.png", "B/masks/1.png")
    save_classes(tmp_path / "A" / "classes.json", KAGGLE_CLASSES)
    save_classes(tmp_path / "B" / "classes.json", KAGGLE_CLASSES[:3])
    layout = find_layout(tmp_path)
    assert layout.classes_file is None
    (problem,) = layout.problems
    assert problem.file == "B/classes.json"
    assert "not the same as A/classes.json" in problem.problem


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["set/images/a.png", "set/masks/a.png"], "set"),
        (["set/1_t.png", "set/1_i2.png", "__MACOSX/set/._1_t.png"], "set"),
        (["set/T 1/images/a.png", "set/T 1/masks/a.png", "set/T 2/x.txt"], "set"),
        (["images/a.png", "masks/a.png"], "."),
        (["a_sat.png", "a_mask.png"], "."),
        (["train/images/a.png", "train/masks/a.png", "test/images/a.png"], "."),
    ],
)
def test_a_folder_around_the_data_set_is_no_part_of_it(
    tmp_path: Path, names: list[str], folder: str
) -> None:
    put(tmp_path, *names)
    assert find_data_folder(tmp_path) == tmp_path / folder


@pytest.mark.parametrize("make", [write_folders_dataset, write_kaggle_dataset])
def test_a_link_below_is_not_followed(
    tmp_path: Path, make: Callable[..., Path]
) -> None:
    outside = make(tmp_path / "outside", pairs=1, size=16)
    folder = put(tmp_path / "data", "T/images/a.png")
    (folder / "linked").symlink_to(outside)
    with pytest.raises(DatasetError, match="no image with a mask"):
        find_layout(folder)
