"""Pictures in small, with their facts."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from terrainlib.data.imagery import read_image
from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA, color_table
from terrainlib.data.sample import example_scenes
from terrainlib.errors import ImageError
from terrainlib.ui import cached
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.studio.overview import OVERVIEW_PX, image_overview, mask_overview
from tests.imagefiles import class_tiff, encode, pattern, tiff, write
from tests.synthetic import terrain


@pytest.fixture(autouse=True)
def _nothing_kept():
    cached.results.clear()


def test_facts_name_size_bands_place_pixel_and_file(tmp_path: Path):
    data = tiff(
        pattern(40, 60),
        crs="EPSG:32633",
        transform=Affine(10, 0, 400_000, 0, -10, 5_600_000),
        photometric="RGB",
    )

    overview = image_overview(PictureFile.on_disk(write(tmp_path, "a.tif", data)))

    assert overview.facts.startswith(
        "60 × 40 px (2,400 pixels) · 3 bands of uint8 · WGS 84 / UTM zone 33N · "
        "about 10 m a pixel · "
    )
    assert overview.placed


def test_a_picture_without_a_place_says_so():
    overview = image_overview(PictureFile("a.png", "key", encode(pattern())))

    assert "no reference system" in overview.facts
    assert overview.metres is None
    assert not overview.placed


def test_a_large_picture_becomes_small_and_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write(tmp_path, "a.tif", tiff(pattern(1500, 2200), photometric="RGB"))
    picture = PictureFile.on_disk(path)

    first = image_overview(picture)

    shown = read_image(first.jpeg).rgb
    assert max(shown.shape[:2]) == OVERVIEW_PX
    assert (first.height, first.width) == (1500, 2200)
    path.write_bytes(b"gone")
    assert image_overview(picture) is first


def test_other_bands_give_another_picture_and_say_so(tmp_path: Path):
    values = np.array([10, 90, 200, 250], np.uint8)
    data = tiff(np.broadcast_to(values, (20, 20, 4)), photometric="MINISBLACK")
    picture = PictureFile.on_disk(write(tmp_path, "a.tif", data))

    usual = image_overview(picture)
    other = image_overview(picture.with_bands((4, 4, 1)))

    assert usual.bands.asks
    assert read_image(other.jpeg).rgb[10, 10, 0] > 0.9
    assert read_image(usual.jpeg).rgb[10, 10, 0] < 0.1
    assert any("4, 4 and 1" in note for note in other.notes)


def test_the_scaling_of_16_bit_values_is_said(tmp_path: Path):
    values = (pattern(30, 30).astype(np.uint16) * 7) + 300
    path = write(tmp_path, "a.tif", tiff(values, photometric="RGB"))

    notes = "; ".join(image_overview(PictureFile.on_disk(path)).notes)

    assert "stretched from" in notes
    assert "percentiles 2 to 98" in notes


def test_a_damaged_file_is_one_sentence(tmp_path: Path):
    path = write(tmp_path, "a.png", encode(pattern(200, 200))[:300])

    with pytest.raises(ImageError, match=r"a\.png"):
        image_overview(PictureFile.on_disk(path))


def test_a_class_mask_is_shown_in_its_colours_and_clear_without_data(tmp_path: Path):
    index = terrain(64, 3)[1].copy()
    index[:16] = NO_DATA
    place = read_image(example_scenes()[0].image).georeference
    path = write(tmp_path, "m.tif", class_tiff(index, KAGGLE_CLASSES, place))

    shown = read_image(mask_overview(path))

    assert not shown.valid[:16].any()
    assert shown.valid[16:].all()
    colors = np.rint(shown.rgb[16:] * 255).astype(np.uint8)
    np.testing.assert_array_equal(colors, color_table(KAGGLE_CLASSES)[index[16:]])
