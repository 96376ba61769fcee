"""The bands of a file: which are red, green and blue, and how others are chosen."""

import re
from typing import Any

import numpy as np
import pytest
from rasterio.enums import ColorInterp

from terrainlib.data.classes.masks import read_raw_mask
from terrainlib.data.formats.raster import BandSet, UsedBand
from terrainlib.data.imagery import read_image
from terrainlib.data.scene import list_bands, open_scene
from terrainlib.errors import ImageError
from tests.imagefiles import encode, pattern, tiff, wide_png

STACK = pattern(20, 30, 7)
OPAQUE = np.where(STACK[..., 3] > 100, 255, 0).astype(np.uint8)
RGBA = np.dstack([STACK[..., :3], OPAQUE])
COLORS = {c.name: c for c in ColorInterp}


def named(*names: str, marks: str = "", dtype: Any = np.uint8) -> bytes:
    """Return a GeoTIFF with a band of each name, marked with colours if given."""
    options: dict[str, Any] = {}
    if marks:
        options["colorinterp"] = [COLORS[mark] for mark in marks.split()]
    stack = STACK[..., : len(names)].astype(dtype)
    return tiff(stack, photometric="MINISBLACK", descriptions=names, **options)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("blue", "green", "red", "nir"), (3, 2, 1)),
        (("Blue", "Green", "Red Edge", "Red", "NIR"), (4, 2, 1)),
        (("B02", "B03", "B04", "B08"), (3, 2, 1)),
        (("B8", "B4, central wavelength 665 nm", "B3 (560 nm)", "B2"), (2, 3, 4)),
        (("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7"), (4, 3, 2)),
        (("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7"), (3, 2, 1)),
        (("SR_B4", "SR_B3", "SR_B2", "SR_B5"), (1, 2, 3)),
        (("sur_refl_b01", "sur_refl_b02", "sur_refl_b03", "sur_refl_b04"), (1, 4, 3)),
        (("r", "g", "b", "n"), (1, 2, 3)),
    ],
)
def test_names_of_bands_say_what_is_red_green_and_blue(
    names: tuple[str, ...], expected: tuple[int, int, int]
) -> None:
    data = named(*names)
    bands = list_bands(data)
    assert bands.default == expected
    assert bands.asks
    assert [band.name for band in bands.all] == list(names)
    assert [band.number for band in bands.all] == list(range(1, len(names) + 1))
    image = read_image(data)
    picked = STACK[..., [number - 1 for number in expected]]
    np.testing.assert_array_equal(image.rgb, picked / np.float32(255))
    red, green, blue = expected
    said = f"{len(names)} bands; {red}, {green} and {blue} are red, green and blue"
    assert said in image.notes


def test_marks_are_believed_before_names() -> None:
    data = named("red", "green", "blue", "x", marks="blue green red undefined")
    assert list_bands(data).default == (3, 2, 1)


@pytest.mark.parametrize("count", [3, 4, 7])
def test_where_nothing_is_said_the_first_three_are_taken_and_it_asks(
    count: int,
) -> None:
    data = tiff(STACK[..., :count].astype(np.uint16))
    bands = list_bands(data)
    assert bands.default == (1, 2, 3)
    assert bands.asks
    assert [band.name for band in bands.all][1:] == [
        f"Band {number}" for number in range(2, count + 1)
    ]
    assert {band.dtype for band in bands.all} == {"uint16"}
    assert (
        f"{count} bands; 1, 2 and 3 used as red, green and blue, as the file does not "
        "say which are" in read_image(data).notes
    )


@pytest.mark.parametrize(
    ("data", "default", "names", "dtype"),
    [
        (tiff(STACK[..., :3]), (1, 2, 3), ["Red", "Green", "Blue"], "uint8"),
        (tiff(STACK[..., 0]), (1, 1, 1), ["Band 1"], "uint8"),
        (
            tiff(RGBA, photometric="RGB", ALPHA="YES"),
            (1, 2, 3),
            ["Red", "Green", "Blue", "Alpha"],
            "uint8",
        ),
        (encode(STACK[..., :3]), (1, 2, 3), ["Red", "Green", "Blue"], "uint8"),
        (encode(STACK[..., :3], "JPEG"), (1, 2, 3), ["Red", "Green", "Blue"], "uint8"),
        (encode(STACK[..., 0]), (1, 1, 1), ["Band 1"], "uint8"),
        (encode(STACK[..., :4]), (1, 2, 3), ["Red", "Green", "Blue"], "uint8"),
        (
            wide_png(STACK[..., :3].astype(np.uint16)),
            (1, 2, 3),
            ["Red", "Green", "Blue"],
            "uint16",
        ),
    ],
)
def test_plain_pictures_do_not_ask(
    data: bytes, default: tuple[int, int, int], names: list[str], dtype: str
) -> None:
    bands = list_bands(data)
    assert not bands.asks
    assert bands.default == default
    assert [band.name for band in bands.all] == names
    assert {band.dtype for band in bands.all} == {dtype}


CHOICES = [(7, 1, 4), (2, 2, 2), (1, 2, 1), (1, 2, 3)]


@pytest.mark.parametrize("bands", CHOICES)
def test_any_bands_can_be_chosen(bands: tuple[int, int, int]) -> None:
    data = tiff(STACK, tiled=True, blockxsize=16, blockysize=16)
    image = read_image(data, bands=bands)
    picked = STACK[..., [number - 1 for number in bands]]
    np.testing.assert_array_equal(image.rgb, picked / np.float32(255))
    window = (slice(3, 19), slice(10, 30))
    with open_scene(data, bands=bands) as scene:
        np.testing.assert_array_equal(scene.read(window)[0], image.rgb[window])
        assert scene.notes == image.notes


@pytest.mark.parametrize("bands", [(3, 2, 1), (2, 2, 2), (1, 2, 3)])
def test_bands_of_a_png_can_be_chosen_too(bands: tuple[int, int, int]) -> None:
    image = read_image(encode(STACK[..., :3]), bands=bands)
    picked = STACK[..., [number - 1 for number in bands]]
    np.testing.assert_array_equal(image.rgb, picked / np.float32(255))


def test_the_scale_is_that_of_the_bands_in_use() -> None:
    stack = np.dstack([STACK[..., :3].astype(np.uint16), STACK[..., 3] * 40.0 + 500])
    data = tiff(stack.astype(np.uint16))
    dark, bright = read_image(data), read_image(data, bands=(4, 4, 4))
    low, high = np.percentile(stack[..., 3], (2, 98))
    expected = np.clip((stack[..., 3] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(bright.rgb[..., 0], expected, atol=1e-5)
    assert dark.rgb.mean() == pytest.approx(0.5, abs=0.1)


def test_an_alpha_band_that_is_chosen_is_a_colour() -> None:
    data = tiff(RGBA, photometric="RGB", ALPHA="YES")
    image = read_image(data, bands=(4, 1, 2))
    np.testing.assert_array_equal(image.rgb[..., 0], OPAQUE / np.float32(255))
    assert image.valid.all()
    kept = read_image(data, bands=(3, 1, 2))
    np.testing.assert_array_equal(kept.valid, OPAQUE > 0)


@pytest.mark.parametrize("water", [0.5, 1.0])
def test_near_infrared_that_is_marked_alpha_is_a_band(water: float) -> None:
    nir = STACK[..., 3].copy()
    nir[: round(20 * water)] = 0
    data = tiff(np.dstack([STACK[..., :3], nir]), photometric="RGB", ALPHA="YES")
    assert [band.name for band in list_bands(data).all][3] == "Band 4"
    image = read_image(data)
    assert image.valid.all()
    np.testing.assert_array_equal(image.rgb, STACK[..., :3] / np.float32(255))


def test_an_alpha_band_with_soft_edges_says_where_there_is_data() -> None:
    alpha = np.full((20, 30), 255, np.uint8)
    alpha[:, :5], alpha[:, 5] = 0, np.arange(1, 21)
    data = tiff(np.dstack([STACK[..., :3], alpha]), photometric="RGB", ALPHA="YES")
    np.testing.assert_array_equal(read_image(data).valid, alpha > 0)


def test_two_bands_can_be_chosen_from() -> None:
    data = tiff(STACK[..., :2])
    image = read_image(data, bands=(1, 2, 1))
    np.testing.assert_array_equal(image.rgb, STACK[..., [0, 1, 0]] / np.float32(255))
    assert list_bands(data).asks
    with pytest.raises(ImageError, match=r"^image: 2 bands, of which neither is alpha"):
        read_image(data)


@pytest.mark.parametrize(
    ("data", "bands", "match"),
    [
        (tiff(STACK), (1, 2, 8), "no band 8; the file has 7 bands, numbered from 1"),
        (tiff(STACK), (0, 2, 3), "no band 0; the file has 7 bands"),
        (tiff(STACK[..., 0]), (1, 2, 3), "no band 2; the file has 1 band"),
        (encode(STACK[..., :3]), (1, 2, 4), "no band 4; the file has 3 bands"),
        (encode(STACK[..., 0], "JPEG"), (2, 2, 2), "no band 2; the file has 1 band"),
        (tiff(STACK), (1, 2), "2 bands were chosen; 3 are needed"),
    ],
)
def test_bands_that_are_not_there_are_refused(
    data: bytes, bands: Any, match: str
) -> None:
    with pytest.raises(ImageError, match=rf"^a\.tif: .*{match}"):
        read_image(data, name="a.tif", bands=bands)
    with (
        pytest.raises(ImageError, match=rf"^a\.tif: .*{match}"),
        open_scene(data, name="a.tif", bands=bands),
    ):
        pass


def band_set(*names: str, of: int = 4, **changes: Any) -> BandSet:
    """Return a set of the first bands, scaled from 0 to 255."""
    used = tuple(UsedBand(name, n, 0.0, 255.0) for n, name in enumerate(names, 1))
    return BandSet(used, "8-bit", of, (0, 0, 0), **changes)


@pytest.mark.parametrize(
    ("wanted", "data", "expected"),
    [
        (band_set("nir", "red"), named("red", "green", "blue", "NIR"), (4, 1)),
        (band_set("B04", "B8A"), named("B2", "B3", "B8a", "B4, 665 nm"), (4, 3)),
        (
            band_set("B4", "B3", "B2"),
            tiff(STACK[..., :3], photometric="RGB"),
            (1, 2, 3),
        ),
        (band_set("red", "green", "blue"), named("B2", "B3", "B4"), (3, 2, 1)),
        (band_set("", ""), tiff(STACK[..., :4]), (1, 2)),
        (band_set("a", "b"), tiff(STACK[..., :4]), (1, 2)),
        (band_set("red", "", "blue"), named("red", "x", "blue", "nir"), (1, 2, 3)),
        (band_set("VV", of=1), tiff(STACK[..., 0]), (1,)),
        (band_set("", of=1), encode(STACK[..., 0]), (1,)),
        (band_set("red", "blue", of=3), encode(STACK[..., :3]), (1, 3)),
        (band_set("a", "b", asked=(7, 2)), tiff(STACK), (7, 2)),
        (band_set("red", "green", "blue"), tiff(STACK[..., 0]), (1, 1, 1)),
    ],
)
def test_the_bands_of_a_set_are_found_by_name_else_by_number(
    wanted: BandSet, data: bytes, expected: tuple[int, ...]
) -> None:
    image = read_image(data, bands=wanted)
    picked = STACK[..., [number - 1 for number in expected]]
    np.testing.assert_array_equal(image.pixels, picked / np.float32(255))
    assert image.rgb.shape == (20, 30, 3)
    with open_scene(data, bands=wanted) as scene:
        assert scene.bands == len(expected)
        window = (slice(2, 9), slice(4, 30))
        np.testing.assert_array_equal(scene.read(window)[0], image.pixels[window])
        assert scene.overview(10).rgb.shape == (7, 10, 3)


@pytest.mark.parametrize(
    ("wanted", "data", "match"),
    [
        (
            band_set("red", "nir"),
            named("red", "green", "blue", "swir"),
            "uses 2 bands: red, nir. The file does not say which of its bands is nir; "
            "it has 1 red, 2 green, 3 blue, 4 swir. Choose",
        ),
        (
            band_set("", "", of=13),
            tiff(STACK),
            "uses 2 bands: band 1, band 2. The file does not say which of its bands "
            "they are; it has 1 Band 1",
        ),
        (band_set("a", "b", asked=(1,)), tiff(STACK), "1 band was chosen, and the mod"),
        (band_set("a", asked=("c",)), tiff(STACK), "no band c; the file has 1 Band 1"),
    ],
)
def test_bands_of_a_set_that_cannot_be_found_are_named(
    wanted: BandSet, data: bytes, match: str
) -> None:
    with pytest.raises(ImageError, match=re.escape(match)):
        read_image(data, bands=wanted)


def test_a_set_brings_its_own_scaling_for_values_of_its_kind() -> None:
    stack = STACK[..., :2].astype(np.uint16) * 10
    used = (UsedBand("", 1, 0.0, 5000.0), UsedBand("", 2, 500.0, 1500.0))
    wanted = BandSet(used, "integer", 2, (0, 1, 1))
    expected = np.clip((stack - [0, 500]) / [5000, 1000], 0, 1)
    image = read_image(tiff(stack), bands=wanted)
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
    bytes_ = read_image(tiff(STACK[..., :2]), bands=wanted)
    np.testing.assert_array_equal(bytes_.pixels, STACK[..., :2] / np.float32(255))
    assert any("8-bit values, where the training images" in n for n in bytes_.notes)


def test_a_mask_of_many_bands_is_refused() -> None:
    with pytest.raises(ImageError, match=r"^m\.tif: 7 bands; a mask has 1, 3 or 4"):
        read_raw_mask(tiff(STACK), name="m.tif")


def test_long_and_odd_names_are_shown_short_and_plain() -> None:
    data = named("a" * 100, "tab\there", "x", "y")
    names = [band.name for band in list_bands(data).all]
    assert names[0] == "a" * 39 + "…"
    assert names[1] == "tab?here"


def test_names_in_unknown_letters_are_left_out() -> None:
    data = named("redx", "green", "blue", "nir").replace(b"redx", b"r\xb5\xffx")
    bands = list_bands(data)
    assert [band.name for band in bands.all] == [f"Band {n}" for n in range(1, 5)]
    assert read_image(data).rgb.shape == (20, 30, 3)
