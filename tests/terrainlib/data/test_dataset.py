"""Folders opened as data sets: layouts, classes, problems, memory."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from terrainlib.data import check
from terrainlib.data import dataset as dataset_module
from terrainlib.data.dataset import Dataset, open_dataset, read_pair
from terrainlib.data.formats import source
from terrainlib.data.layout import Problem
from terrainlib.data.palette import KAGGLE_CLASSES, TerrainClass, save_classes
from terrainlib.errors import DatasetError, ImageError
from tests.synthetic import terrain, write_folders_dataset, write_kaggle_dataset

Damage = Callable[[Path], None]


def _save(path: Path, pixels: NDArray[np.generic]) -> None:
    Image.fromarray(pixels).save(path)


def _only_problem(dataset: Dataset) -> Problem:
    assert len(dataset.problems) == 1
    return dataset.problems[0]


# What is found


def test_the_kaggle_layout_is_found(tiny_dataset: Path) -> None:
    found = open_dataset(tiny_dataset)
    assert found.layout == "kaggle"
    assert found.ids == tuple(f"{number:04d}" for number in range(1, 7))
    assert found.name == "tiny"
    assert found.has_heights
    assert found.problems == ()
    assert found.pairs[0].image == tiny_dataset / "0001_t.png"
    assert found.pairs[0].mask == tiny_dataset / "0001_i2.png"
    assert found.pairs[0].height == tiny_dataset / "0001_h.png"
    assert found.pairs[0].size == (32, 32)


@pytest.mark.parametrize("masks", ["colors", "indices"])
def test_the_folders_layout_is_found(tmp_path: Path, masks: str) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=3, masks=masks)  # type: ignore[arg-type]
    found = open_dataset(folder)
    assert found.layout == "folders"
    assert found.ids == ("tile_01", "tile_02", "tile_03")
    named = found.classes == KAGGLE_CLASSES
    assert named == (masks == "colors")
    assert found.has_heights
    assert found.problems == ()


def test_suffixes_may_differ_between_image_and_mask(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=1, heights=False)
    image = folder / "images" / "tile_01.png"
    with Image.open(image) as pixels:
        pixels.save(image.with_suffix(".TIFF"))
    image.unlink()
    assert open_dataset(folder).ids == ("tile_01",)


def test_the_layout_with_more_pairs_wins(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "data", pairs=2)
    write_folders_dataset(folder, pairs=3)
    assert open_dataset(folder).layout == "folders"


def test_a_path_may_be_text_or_lead_through_a_link(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    link = tmp_path / "shortcut"
    link.symlink_to(tiny_dataset)
    assert open_dataset(str(link)).folder == tiny_dataset.resolve()


def test_files_that_are_no_part_of_a_pair_do_not_matter(tiny_dataset: Path) -> None:
    for name in ("README.md", ".hidden_t.png", "tiles.csv", "photo.png"):
        (tiny_dataset / name).write_text("not for us")
    assert open_dataset(tiny_dataset).problems == ()


def test_counts_and_shares_are_those_of_the_masks(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "data", pairs=3, size=16)
    found = open_dataset(folder)
    masks = [terrain(16, number)[1] for number in (1, 2, 3)]
    for pair, mask in zip(found.pairs, masks, strict=True):
        assert pair.counts == tuple(np.bincount(mask.ravel(), minlength=7))
    expected = np.bincount(np.stack(masks).ravel(), minlength=7) / (3 * 16 * 16)
    assert list(found.class_shares) == [entry.name for entry in KAGGLE_CLASSES]
    assert list(found.class_shares.values()) == pytest.approx(expected)


def test_pixels_without_data_count_for_no_class(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    mask = np.full((16, 16), 255, np.uint8)
    mask[:4] = 3
    _save(folder / "images" / "a.png", np.zeros((16, 16, 3), np.uint8))
    _save(folder / "masks" / "a.png", mask)
    found = open_dataset(folder)
    assert found.pairs[0].counts == (64,)
    assert found.class_shares == {"3": 1.0}
    assert found.no_data_share == 0.75


def test_a_mask_without_a_labelled_pixel_is_a_problem(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=3, masks="indices")
    empty = np.full((32, 32), 255, np.uint8)
    _save(folder / "masks" / "tile_02.png", empty)
    found = open_dataset(folder)
    assert found.ids == ("tile_01", "tile_03")
    assert _only_problem(found).file == "masks/tile_02.png"
    assert _only_problem(found).problem.startswith("no labelled pixel: all of the mask")
    for path in (folder / "masks").iterdir():
        _save(path, empty)
    assert open_dataset(folder).pairs == ()


def test_the_side_file_of_a_mask_names_its_values(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=1, masks="indices")
    names = "".join(f"<Category>{n}</Category>" for n in ("Sea", "Land", "Land"))
    (folder / "masks" / "tile_01.png.aux.xml").write_text(
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{names}</CategoryNames>'
        "<GDALRasterAttributeTable>"
        "<FieldDefn><Name>Value</Name><Usage>5</Usage></FieldDefn>"
        "<FieldDefn><Name>Class</Name><Usage>2</Usage></FieldDefn>"
        "<FieldDefn><Usage>6</Usage></FieldDefn><FieldDefn><Usage>7</Usage></FieldDefn>"
        "<FieldDefn><Usage>8</Usage></FieldDefn>"
        '<Row index="0"><F>3</F><F>Ice</F><F>1</F><F>2</F><F>3</F></Row>'
        "</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"
    )
    found = open_dataset(folder)
    assert found.classes_source == "masks"
    assert [item.name for item in found.classes][:3] == ["Sea", "Land", "Ice"]
    assert found.classes[2].color == (1, 2, 3)
    assert found.meaning.codes[:3] == ((0,), (1, 2), (3,))


def test_one_missing_height_leaves_the_pair_without_heights(tiny_dataset: Path) -> None:
    (tiny_dataset / "0002_h.png").unlink()
    found = open_dataset(tiny_dataset)
    assert len(found.pairs) == 6
    assert found.pair("0002").height is None
    assert not found.has_heights


# Classes


def test_listed_classes_are_used(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", classes=True)
    found = open_dataset(folder)
    assert found.classes_source == "classes.json"
    assert found.classes == KAGGLE_CLASSES


def test_the_kaggle_palette_applies_where_its_colours_fit(tiny_dataset: Path) -> None:
    assert open_dataset(tiny_dataset).classes_source == "kaggle"


def test_other_colours_become_classes(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    mask = np.zeros((16, 16, 3), np.uint8)
    mask[:, 8:] = (0, 128, 255)
    _save(folder / "images" / "a.png", mask)
    _save(folder / "masks" / "a.png", mask)
    found = open_dataset(folder)
    assert found.classes_source == "found"
    assert [entry.name for entry in found.classes] == ["#000000", "#0080FF"]
    assert found.pairs[0].counts == (128, 128)


def test_a_change_of_the_listed_classes_is_noticed(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=1, classes=True)
    before = open_dataset(folder)
    renamed = (TerrainClass("Sea", (17, 141, 215)), *KAGGLE_CLASSES[1:])
    save_classes(folder / "classes.json", renamed)
    after = open_dataset(folder)
    assert after.classes[0].name == "Sea"
    assert after.fingerprint != before.fingerprint


def test_listed_classes_that_are_not_valid_are_an_error(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=1, classes=True)
    (folder / "classes.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"^classes\.json: "):
        open_dataset(folder)


# Problems: one bad file is named and never stops the rest


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("not an image")


def _other_size(path: Path) -> None:
    with Image.open(path) as image:
        image.resize((24, 20), Image.Resampling.NEAREST).save(path)


@pytest.mark.parametrize("part", ["t", "i2", "h"])
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_cut, "cut off"),
        (_empty, "the file is empty"),
        (_text, "not a PNG, JPEG or TIFF"),
    ],
)
def test_a_damaged_file_is_named_and_its_pair_left_out(
    tiny_dataset: Path, part: str, damage: Damage, sentence: str
) -> None:
    damage(tiny_dataset / f"0003_{part}.png")
    found = open_dataset(tiny_dataset)
    problem = _only_problem(found)
    assert problem.file == f"0003_{part}.png"
    assert sentence in problem.problem
    assert found.ids == ("0001", "0002", "0004", "0005", "0006")


@pytest.mark.parametrize("part", ["i2", "h"])
def test_another_size_than_the_image_is_told_with_both_sizes(
    tiny_dataset: Path, part: str
) -> None:
    _other_size(tiny_dataset / f"0002_{part}.png")
    found = open_dataset(tiny_dataset)
    problem = _only_problem(found)
    assert problem.file == f"0002_{part}.png"
    assert "24 x 20 px" in problem.problem
    assert "32 x 32 px" in problem.problem
    assert len(found.pairs) == 5


def test_strange_colours_are_told_with_their_share(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "data", pairs=2, size=20, heights=False)
    path = folder / "0002_i2.png"
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[0] = (255, 0, 255)  # 5 % of the rows
    _save(path, pixels)
    save_classes(folder / "classes.json", KAGGLE_CLASSES)
    found = open_dataset(folder)
    problem = _only_problem(found)
    assert problem.file == "0002_i2.png"
    assert "5.0% of the pixels have a colour of no class; the limit is 1%" in (
        problem.problem
    )
    assert found.ids == ("0001",)


def test_a_few_strange_pixels_count_as_their_nearest_class(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "data", pairs=1, size=20, heights=False)
    path = folder / "0001_i2.png"
    pixels = np.full((20, 20, 3), KAGGLE_CLASSES[2].color, np.uint8)
    pixels[0, :4] = (18, 140, 215)  # 1 %, nearly water
    _save(path, pixels)
    found = open_dataset(folder)
    assert found.problems == ()
    assert found.pairs[0].counts == (4, 0, 396, 0, 0, 0, 0)


def test_a_photo_among_the_masks_does_not_change_the_classes(
    tiny_dataset: Path,
) -> None:
    shutil.copy(tiny_dataset / "0001_t.png", tiny_dataset / "0001_i2.png")
    found = open_dataset(tiny_dataset)
    assert found.classes == KAGGLE_CLASSES
    assert _only_problem(found).file == "0001_i2.png"
    assert len(found.pairs) == 5


@pytest.mark.parametrize(
    ("removed", "named", "sentence"),
    [
        ("0001_i2.png", "0001_t.png", "an image without a mask. Add 0001_i2.png"),
        ("0001_t.png", "0001_i2.png", "a mask without an image. Add 0001_t.png"),
    ],
)
def test_a_missing_counterpart_is_named(
    tiny_dataset: Path, removed: str, named: str, sentence: str
) -> None:
    (tiny_dataset / removed).unlink()
    problem = _only_problem(open_dataset(tiny_dataset))
    assert problem.file == named
    assert sentence in problem.problem


def test_a_height_alone_is_named(tiny_dataset: Path) -> None:
    (tiny_dataset / "0001_t.png").unlink()
    (tiny_dataset / "0001_i2.png").unlink()
    problem = _only_problem(open_dataset(tiny_dataset))
    assert problem == Problem(
        "0001_h.png", "a height without an image. Add 0001_t.png."
    )


def test_problems_in_folders_are_named_with_their_folder(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=2, heights=False)
    (folder / "masks" / "tile_01.png").unlink()
    problem = _only_problem(open_dataset(folder))
    assert problem.file == "images/tile_01.png"
    assert "masks/tile_01.*" in problem.problem


def test_two_images_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=1, heights=False)
    shutil.copy(folder / "images" / "tile_01.png", folder / "images" / "tile_01.tif")
    found = open_dataset(folder)
    assert found.pairs[0].image.name == "tile_01.png"
    problem = _only_problem(found)
    assert problem.file == "images/tile_01.tif"
    assert "images/tile_01.png has the same name" in problem.problem


def test_other_kinds_of_image_are_named(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=1, heights=False)
    (folder / "images" / "more.webp").write_bytes(b"RIFF")
    (folder / "images" / "notes.txt").write_text("mine")
    problem = _only_problem(open_dataset(folder))
    assert problem.file == "images/more.webp"
    assert ".webp files are not read" in problem.problem


def test_links_are_skipped_and_counted(tiny_dataset: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    shutil.copy(tiny_dataset / "0001_t.png", secret)
    for name in ("0008_t.png", "0008_i2.png"):
        (tiny_dataset / name).symlink_to(secret)
    found = open_dataset(tiny_dataset)
    assert "2 links skipped" in _only_problem(found).problem
    assert len(found.pairs) == 6


def test_a_name_that_is_no_text_is_a_problem(tiny_dataset: Path) -> None:
    bad = os.fsencode(tiny_dataset) + b"/\xff_t.png"
    Path(os.fsdecode(bad)).write_bytes(b"")
    problem = _only_problem(open_dataset(tiny_dataset))
    assert problem == Problem(
        "?_t.png", "the file name is not valid UTF-8. Rename the file."
    )


def test_an_enormous_header_is_refused_in_its_place(tiny_dataset: Path) -> None:
    path = tiny_dataset / "0001_t.png"
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 20_000, 20_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    found = open_dataset(tiny_dataset)
    problem = _only_problem(found)
    assert problem.file == "0001_t.png"
    assert "400" in problem.problem
    assert "megapixels" in problem.problem
    assert len(found.pairs) == 5


def test_devices_and_pipes_are_not_opened(tiny_dataset: Path) -> None:
    os.mkfifo(tiny_dataset / "0009_t.png")
    os.mkfifo(tiny_dataset / "0009_i2.png")
    assert len(open_dataset(tiny_dataset).pairs) == 6


def test_a_strip_is_refused_with_its_limit(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "data", pairs=1, heights=False)
    for name in ("0002_t.png", "0002_i2.png"):
        _save(folder / name, np.full((2, 50, 3), KAGGLE_CLASSES[0].color, np.uint8))
    problem = _only_problem(open_dataset(folder))
    assert problem.file == "0002_t.png"
    assert "50 x 2 px" in problem.problem
    assert "20 times" in problem.problem


def test_a_data_set_may_be_left_without_a_usable_pair(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "data", pairs=2, heights=False)
    for path in folder.glob("*_i2.png"):
        _empty(path)
    found = open_dataset(folder)
    assert found.pairs == ()
    assert [problem.file for problem in found.problems] == [
        "0001_i2.png",
        "0002_i2.png",
    ]
    assert not found.has_heights
    assert sum(found.class_shares.values()) == 0.0


# Folders that are no data set


def _nothing(folder: Path) -> None:
    folder.mkdir()


def _hidden_only(folder: Path) -> None:
    folder.mkdir()
    (folder / ".DS_Store").write_text("")


def _no_masks(folder: Path) -> None:
    write_kaggle_dataset(folder, pairs=3, heights=False)
    for path in folder.glob("*_i2.png"):
        path.unlink()


def _other_files(folder: Path) -> None:
    folder.mkdir()
    (folder / "letter.txt").write_text("hello")


def _a_file(folder: Path) -> None:
    folder.write_text("hello")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Path.exists, "the folder does not exist"),  # makes nothing
        (_nothing, "the folder is empty"),
        (_hidden_only, "the folder is empty"),
        (_no_masks, r"no image with a mask \(3 images and 0 masks found\)"),
        (_other_files, r"no image with a mask \(0 images and 0 masks found\)"),
        (_a_file, "this is a file, not a folder"),
    ],
)
def test_what_is_no_data_set_is_said_in_a_sentence(
    tmp_path: Path, make: Damage, sentence: str
) -> None:
    folder = tmp_path / "data"
    make(folder)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match=f"^data: {sentence}") as caught:
        open_dataset(folder)
    assert "ID_t.png" in str(caught.value)
    assert "folders images and masks" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_pairs_in_a_folder_below_are_pointed_at(tmp_path: Path) -> None:
    write_kaggle_dataset(tmp_path / "data" / "_dataset" / "tiles", pairs=1)
    sentence = "^data: the pairs are not in this folder, but in _dataset/tiles below"
    with pytest.raises(DatasetError, match=sentence):
        open_dataset(tmp_path / "data")


def test_linked_folders_are_not_followed(tmp_path: Path) -> None:
    outside = write_folders_dataset(tmp_path / "outside", pairs=1)
    folder = tmp_path / "data"
    folder.mkdir()
    for part in ("images", "masks"):
        (folder / part).symlink_to(outside / part)
    with pytest.raises(DatasetError, match="2 links skipped"):
        open_dataset(folder)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_an_impossible_name_does_not_exist(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="does not exist") as caught:
        open_dataset(tmp_path / name)
    assert len(str(caught.value)) < 250
    assert "\0" not in str(caught.value)


# Memory


def test_an_unchanged_folder_is_not_checked_again(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cut(tiny_dataset / "0001_t.png")
    first = open_dataset(tiny_dataset)

    def fail(*args: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(check, "read_raw_mask", fail)
    monkeypatch.setattr(check, "check_intact", fail)
    assert open_dataset(tiny_dataset) == first


def test_a_check_opens_each_file_once(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    opening = source.open_regular

    def counted(path: Path, name: str) -> Any:
        names.append(name)
        return opening(path, name)

    monkeypatch.setattr(source, "open_regular", counted)
    open_dataset(tiny_dataset)
    assert sorted(names) == sorted(path.name for path in tiny_dataset.iterdir())


def test_a_changed_file_is_checked_again(tiny_dataset: Path) -> None:
    before = open_dataset(tiny_dataset)
    _cut(tiny_dataset / "0001_t.png")
    after = open_dataset(tiny_dataset)
    assert len(after.pairs) == 5
    assert after.fingerprint != before.fingerprint


def test_a_damaged_memory_is_made_again(
    tiny_dataset: Path, terrainlib_home: Path
) -> None:
    first = open_dataset(tiny_dataset)
    (memory,) = (terrainlib_home / "cache" / "scans").glob("*.json")
    memory.write_text('{"classes": [["Water", [1, 2]]]}')
    assert open_dataset(tiny_dataset) == first


def test_a_full_disk_does_not_hinder_opening(
    tiny_dataset: Path, terrainlib_home: Path
) -> None:
    (terrainlib_home / "cache").write_text("a file where the folder should be")
    assert len(open_dataset(tiny_dataset).pairs) == 6


def test_progress_counts_every_pair(tiny_dataset: Path) -> None:
    seen: list[tuple[int, int]] = []
    open_dataset(tiny_dataset, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 6) for number in range(1, 7)]


# Parts and pixels


def test_a_part_keeps_the_order_of_the_set(tiny_dataset: Path) -> None:
    part = open_dataset(tiny_dataset).with_ids(["0005", "0002", "gone"])
    assert part.ids == ("0002", "0005")
    assert part.classes == KAGGLE_CLASSES


def test_an_unknown_pair_is_an_error(tiny_dataset: Path) -> None:
    with pytest.raises(DatasetError, match="no usable pair '0099' among the 6"):
        open_dataset(tiny_dataset).pair("0099")


def test_the_pixels_of_a_pair_are_those_of_its_files(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "data", pairs=1, size=16)
    rgb, mask, height = terrain(16, 1)
    dataset = open_dataset(folder)
    loaded = read_pair(dataset, dataset.pairs[0])
    np.testing.assert_allclose(loaded.image.rgb, rgb / 255, atol=1e-6)
    np.testing.assert_array_equal(loaded.mask, mask)
    assert loaded.height is not None
    np.testing.assert_array_equal(loaded.height, height)


def test_a_file_changed_after_the_check_is_refused(tiny_dataset: Path) -> None:
    dataset = open_dataset(tiny_dataset)
    pair = dataset.pairs[0]
    _other_size(pair.mask)
    with pytest.raises(ImageError, match=r"0001_i2\.png: the size is 24 x 20 px"):
        read_pair(dataset, pair)


def test_the_public_names_are_exported() -> None:
    for name in dataset_module.__all__:
        assert hasattr(dataset_module, name)
