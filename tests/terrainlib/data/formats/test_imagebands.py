"""Which bands a data set's images are read with, and how they are scaled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terrainlib.data.cache import build_cache
from terrainlib.data.choices import Choices, save_choices
from terrainlib.data.dataset import Dataset, open_dataset, read_pair
from tests.imagefiles import encode, pattern, tiff

MASK = encode((np.arange(400).reshape(20, 20) % 2).astype(np.uint8))
SENTINEL = [
    "B1",
    "B2",
    "B3",
    "B4",
    "B5",
    "B6",
    "B7",
    "B8",
    "B8A",
    "B9",
    "B10",
    "B11",
    "B12",
]


def stack(bands: int, dtype: Any = np.uint16) -> Any:
    """Return (20, 20, B) of a smooth range in each band, above 8 bits."""
    values = pattern(20, 20, bands).astype(dtype)
    return values if dtype == np.uint8 else values * 10 + 300


def write(folder: Path, *images: bytes) -> Path:
    """Write pairs of the given images; return the folder."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number, image in enumerate(images):
        suffix = "png" if image.startswith(b"\x89PNG") else "tif"
        (folder / f"images/{number}.{suffix}").write_bytes(image)
        (folder / f"masks/{number}.png").write_bytes(MASK)
    return folder


def named(names: list[str], dtype: Any = np.uint16) -> bytes:
    """Return a GeoTIFF with a band of each name."""
    return tiff(stack(len(names), dtype), photometric="MINISBLACK", descriptions=names)


def opened(tmp_path: Path, *images: bytes, bands: Any = None) -> Dataset:
    return open_dataset(write(tmp_path / "data", *images), bands=bands)


RGB = encode(stack(3, np.uint8))


@pytest.mark.parametrize(
    ("image", "names", "read"),
    [
        (RGB, ("red", "green", "blue"), 3),
        (encode(stack(1, np.uint8)[..., 0]), ("band 1",), 1),
        (tiff(stack(1)), ("band 1",), 1),
        (tiff(stack(2)), ("band 1", "band 2"), 2),
        (named(["VV", "VH"]), ("VV", "VH"), 2),
        (named(SENTINEL), ("red", "green", "blue"), 3),
        (tiff(stack(3)), ("red", "green", "blue"), 3),
    ],
)
def test_without_a_choice_the_files_say_what_is_read(
    tmp_path: Path, image: bytes, names: tuple[str, ...], read: int
) -> None:
    dataset = opened(tmp_path, image)
    assert dataset.bands.names == names
    loaded = read_pair(dataset, dataset.pairs[0]).image
    assert loaded.bands == read
    cache = build_cache(dataset, 16)
    assert cache.images[0].shape == (16, 16, read)
    assert next(cache.pictures).shape == (16, 16, 3)
    assert build_cache(dataset, 16).bands == dataset.band_set


def test_many_bands_without_names_must_be_chosen(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", tiff(stack(13)))
    dataset = open_dataset(folder)
    assert "Train with --bands 3,2,1" in (dataset.bands.question or "")
    assert open_dataset(folder, bands=(4, 8)).bands.names == ("band 4", "band 8")
    save_choices(folder, Choices(bands=(4, 3, 2, 8)))
    chosen = open_dataset(folder)
    assert (chosen.bands.count, chosen.bands.question) == (4, None)
    used = chosen.band_set
    assert used is not None
    assert [band.number for band in used.bands] == [4, 3, 2, 8]


def test_bands_are_chosen_by_name_and_shown_in_natural_colours(tmp_path: Path) -> None:
    dataset = opened(tmp_path, named(SENTINEL), bands=("B08", "b2", "B3", "B4"))
    used = dataset.band_set
    assert used is not None
    assert used.names == ("B8", "B2", "B3", "B4")
    assert used.shown == (3, 2, 1)
    image = read_pair(dataset, dataset.pairs[0]).image
    np.testing.assert_array_equal(image.rgb, image.pixels[..., [3, 2, 1]])


def test_all_images_are_scaled_alike_and_each_band_on_its_own(tmp_path: Path) -> None:
    one, two = stack(2), stack(2) * np.uint16(3)
    dataset = opened(tmp_path, tiff(one), tiff(two))
    pooled = np.concatenate([one, two]).reshape(-1, 2)
    low, high = np.percentile(pooled, (2, 98), axis=0)
    for pair, stored in zip(dataset.pairs, (one, two), strict=True):
        expected = np.clip((stored - low) / (high - low), 0, 1)
        image = read_pair(dataset, pair).image
        np.testing.assert_allclose(image.pixels, expected, atol=1e-5)
    part = dataset.with_ids(dataset.ids[:1])
    assert part.band_set == dataset.band_set


@pytest.mark.parametrize("others", [(RGB,), (RGB, encode(stack(1, np.uint8)[..., 0]))])
def test_eight_bit_colours_are_read_as_each_file_has_them(
    tmp_path: Path, others: tuple[bytes, ...]
) -> None:
    dataset = opened(tmp_path, RGB, *others, bands=None)
    assert dataset.band_set is None
    assert len(dataset.pairs) == 1 + len(others)


def test_choosing_red_green_and_blue_is_no_other_choice(tmp_path: Path) -> None:
    assert opened(tmp_path, RGB, bands=("red", "green", "blue")).band_set is None


@pytest.mark.parametrize(
    ("images", "bands", "problem"),
    [
        ((RGB, RGB, tiff(stack(2))), None, "the image has 2 bands, which do not say"),
        (
            (named(["a", "b"]), named(["a", "b"]), named(["a", "c"])),
            ("a", "b"),
            "there is no band b; the file has 1 a, 2 c",
        ),
    ],
)
def test_an_image_without_the_bands_of_the_others_is_a_problem(
    tmp_path: Path, images: tuple[bytes, ...], bands: Any, problem: str
) -> None:
    dataset = opened(tmp_path, *images, bands=bands)
    assert len(dataset.pairs) == 2
    assert [entry.file for entry in dataset.problems] == ["images/2.tif"]
    assert problem in dataset.problems[0].problem


def test_what_files_have_is_remembered(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", named(["a", "b"]), RGB, named(["a", "b"]))
    first, again = open_dataset(folder), open_dataset(folder)
    assert first.bands == again.bands
    assert first.bands.example == again.bands.example
