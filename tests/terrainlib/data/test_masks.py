"""Masks of every kind become class indices, and their classes are found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from terrainlib.data.masks import find_classes, read_mask
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    NO_DATA,
    TerrainClass,
    color_table,
    colorize,
    load_classes,
    save_classes,
)
from terrainlib.errors import DatasetError, ImageError
from tests.imagefiles import encode, tiff, wide_png, write
from tests.synthetic import terrain, write_folders_dataset, write_kaggle_dataset

INDEX = np.random.default_rng(0).integers(0, 7, (12, 16), np.uint8)
COLORS = colorize(INDEX, KAGGLE_CLASSES)
TWO = INDEX % 2
LAND_SEA = (TerrainClass("Land", (90, 160, 60)), TerrainClass("Sea", (20, 60, 200)))
GREYS = tuple(TerrainClass(f"grey {v}", (v, v, v)) for v in (0, 100, 255))


def palette_png(index: Any, colors: Any) -> bytes:
    picture = Picture.fromarray(index).convert("P")
    picture.putpalette(np.asarray(colors, np.uint8).ravel().tolist())
    return encode(picture)


KINDS = {
    "colours": encode(COLORS),
    "colours with alpha": encode(np.dstack([COLORS, np.full_like(INDEX, 255)])),
    "colours, 16 bits": wide_png(COLORS.astype(np.uint16) * 257),
    "colours, TIFF": tiff(COLORS, photometric="RGB"),
    "palette of class colours": palette_png(INDEX, color_table(KAGGLE_CLASSES)),
    "palette in another order": palette_png(
        6 - INDEX, color_table(KAGGLE_CLASSES)[::-1]
    ),
    "palette of other colours": palette_png(INDEX, np.arange(21) * 12),
    "indices": encode(INDEX),
    "indices, 16 bits": encode(INDEX.astype(np.uint16)),
    "indices, TIFF": tiff(INDEX),
    "indices, int16 TIFF": tiff(INDEX.astype(np.int16)),
    "indices, float TIFF": tiff(INDEX.astype(np.float32)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_indices(kind: str) -> None:
    mask = read_mask(KINDS[kind], KAGGLE_CLASSES)
    np.testing.assert_array_equal(mask.index, INDEX)
    assert mask.index.dtype == np.uint8
    assert mask.unknown == 0


BINARY = {
    "0 and 255": encode(TWO * np.uint8(255)),
    "0 and 1": encode(TWO),
    "1 bit": encode(TWO > 0),
    "0 and 65535": encode(TWO.astype(np.uint16) * 65535),
    "1-bit TIFF": encode(TWO > 0, "TIFF"),
    "0.0 and 255.0": tiff(TWO.astype(np.float32) * 255),
    "class colours": encode(colorize(TWO, LAND_SEA)),
    "palette of black and white": palette_png(TWO, [[0, 0, 0], [255, 255, 255]]),
}


@pytest.mark.parametrize("kind", BINARY)
def test_two_classes_come_in_many_forms(kind: str) -> None:
    mask = read_mask(BINARY[kind], LAND_SEA)
    np.testing.assert_array_equal(mask.index, TWO)
    assert mask.unknown == 0


EMPTY = np.zeros((12, 16), bool)
EMPTY[2:5, 3:9] = True
WITH_GAPS = {
    "index 255": encode(np.where(EMPTY, 255, INDEX).astype(np.uint8)),
    "index 65535": encode(np.where(EMPTY, 65535, INDEX.astype(np.uint16))),
    "no-data value": tiff(np.where(EMPTY, 9, INDEX).astype(np.uint8), nodata=9),
    "negative no-data value": tiff(
        np.where(EMPTY, -1, INDEX.astype(np.int16)), nodata=-1
    ),
    "not a number": tiff(np.where(EMPTY, np.nan, INDEX).astype(np.float32)),
    "alpha 0": encode(np.dstack([COLORS, np.where(EMPTY, 0, 255).astype(np.uint8)])),
    "alpha 0 over a strange colour": encode(
        np.dstack(
            [
                np.where(EMPTY[..., None], 77, COLORS).astype(np.uint8),
                np.where(EMPTY, 0, 255).astype(np.uint8),
            ]
        )
    ),
}


@pytest.mark.parametrize("kind", WITH_GAPS)
def test_pixels_without_data_have_no_class(kind: str) -> None:
    mask = read_mask(WITH_GAPS[kind], KAGGLE_CLASSES)
    np.testing.assert_array_equal(mask.index, np.where(EMPTY, NO_DATA, INDEX))
    assert mask.unknown == 0


def test_strange_colours_count_as_the_nearest_and_are_reported() -> None:
    rgb = COLORS.copy()
    rgb[0, :4] = rgb[0, :4] + 2
    mask = read_mask(encode(rgb), KAGGLE_CLASSES)
    np.testing.assert_array_equal(mask.index, INDEX)
    assert mask.unknown == pytest.approx(4 / INDEX.size)


def test_a_jpeg_mask_is_mostly_strangers() -> None:
    _, index, _ = terrain(64, 3)
    data = encode(colorize(index, KAGGLE_CLASSES), "JPEG", quality=95)
    mask = read_mask(data, KAGGLE_CLASSES)
    assert (mask.index == index).mean() > 0.9
    assert mask.unknown > 0.01


def test_indices_beyond_the_classes_are_strange_greys() -> None:
    mask = read_mask(encode(np.full((4, 4), 7, np.uint8)), KAGGLE_CLASSES)
    assert mask.unknown == 1


def test_grey_masks_of_grey_classes_are_colours() -> None:
    index = INDEX % 3
    grey = np.array([0, 100, 255], np.uint8)[index]
    np.testing.assert_array_equal(read_mask(encode(grey), GREYS).index, index)
    only_ends = np.where(index == 1, 0, index).astype(np.uint8)
    data = encode(np.array([0, 100, 255], np.uint8)[only_ends])
    np.testing.assert_array_equal(read_mask(data, GREYS).index, only_ends)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((4, 4), 1000, np.int16),
        np.full((4, 4), 2.5, np.float32),
        np.full((4, 4), -3, np.int16),
        np.full((4, 4, 3), 2.5, np.float32),
    ],
)
def test_numbers_that_are_no_classes_are_refused(pixels: Any) -> None:
    with pytest.raises(
        ImageError,
        match=r"^m\.tif: the values are neither class indices nor 8-bit colours "
        r"\(\w+\); a mask holds class colours, or indices from 0 on with 255 for no",
    ):
        read_mask(tiff(pixels), KAGGLE_CLASSES, name="m.tif")


def write_all(folder: Path, *files: bytes) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return [write(folder, f"{n:03d}.png", data) for n, data in enumerate(files)]


@pytest.mark.parametrize("masks", ["colors", "indices"])
def test_kaggle_colours_and_kaggle_indices_are_recognised(
    tmp_path: Path, masks: Any
) -> None:
    folder = write_folders_dataset(tmp_path / "set", masks=masks)
    paths = list((folder / "masks").iterdir())
    assert find_classes(paths) == (KAGGLE_CLASSES, "kaggle")


@pytest.mark.parametrize(
    ("spoilt", "rows", "source"),
    [(6, 0, "kaggle"), (2, 20, "kaggle"), (4, 20, "found")],
)
def test_a_few_strange_masks_do_not_hide_the_kaggle_palette(
    tmp_path: Path, spoilt: int, rows: int, source: str
) -> None:
    folder = write_kaggle_dataset(tmp_path / "set", heights=False)
    paths = sorted(folder.glob("*_i2.png"))
    for path in paths[:spoilt]:
        with Picture.open(path) as picture:
            pixels = np.array(picture)
        pixels[0, :5] = (1, 2, 3)
        pixels[:rows] = (1, 2, 3)
        Picture.fromarray(pixels).save(path)
    assert find_classes(paths)[1] == source


def test_other_colours_become_classes_named_by_them(tmp_path: Path) -> None:
    paths = write_all(
        tmp_path / "m",
        encode(colorize(TWO, LAND_SEA)),
        palette_png(TWO * np.uint8(0), [[255, 0, 16]]),
    )
    classes, source = find_classes(paths)
    assert source == "found"
    assert [item.name for item in classes] == ["#143CC8", "#5AA03C", "#FF0010"]
    assert [item.color for item in classes] == [
        (20, 60, 200),
        (90, 160, 60),
        (255, 0, 16),
    ]
    assert read_mask(paths[1], classes).index.tolist() == [[2] * 16] * 12


@pytest.mark.parametrize(("highest", "count"), [(1, 2), (7, 8), (63, 64)])
def test_other_indices_get_distinct_colours(
    tmp_path: Path, highest: int, count: int
) -> None:
    index = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16) % (highest + 1)
    gap = np.where(EMPTY, 255, index).astype(np.uint8)
    paths = write_all(tmp_path / "m", encode(index), encode(gap), encode(index * 0))
    classes, source = find_classes(paths)
    assert source == "found"
    assert len({item.color for item in classes}) == len(classes) == count
    np.testing.assert_array_equal(read_mask(paths[0], classes).index, index)
    np.testing.assert_array_equal(read_mask(paths[1], classes).index, gap)
    save_classes(tmp_path / "classes.json", classes)
    assert load_classes(tmp_path / "classes.json") == classes


def test_0_and_255_become_a_black_and_a_white_class(tmp_path: Path) -> None:
    data = encode(TWO * np.uint8(255))
    paths = write_all(tmp_path / "m", data, encode(TWO * np.uint8(0)))
    classes, source = find_classes(paths)
    assert source == "found"
    assert [item.name for item in classes] == ["#000000", "#FFFFFF"]
    np.testing.assert_array_equal(read_mask(paths[0], classes).index, TWO)


def test_no_data_of_two_index_classes_is_not_taken_for_the_second(
    tmp_path: Path,
) -> None:
    gap = np.where(EMPTY, 255, 0).astype(np.uint8)
    paths = write_all(tmp_path / "m", encode(TWO), encode(gap))
    classes, _ = find_classes(paths)
    np.testing.assert_array_equal(read_mask(paths[1], classes).index, gap)


def test_other_greys_become_classes(tmp_path: Path) -> None:
    grey = np.array([0, 100, 255], np.uint8)[INDEX % 3]
    paths = write_all(tmp_path / "m", encode(grey))
    classes, source = find_classes(paths)
    assert [item.name for item in classes] == ["#000000", "#646464", "#FFFFFF"]
    assert source == "found"


def test_16_bit_signed_indices_are_found(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tif", tiff(INDEX.astype(np.int16)))
    assert find_classes([path]) == (KAGGLE_CLASSES, "kaggle")


def test_unreadable_masks_do_not_count(tmp_path: Path) -> None:
    paths = write_all(tmp_path / "m", b"text", encode(colorize(TWO, LAND_SEA)), b"")
    assert len(find_classes(paths)[0]) == 2
    with pytest.raises(DatasetError, match="none of the 2 masks can be read"):
        find_classes([paths[0], paths[2]])
    with pytest.raises(DatasetError, match="none of the 0 masks can be read"):
        find_classes([])


def test_smoothed_edges_do_not_become_classes(tmp_path: Path) -> None:
    rgb = np.zeros((100, 100, 3), np.uint8)
    rgb[50:] = (0, 200, 0)
    rgb[50, :90, 2] = np.arange(90)
    paths = write_all(tmp_path / "m", encode(rgb))
    assert [item.name for item in find_classes(paths)[0]] == ["#000000", "#00C800"]


def test_photographs_are_no_masks(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    with pytest.raises(
        DatasetError,
        match=r"1024 or more colours in the masks; the limit is 64 classes\.",
    ):
        find_classes(write_all(tmp_path / "m", encode(noise)))


def test_a_class_seen_in_one_of_many_masks_only_is_found(tmp_path: Path) -> None:
    files = [encode(colorize(TWO, LAND_SEA))] * 150
    files[77] = encode(np.full((4, 4, 3), 9, np.uint8))
    classes, _ = find_classes(write_all(tmp_path / "m", *files))
    assert "#090909" in [item.name for item in classes]
