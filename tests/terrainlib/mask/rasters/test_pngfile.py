"""Masks as PNG pictures written row by row."""

import io

import numpy as np
import pytest
from PIL import Image

from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA, soft_colors
from terrainlib.errors import ImageError
from terrainlib.mask.rasters.png import ClassPngSink, SoftPngSink, mask_png
from terrainlib.mask.tiles.bands import Band
from tests.synthetic import terrain


def pixels(source):
    with Image.open(source) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def write(sink_type, path, band, step):
    height, width = band.classes.shape
    with sink_type(path, height=height, width=width, classes=KAGGLE_CLASSES) as sink:
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            soft = None if band.soft is None else band.soft[rows]
            sink.write(Band(rows, band.classes[rows], soft))


@pytest.mark.parametrize("step", [1, 100, 300])
def test_the_picture_is_that_of_the_mask_in_memory(tmp_path, step):
    _, mask, _ = terrain(300, 1)
    mask[:20, :50] = NO_DATA
    write(ClassPngSink, tmp_path / "a.png", Band(slice(0, 300), mask), step)
    expected = pixels(io.BytesIO(mask_png(mask, KAGGLE_CLASSES)))
    assert (pixels(tmp_path / "a.png") == expected).all()
    with Image.open(tmp_path / "a.png") as picture:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
    assert ((alpha == 0) == (mask == NO_DATA)).all()
    assert [item.name for item in tmp_path.iterdir()] == ["a.png"]


def test_the_soft_mask_keeps_its_colours(tmp_path):
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet(np.ones(7), (40, 30)).astype(np.float32)
    soft = np.rint(255 * soft_colors(probabilities, KAGGLE_CLASSES)).astype(np.uint8)
    band = Band(slice(0, 40), probabilities.argmax(axis=-1).astype(np.uint8), soft)
    write(SoftPngSink, tmp_path / "a.png", band, 7)
    assert (pixels(tmp_path / "a.png") == soft).all()


def test_a_stopped_picture_is_black_below_the_finished_rows(tmp_path):
    _, mask, _ = terrain(64, 3)
    with ClassPngSink(
        tmp_path / "a.png", height=64, width=64, classes=KAGGLE_CLASSES
    ) as sink:
        sink.write(Band(slice(0, 40), mask[:40]))
    picture = pixels(tmp_path / "a.png")
    assert picture[:40].any(axis=2).all()
    assert not picture[40:].any()


def test_a_picture_that_few_programs_open_is_refused(tmp_path):
    with pytest.raises(
        ImageError,
        match=r"^a\.png: 30000 x 20000 pixels; the limit for PNG is 500 megapixels\. "
        r"Write a GeoTIFF instead\.$",
    ):
        ClassPngSink(
            tmp_path / "a.png", height=20_000, width=30_000, classes=KAGGLE_CLASSES
        )
