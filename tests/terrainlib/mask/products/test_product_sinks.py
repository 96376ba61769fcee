"""What takes the bands of a mask beside rasters: the same in any bands."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from rasterio.crs import CRS

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.errors import InputError
from terrainlib.mask.products.task import PlaneFile
from terrainlib.mask.rasters.sharpened import SharpenedPngSink
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.bands import Band, no_data_band

DEGREES = Georeference(CRS.from_epsg(4326).to_wkt(), (0.1, 0, 10, 0, -0.1, 60), None)


def bands(soft: np.ndarray, *cuts: int) -> list[Band]:
    classes = (soft[..., 0] % 7).astype(np.uint8)
    edges = [0, *cuts, len(soft)]
    return [Band(slice(a, b), classes[a:b], soft=soft[a:b]) for a, b in pairwise(edges)]


def sharpened(path: Path, given: list[Band], height: int, amount: float) -> np.ndarray:
    width = given[0].classes.shape[1]
    sink = SharpenedPngSink(
        path, amount=amount, height=height, width=width, classes=KAGGLE_CLASSES
    )
    with sink:
        for band in given:
            sink.write(band)
    with PillowImage.open(path) as opened:
        return np.asarray(opened)


@pytest.mark.parametrize("amount", [0, 0.37, 1, 10])
@pytest.mark.parametrize(
    ("height", "cuts"),
    [
        (1, ()),
        (2, ()),
        (2, (1,)),
        (3, (1, 2)),
        (50, (1, 2, 3, 20, 21, 49)),
        (300, (128, 200)),
    ],
)
def test_bands_are_sharpened_as_the_whole(
    tmp_path: Path, amount: float, height: int, cuts: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(height)
    soft = rng.integers(0, 256, (height, 37, 3), np.uint8)
    found = sharpened(tmp_path / "a.png", bands(soft, *cuts), height, amount)
    np.testing.assert_array_equal(found, sharpen(soft, amount))


def test_rows_that_never_came_are_black_when_sharpened(tmp_path: Path) -> None:
    soft = np.full((6, 9, 3), 200, np.uint8)
    given = [*bands(soft), no_data_band(slice(6, 10), 9)]
    found = sharpened(tmp_path / "a.png", given, 10, 1.0)
    expected = sharpen(np.concatenate([soft, np.zeros((4, 9, 3), np.uint8)]), 1.0)
    np.testing.assert_array_equal(found, expected)


def test_bands_out_of_order_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    first, _, last = bands(np.zeros((9, 4, 3), np.uint8), 3, 6)
    with pytest.raises(InputError, match="Give the bands in their order"):
        sharpened(tmp_path / "a.png", [first, last], 9, 1.0)
    assert list(tmp_path.iterdir()) == []


def test_planes_are_kept_and_mapped(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    weights = rng.integers(0, 256, (9, 5, 7), np.uint8)
    classes = weights.argmax(axis=-1).astype(np.uint8)
    parts = [slice(0, 2), slice(2, 6)]
    given = [Band(rows, classes[rows], weights=weights[rows]) for rows in parts]
    given.append(no_data_band(slice(6, 9), 5))
    for name, whole in (("weights", weights), ("classes", classes)):
        plane = PlaneFile(tmp_path / name, name, whole.shape)
        with plane:
            for band in given:
                plane.write(band)
        np.testing.assert_array_equal(plane.mapped()[:6], whole[:6])
        empty = 255 if name == "classes" else 0
        assert (plane.mapped()[6:] == empty).all()
