"""Every kind of good picture becomes float32 RGB in [0, 1] with a valid mask."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from PIL import Image as Picture
from PIL import ImageOps
from rasterio.enums import ColorInterp

from terrainlib.data.imagery import (
    Image,
    check_intact,
    read_height,
    read_image,
    read_size,
)
from terrainlib.errors import ImageError
from tests.imagefiles import encode, pattern, tiff, wide_png, write

RGB = pattern()
GREY = pattern(bands=1)[..., 0]
WIDE = pattern(24, 32, 3).astype(np.uint16) * 257
ALPHA = np.where(GREY > 100, 255, 0).astype(np.uint8)
SPATIAL = {"crs": "EPSG:3035", "transform": Affine(100, 0, 4e6, 0, -100, 3e6)}
RGBA_BANDS = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def grey_rgb(grey: Any) -> Any:
    return np.repeat(np.asarray(grey)[..., np.newaxis], 3, axis=2)


def palette_picture(transparency: Any = None) -> bytes:
    picture = Picture.fromarray(GREY % 5).convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7, 1, 2, 3])
    options = {} if transparency is None else {"transparency": transparency}
    return encode(picture, **options)


PALETTE = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7], [1, 2, 3]], np.uint8
)

EXACT = {
    "PNG RGB": (encode(RGB), RGB),
    "PNG RGBA": (encode(np.dstack([RGB, np.full_like(GREY, 255)])), RGB),
    "PNG grey": (encode(GREY), grey_rgb(GREY)),
    "PNG grey and alpha": (
        encode(np.dstack([GREY, np.full_like(GREY, 255)])),
        grey_rgb(GREY),
    ),
    "PNG 1 bit": (encode(GREY > 99), grey_rgb(np.where(GREY > 99, 255, 0))),
    "PNG 4 bits": (
        encode(Picture.fromarray(GREY).quantize(16).convert("L")),
        grey_rgb(Picture.fromarray(GREY).quantize(16).convert("L")),
    ),
    "PNG palette": (palette_picture(), PALETTE[GREY % 5]),
    "PNG 16-bit grey": (wide_png(WIDE[..., 0]), grey_rgb(RGB[..., 0])),
    "PNG 16-bit RGB": (wide_png(WIDE), RGB),
    "PNG 16-bit RGBA": (
        wide_png(np.dstack([WIDE, np.full((24, 32), 65535, np.uint16)])),
        RGB,
    ),
    "TIFF RGB by Pillow": (encode(RGB, "TIFF"), RGB),
    "TIFF grey by Pillow": (encode(GREY, "TIFF"), grey_rgb(GREY)),
    "TIFF 1 bit": (encode(GREY > 99, "TIFF"), grey_rgb(np.where(GREY > 99, 255, 0))),
    "TIFF grey and alpha": (
        encode(np.dstack([GREY, np.full_like(GREY, 255)]), "TIFF"),
        grey_rgb(GREY),
    ),
    "TIFF RGB": (tiff(RGB, photometric="RGB"), RGB),
    "TIFF three bands": (tiff(RGB), RGB),
    "TIFF tiles": (
        tiff(RGB, tiled=True, blockxsize=16, blockysize=16, compress="deflate"),
        RGB,
    ),
    "TIFF bands apart": (tiff(RGB, interleave="band", compress="lzw"), RGB),
    "TIFF big": (tiff(RGB, BIGTIFF="YES"), RGB),
    "TIFF big-endian": (tiff(RGB, ENDIANNESS="BIG"), RGB),
    "TIFF alpha": (
        tiff(np.dstack([RGB, np.full_like(GREY, 255)]), colorinterp=RGBA_BANDS),
        RGB,
    ),
    "TIFF 16 bits": (tiff(WIDE), RGB),
    "TIFF palette": (
        tiff(
            GREY % 5, colormap={i: (*map(int, c), 255) for i, c in enumerate(PALETTE)}
        ),
        PALETTE[GREY % 5],
    ),
    "TIFF floats in 0..1": (tiff((RGB / 255).astype(np.float32)), RGB),
    "TIFF floats in 0..255": (tiff(RGB.astype(np.float64)), RGB),
}


@pytest.mark.parametrize("kind", EXACT)
def test_pixels_are_exactly_those_of_the_file(kind: str) -> None:
    data, expected = EXACT[kind]
    image = read_image(data)
    assert image.rgb.dtype == np.float32
    assert image.valid.dtype == np.bool_
    assert image.valid.shape == image.rgb.shape[:2] == (24, 32)
    assert image.valid.all()
    np.testing.assert_allclose(image.rgb, np.asarray(expected) / 255, atol=1e-6)
    assert read_size(data) == (image.height, image.width) == (24, 32)
    check_intact(data)


@pytest.mark.parametrize(
    "name", ["a.png", "with space & ünïcode #1?.png", "a!b%20.tif"]
)
def test_a_path_and_its_bytes_give_the_same_image(tmp_path: Path, name: str) -> None:
    data = encode(RGB, "TIFF" if name.endswith("tif") else "PNG")
    path = write(tmp_path, name, data)
    image = read_image(path)
    assert image.name == name
    assert image.notes == ()
    np.testing.assert_array_equal(image.rgb, read_image(data).rgb)
    np.testing.assert_array_equal(image.rgb, read_image(str(path)).rgb)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_is_what_pillow_makes_of_it(mode: str) -> None:
    data = encode(Picture.fromarray(RGB).convert(mode), "JPEG", quality=95)
    image = read_image(data)
    with Picture.open(io.BytesIO(data)) as picture:
        expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_allclose(image.rgb, expected / 255, atol=1e-6)
    assert ("CMYK colours converted to RGB" in image.notes) == (mode == "CMYK")
    check_intact(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pictures_are_turned_upright(kind: str, orientation: int) -> None:
    exif = Picture.Exif()
    exif[0x0112] = orientation
    data = encode(RGB, kind, exif=exif)
    with Picture.open(io.BytesIO(data)) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    image = read_image(data)
    np.testing.assert_allclose(image.rgb, upright / 255, atol=1e-6)
    assert image.valid.shape == upright.shape[:2]
    assert read_size(data) == upright.shape[:2]
    assert any("turned upright" in note for note in image.notes) == (orientation > 1)


TRANSPARENT = {
    "PNG RGBA": encode(np.dstack([RGB, ALPHA])),
    "PNG grey and alpha": encode(np.dstack([GREY, ALPHA])),
    "PNG 16-bit RGBA": wide_png(np.dstack([WIDE, ALPHA.astype(np.uint16) * 257])),
    "TIFF alpha": tiff(np.dstack([RGB, ALPHA]), colorinterp=RGBA_BANDS),
    "TIFF internal mask": tiff(RGB, mask=ALPHA),
    "TIFF no-data value": tiff(np.where(ALPHA[..., None] > 0, RGB, 255), nodata=255),
    "TIFF 16-bit, 4 bands, no-data value": tiff(
        np.where(ALPHA[..., None] > 0, np.dstack([WIDE, WIDE[..., 0]]), 65535),
        nodata=65535,
    ),
    "TIFF not a number": tiff(
        np.where(ALPHA[..., None] > 0, RGB / 255, np.nan).astype(np.float32)
    ),
    "TIFF infinite": tiff(
        np.where(ALPHA[..., None] > 0, RGB / 255, np.inf).astype(np.float32)
    ),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_pixels_without_data_are_not_valid_and_black(kind: str) -> None:
    image = read_image(TRANSPARENT[kind])
    np.testing.assert_array_equal(image.valid, ALPHA > 0)
    assert (image.rgb[~image.valid] == 0).all()
    assert image.rgb[image.valid].max() > 0.5
    assert any("% of the pixels have no data" in note for note in image.notes)


@pytest.mark.parametrize(("transparency", "index"), [(2, 2), (b"\xff\x00\xff", 1)])
def test_a_palette_entry_can_be_transparent(transparency: Any, index: int) -> None:
    image = read_image(palette_picture(transparency))
    np.testing.assert_array_equal(image.valid, index != GREY % 5)
    assert "palette colours converted to RGB" in image.notes


@pytest.mark.parametrize(
    ("pixels", "color"),
    [
        (Picture.fromarray(GREY), int(GREY[0, 0])),
        (Picture.fromarray(RGB), tuple(int(v) for v in RGB[0, 0])),
        (Picture.fromarray(GREY > 99), 0),
    ],
)
def test_a_transparent_colour_has_no_data(pixels: Any, color: Any) -> None:
    image = read_image(encode(pixels, transparency=color))
    assert not image.valid[0, 0]
    assert image.valid.any()


def test_a_fully_transparent_picture_has_no_valid_pixel() -> None:
    image = read_image(encode(np.dstack([RGB, np.zeros_like(GREY)])))
    assert not image.valid.any()
    assert (image.rgb == 0).all()
    assert "100 % of the pixels have no data" in image.notes


def test_dark_16_bit_pixels_are_stretched_between_their_percentiles() -> None:
    grey = np.linspace(300, 10_160, 101 * 100).round().astype(np.uint16)
    image = read_image(tiff(grey.reshape(101, 100)))
    low, high = np.percentile(grey, (2, 98))
    expected = np.clip((grey - low) / (high - low), 0, 1).reshape(101, 100)
    np.testing.assert_allclose(image.rgb[..., 1], expected, atol=1e-5)
    assert f"16-bit stretched from {low:,.6g}..{high:,.6g}" in image.notes[0]


def test_bright_16_bit_pixels_are_scaled_by_their_range() -> None:
    image = read_image(wide_png(WIDE))
    assert "16-bit scaled from 0..65,535" in image.notes


def test_no_data_does_not_count_for_the_stretch() -> None:
    grey = np.tile(np.arange(100, dtype=np.uint16), (100, 1))
    grey[:50] = 65535
    image = read_image(tiff(grey, nodata=65535))
    assert image.rgb[60, 50, 0] == pytest.approx((50 - 2) / 95, abs=0.02)


def test_negative_numbers_are_stretched() -> None:
    grey = np.arange(-500, 500, dtype=np.int16).reshape(20, 50)
    image = read_image(tiff(grey))
    assert image.rgb.min() == 0
    assert image.rgb.max() == 1
    assert np.diff(image.rgb[..., 0].ravel()).min() >= 0
    assert "16-bit stretched from -480." in image.notes[0]


def test_negative_8_bit_numbers_are_stretched_too() -> None:
    grey = np.arange(-50, 50, dtype=np.int8).reshape(10, 10)
    image = read_image(tiff(grey))
    assert np.diff(image.rgb[..., 0].ravel()).min() >= 0
    assert len(np.unique(image.rgb)) > 90
    assert "8-bit stretched from -48" in image.notes[0]


def test_one_missing_pixel_of_many_is_noted() -> None:
    grey = np.ones((120, 120), np.uint8)
    grey[0, 0] = 0
    image = read_image(tiff(grey, nodata=0))
    assert "less than 0.01 % of the pixels have no data" in image.notes


def test_reflectances_a_little_over_one_are_clipped_not_squeezed() -> None:
    values = np.full((20, 20), 0.5, np.float32)
    values[0, 0] = 1.3
    image = read_image(tiff(values))
    assert image.rgb[5, 5, 0] == 0.5
    assert image.rgb[0, 0, 0] == 1
    assert "floating point, values outside 0..1 clipped" in image.notes


def test_large_integers_keep_their_differences() -> None:
    grey = (100_000_000 + np.arange(400)).reshape(20, 20).astype(np.int32)
    image = read_image(tiff(grey))
    assert len(np.unique(image.rgb)) > 300


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_constant_picture_is_read(value: int) -> None:
    image = read_image(tiff(np.full((8, 8), value, np.uint16)))
    assert np.isfinite(image.rgb).all()


def test_a_fourth_band_that_is_no_alpha_is_left_out_with_a_note() -> None:
    image = read_image(tiff(np.dstack([WIDE, WIDE[..., 0]])))
    np.testing.assert_allclose(image.rgb, RGB / 255, atol=1e-6)
    assert (
        "4 bands; 1, 2 and 3 used as red, green and blue, as the file does not say "
        "which are" in image.notes
    )


def test_bands_tagged_blue_green_red_come_out_red_first() -> None:
    order = [ColorInterp.blue, ColorInterp.green, ColorInterp.red]
    image = read_image(
        tiff(RGB[..., ::-1], colorinterp=order, photometric="MINISBLACK")
    )
    np.testing.assert_allclose(image.rgb, RGB / 255, atol=1e-6)


def test_a_georeference_is_kept() -> None:
    reference = read_image(tiff(RGB, nodata=3, **SPATIAL)).georeference
    assert reference is not None
    assert "3035" in reference.crs_wkt
    assert reference.transform == (100, 0, 4e6, 0, -100, 3e6)
    assert reference.nodata == 3
    assert read_image(tiff(RGB)).georeference is None


def test_only_the_first_page_of_several_is_used() -> None:
    pages = [Picture.fromarray(RGB // (n + 1)) for n in range(3)]
    data = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    image = read_image(data)
    assert "3 pages; page 1 is used" in image.notes
    np.testing.assert_allclose(image.rgb, RGB / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "name"), [("JPEG", "a.png"), ("PNG", "a.TIF"), ("TIFF", "a.jpg")]
)
def test_the_content_decides_and_a_wrong_name_is_noted(kind: str, name: str) -> None:
    image = read_image(encode(RGB, kind), name=name)
    suffix = name[1:].lower()
    assert f"the file is a {kind} image, although it is named {suffix}" in image.notes


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_thin_and_tiny_pictures_are_read(kind: str, shape: tuple[int, int]) -> None:
    image = read_image(encode(np.full((*shape, 3), 80, np.uint8), kind))
    assert image.rgb.shape == (*shape, 3)


HEIGHTS = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 11


@pytest.mark.parametrize(
    "data",
    [
        encode(HEIGHTS),
        tiff(HEIGHTS),
        tiff(HEIGHTS.astype(np.int16)),
        tiff(HEIGHTS.astype(np.float32)),
        tiff(HEIGHTS.astype(np.float64), **SPATIAL),
    ],
)
def test_heights_are_metres_as_stored(data: bytes) -> None:
    height = read_height(data)
    assert height.dtype == np.float32
    np.testing.assert_array_equal(height, HEIGHTS)


def test_8_bit_heights_are_read_too() -> None:
    np.testing.assert_array_equal(read_height(encode(GREY)), GREY)


def test_missing_heights_are_not_a_number() -> None:
    values = HEIGHTS.astype(np.float32) - 500
    values[3, 4] = -9999
    values[5, 6] = np.nan
    height = read_height(tiff(values, nodata=-9999))
    assert np.isnan(height[3, 4])
    assert np.isnan(height[5, 6])
    assert np.isnan(height).sum() == 2
    assert height[0, 0] == -500


@pytest.mark.parametrize(
    ("data", "what"),
    [(encode(RGB), "3 bands"), (palette_picture(), "a colour palette")],
)
def test_coloured_heights_are_refused(data: bytes, what: str) -> None:
    with pytest.raises(ImageError, match=rf"^h\.png: {what}; a height file has 1 band"):
        read_height(data, name="h.png")


def test_an_array_becomes_an_image() -> None:
    array = (RGB / 255).astype(np.float32)
    array[2, 3] = np.nan
    image = Image.from_array(array, "mine")
    assert image.name == "mine"
    assert not image.valid[2, 3]
    assert image.valid.sum() == 24 * 32 - 1
    assert np.isnan(array[2, 3]).all()
    np.testing.assert_allclose(Image.from_array(RGB).rgb, RGB / 255, atol=1e-7)


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((4, 4)), r"must be \(height, width, 3\), not \(4, 4\)"),
        (np.zeros((0, 4, 3), np.float32), r"not \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.int64), "must be float in .* not int64"),
        (np.full((4, 4, 3), 200.0), r"must lie in \[0, 1\], not 200 to 200"),
    ],
)
def test_other_arrays_are_refused(array: Any, match: str) -> None:
    with pytest.raises(ImageError, match=match):
        Image.from_array(array)
