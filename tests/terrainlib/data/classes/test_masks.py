"""Masks of every kind become class indices, once it is decided what they mean."""

from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from terrainlib.data.classes.masks import Mask, read_mask, read_raw_mask
from terrainlib.data.classes.meaning import decide, describe
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    NO_DATA,
    Classes,
    ClassList,
    TerrainClass,
    Value,
    color_table,
    colorize,
)
from terrainlib.errors import DatasetError, ImageError
from tests.imagefiles import encode, tiff, wide_png
from tests.synthetic import terrain

INDEX = np.random.default_rng(0).integers(0, 7, (12, 16), np.uint8)
COLORS = colorize(INDEX, KAGGLE_CLASSES)
TWO = INDEX % 2
LAND_SEA = (TerrainClass("Land", (90, 160, 60)), TerrainClass("Sea", (20, 60, 200)))
GREYS = tuple(TerrainClass(f"grey {v}", (v, v, v)) for v in (0, 100, 255))


VOC = [[0, 0, 0], [128, 0, 0], *[[0, 0, 0]] * 253, [224, 224, 192]]


def palette_png(index: Any, colors: Any) -> bytes:
    picture = Picture.fromarray(index).convert("P")
    picture.putpalette(np.asarray(colors, np.uint8).ravel().tolist())
    return encode(picture)


def listed(classes: Classes, *values: tuple[Value, ...], ignore: Any = ()) -> ClassList:
    return ClassList(classes, values or ((),) * len(classes), ignore)


def read(data: bytes, classes: Classes) -> Mask:
    """Read a mask that is the only one of its set."""
    values = read_raw_mask(data).values
    return read_mask(data, decide([values], listed(classes)).meaning)


def decided(*masks: bytes, **options: Any) -> Any:
    found = [read_raw_mask(data).values for data in masks]
    return decide(found, options.get("classes"))


def names(decision: Any) -> list[str]:
    return [item.name for item in decision.listed.classes]


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
    mask = read(KINDS[kind], KAGGLE_CLASSES)
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
    mask = read(BINARY[kind], LAND_SEA)
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
    mask = read(WITH_GAPS[kind], KAGGLE_CLASSES)
    np.testing.assert_array_equal(mask.index, np.where(EMPTY, NO_DATA, INDEX))
    assert mask.unknown == 0


def test_strange_colours_count_as_the_nearest_and_are_reported() -> None:
    rgb = COLORS.copy()
    rgb[0, :4] = rgb[0, :4] + 2
    mask = read(encode(rgb), KAGGLE_CLASSES)
    np.testing.assert_array_equal(mask.index, INDEX)
    assert mask.unknown == pytest.approx(4 / INDEX.size)


def test_a_jpeg_mask_is_mostly_strangers() -> None:
    _, index, _ = terrain(64, 3)
    data = encode(colorize(index, KAGGLE_CLASSES), "JPEG", quality=95)
    mask = read(data, KAGGLE_CLASSES)
    assert (mask.index == index).mean() > 0.9
    assert mask.unknown > 0.01


def test_codes_of_no_class_are_no_data_and_reported() -> None:
    mask = read(encode(np.array([[7, 0], [7, 7]], np.uint8)), KAGGLE_CLASSES)
    assert mask.index.tolist() == [[NO_DATA, 0], [NO_DATA, NO_DATA]]
    assert mask.unknown == 0.75
    assert mask.strange == 7


def test_grey_masks_of_grey_classes_are_colours() -> None:
    index = INDEX % 3
    grey = np.array([0, 100, 255], np.uint8)[index]
    np.testing.assert_array_equal(read(encode(grey), GREYS).index, index)
    only_ends = np.where(index == 1, 0, index).astype(np.uint8)
    data = encode(np.array([0, 100, 255], np.uint8)[only_ends])
    np.testing.assert_array_equal(read(data, GREYS).index, only_ends)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((4, 4), 70_000, np.int32),
        np.full((4, 4), 2.5, np.float32),
        np.full((4, 4), -3, np.int16),
        np.full((4, 4, 3), 2.5, np.float32),
    ],
)
def test_numbers_that_are_no_classes_are_refused(pixels: Any) -> None:
    with pytest.raises(
        ImageError,
        match=r"^m\.tif: the values are neither class indices nor 8-bit colours "
        r"\(\w+\); a mask holds class colours, or codes of whole numbers from 0 to ",
    ):
        read_raw_mask(tiff(pixels), name="m.tif")


KAGGLE_MASK = encode(COLORS)


def spoilt(rows: int) -> bytes:
    rgb = COLORS.copy()
    rgb[0, :2] = (1, 2, 3)
    rgb[:rows] = (1, 2, 3)
    return encode(rgb)


@pytest.mark.parametrize(
    ("masks", "source"),
    [
        ([KAGGLE_MASK], "kaggle"),
        ([spoilt(0)] * 6, "found"),
        ([spoilt(6)] * 2 + [KAGGLE_MASK] * 4, "kaggle"),
        ([spoilt(6)] * 4 + [KAGGLE_MASK] * 2, "found"),
        ([encode(INDEX)], "found"),
        ([tiff(INDEX.astype(np.int16))], "found"),
    ],
)
def test_the_kaggle_palette_applies_where_its_colours_are_and_not_for_indices(
    masks: list[bytes], source: str
) -> None:
    decision = decided(*masks)
    assert decision.source == source
    assert (decision.listed.classes == KAGGLE_CLASSES) == (source == "kaggle")


def test_other_colours_become_classes_named_by_them() -> None:
    masks = [
        encode(colorize(TWO, LAND_SEA)),
        palette_png(TWO * np.uint8(0), [[255, 0, 16]]),
    ]
    decision = decided(*masks)
    assert decision.source == "found"
    assert names(decision) == ["#143CC8", "#5AA03C", "#FF0010"]
    assert [item.color for item in decision.listed.classes] == [
        (20, 60, 200),
        (90, 160, 60),
        (255, 0, 16),
    ]
    assert (read_mask(masks[1], decision.meaning).index == 2).all()


@pytest.mark.parametrize(("highest", "count"), [(1, 2), (4, 5), (7, 8), (63, 64)])
def test_indices_are_unnamed_classes_of_distinct_colours(
    highest: int, count: int
) -> None:
    index = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16) % (highest + 1)
    gap = np.where(EMPTY, 255, index).astype(np.uint8)
    masks = [encode(index), encode(gap), encode(index * 0)]
    decision = decided(*masks)
    assert names(decision) == [str(code) for code in range(count)]
    assert len({item.color for item in decision.listed.classes}) == count
    np.testing.assert_array_equal(read_mask(masks[0], decision.meaning).index, index)
    np.testing.assert_array_equal(read_mask(masks[1], decision.meaning).index, gap)


@pytest.mark.parametrize(
    ("codes", "dtype"),
    [
        ([111, 211, 231, 311, 411, 523, 255], np.uint16),
        ([10, 20, 30, 40, 50, 60, 95], np.uint8),
        ([10, 20, 30, 40, 50, 60, 65_534], np.uint16),
    ],
)
def test_codes_with_gaps_are_classes_named_by_them(codes: Any, dtype: Any) -> None:
    data = tiff(np.array(codes, dtype)[INDEX])
    decision = decided(data)
    order = sorted(codes)
    assert names(decision) == [str(code) for code in order]
    expected = np.array([order.index(code) for code in codes], np.uint8)[INDEX]
    np.testing.assert_array_equal(read_mask(data, decision.meaning).index, expected)


def test_too_many_codes_give_one_sentence() -> None:
    with pytest.raises(DatasetError, match="100 values in the masks; the limit is 64"):
        decided(tiff(np.arange(100, dtype=np.uint16).reshape(10, 10) * 7))


def test_0_and_255_become_a_black_and_a_white_class() -> None:
    data = encode(TWO * np.uint8(255))
    decision = decided(data, encode(TWO * np.uint8(0)))
    assert decision.source == "found"
    assert names(decision) == ["#000000", "#FFFFFF"]
    np.testing.assert_array_equal(read_mask(data, decision.meaning).index, TWO)


@pytest.mark.parametrize("classes", [None, LAND_SEA])
def test_255_is_no_class_where_any_mask_of_the_set_has_smaller_indices(
    classes: Any,
) -> None:
    gap = np.where(EMPTY, 255, 0).astype(np.uint8)
    masks = [encode(TWO), encode(gap), encode(np.full((4, 4), 255, np.uint8))]
    meaning = decided(*masks, classes=classes and listed(classes)).meaning
    np.testing.assert_array_equal(read_mask(masks[1], meaning).index, gap)
    assert (read_mask(masks[2], meaning).index == NO_DATA).all()


def test_palettes_of_other_colours_are_indices_in_every_mask() -> None:
    classes = (*LAND_SEA, TerrainClass("Black", (0, 0, 0)))
    voc = [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    sparse = INDEX * 0
    sparse[0, 0] = 1
    masks = [palette_png(index, voc) for index in (sparse, INDEX % 3, TWO)]
    swapped = (classes[2], *classes[:2])
    meaning = decided(*masks, classes=listed(swapped)).meaning
    assert meaning.kind == "palette"
    for data, index in zip(masks, (sparse, INDEX % 3, TWO), strict=True):
        mask = read_mask(data, meaning)
        np.testing.assert_array_equal(mask.index, index)
        assert mask.unknown == 0


def test_a_palette_names_its_indices_by_their_colours() -> None:
    decision = decided(palette_png(np.where(EMPTY, 255, TWO), VOC))
    assert names(decision) == ["#000000", "#800000"]
    assert decision.listed.values == ((0,), (1,))
    assert decision.meaning.kind == "palette"


def test_values_from_1_on_are_taken_in_the_order_of_the_names() -> None:
    data = encode(INDEX % 4 + np.uint8(1))
    decision = decided(data, classes=listed(KAGGLE_CLASSES[:4]))
    assert decision.notes == (
        "The values of the masks start at 1: they are taken as 1 to 4, in the order of "
        "the classes.",
    )
    np.testing.assert_array_equal(read_mask(data, decision.meaning).index, INDEX % 4)


def test_listed_values_are_classes_merged_or_ignored() -> None:
    codes = np.array([10, 20, 30, 40, 50, 50, 50], np.uint8)
    data = encode(codes[INDEX])
    wanted = listed(LAND_SEA, (30, 10), (20,), ignore=(40, 50))
    meaning = decided(data, classes=wanted).meaning
    expected = np.array([0, 1, 0, 255, 255, 255, 255], np.uint8)[INDEX]
    mask = read_mask(data, meaning)
    np.testing.assert_array_equal(mask.index, expected)
    assert mask.unknown == 0


def test_colours_of_masks_can_be_merged_ignored_and_shown_in_another() -> None:
    water, grass, *others = [item.color for item in KAGGLE_CLASSES]
    wanted = listed(LAND_SEA, (grass, others[0]), (water,), ignore=tuple(others[1:]))
    expected = np.array([1, 0, 0, 255, 255, 255, 255], np.uint8)[INDEX]
    colors = color_table(KAGGLE_CLASSES)
    for data in (KAGGLE_MASK, palette_png(INDEX, colors)):
        mask = read_mask(data, decided(data, classes=wanted).meaning)
        np.testing.assert_array_equal(mask.index, expected)
        assert mask.unknown == 0


@pytest.mark.parametrize("value", [(), (0,)])
def test_0_declared_as_no_data_is_told_until_it_is_listed(value: Any) -> None:
    data = tiff(INDEX, nodata=0)
    values = (value, *((n,) for n in range(1, 7))) if value else ()
    decision = decided(data, classes=listed(KAGGLE_CLASSES, *values))
    index = read_mask(data, decision.meaning).index
    assert decision.unlisted == (() if value else (0,))
    if value:
        assert decision.notes == ()
        np.testing.assert_array_equal(index, INDEX)
    else:
        assert "mark 0 as no data (1" in decision.notes[0]
        assert 'list it with "value": 0' in decision.notes[0]
        assert (index[INDEX == 0] == NO_DATA).all()


@pytest.mark.parametrize("value", [(), ((0, 0, 0),)])
def test_black_declared_as_no_data_is_told_until_it_is_listed(value: Any) -> None:
    classes = (TerrainClass("Soil", (0, 0, 0)), LAND_SEA[0])
    data = tiff(colorize(TWO, classes), photometric="RGB", nodata=0)
    decision = decided(data, classes=listed(classes, value, ()))
    assert decision.unlisted == (() if value else ((0, 0, 0),))
    assert len(decision.notes) == (not value)
    index = read_mask(data, decision.meaning).index
    np.testing.assert_array_equal(index, TWO if value else np.where(TWO, 1, NO_DATA))


def test_what_the_masks_hold_is_said_in_a_sentence() -> None:
    codes = decided(
        encode(INDEX % 3), classes=listed(LAND_SEA, (0,), (2,), ignore=(1,))
    )
    assert describe(codes.meaning, ["Land", "Sea"]) == (
        "The masks hold codes: 0 Land, 2 Sea. No class: 1, 255."
    )
    colors = decided(encode(colorize(TWO, LAND_SEA)), classes=listed(LAND_SEA))
    assert describe(colors.meaning, ["Land", "Sea"]) == (
        "The masks hold the colours of the classes: #5AA03C Land, #143CC8 Sea."
    )
    binary = decided(encode(TWO * np.uint8(255)), classes=listed(LAND_SEA))
    assert describe(binary.meaning, ["Land", "Sea"]) == (
        "The masks hold 0 (Land) and full scale (Sea)."
    )


def test_other_greys_become_classes() -> None:
    grey = np.array([0, 100, 255], np.uint8)[INDEX % 3]
    decision = decided(encode(grey))
    assert names(decision) == ["#000000", "#646464", "#FFFFFF"]
    assert decision.source == "found"


def test_smoothed_edges_do_not_become_classes() -> None:
    rgb = np.zeros((100, 100, 3), np.uint8)
    rgb[50:] = (0, 200, 0)
    rgb[50, :90, 2] = np.arange(90)
    assert names(decided(encode(rgb))) == ["#000000", "#00C800"]


def test_photographs_are_no_masks() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    with pytest.raises(
        DatasetError,
        match=r"\d+ or more colours in the masks; the limit is 64 classes\.",
    ):
        decided(encode(noise))


def test_a_class_seen_in_one_of_many_masks_only_is_found() -> None:
    masks = [encode(colorize(TWO, LAND_SEA))] * 70
    masks[43] = encode(np.full((4, 4, 3), 9, np.uint8))
    assert "#090909" in names(decided(*masks))
