"""What people bring: every kind of file gives a right mask or one clear sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image as PillowImage

from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA, colorize
from terrainlib.data.sample import SCENES_DIR
from terrainlib.errors import ImageError
from terrainlib.mask.products.making import predict_file
from terrainlib.mask.products.records import Made, Wanted
from terrainlib.model.modelfile import TerrainModel, load_model
from tests.imagefiles import encode, tiff, write
from tests.models import KERAS_COPY_WARNING
from tests.synthetic import terrain

GRID = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
PLACE = {"crs": "EPSG:32633", "transform": GRID}
Predict = Callable[..., tuple[Made, NDArray[np.uint8]]]


@pytest.fixture
def truth() -> NDArray[np.uint8]:
    """Return classes, (40, 56) uint8; the images of the tests show their colours."""
    return terrain(56, seed=5)[1][:40]


@pytest.fixture
def predict(color_model: Callable[..., TerrainModel], tmp_path: Path) -> Predict:
    """Return a function that gives the classes which a file's mask shows."""

    def run(name: str, data: bytes, **wanted: Any) -> tuple[Made, NDArray[np.uint8]]:
        image = write(tmp_path, name, data)
        out = tmp_path / "out"
        made = predict_file(color_model(), image, out, image.stem, Wanted(**wanted))
        path, *_ = made.files
        if path.suffix == ".tif":
            with rasterio.open(path) as opened:
                return made, opened.read(1)
        with PillowImage.open(path) as picture:
            return made, classes_of(np.asarray(picture))

    return run


def classes_of(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    classes = np.full(rgb.shape[:2], NO_DATA, np.uint8)
    for number, item in enumerate(KAGGLE_CLASSES):
        classes[(rgb == item.color).all(axis=-1)] = number
    return classes


def test_four_bands_of_16_bits(predict: Predict, truth: NDArray[np.uint8]) -> None:
    colors = colorize(truth, KAGGLE_CLASSES).astype(np.uint16) * 257
    near_infrared = np.full((*truth.shape, 1), 40_000, np.uint16)
    blue_first = np.concatenate([colors[..., ::-1], near_infrared], axis=-1)
    data = tiff(blue_first, photometric="MINISBLACK", **PLACE)
    made, found = predict("sentinel.tif", data, bands=(3, 2, 1))
    np.testing.assert_array_equal(found, truth)
    assert "16-bit scaled from 0..65,535" in made.notes
    made, found = predict("sentinel.tif", data)
    assert (found != truth).any()
    assert any("as the file does not say which are" in note for note in made.notes)


def test_floats_with_gaps(predict: Predict, truth: NDArray[np.uint8]) -> None:
    colors = colorize(truth, KAGGLE_CLASSES).astype(np.float32) / 255
    colors[5:9, 10:30] = np.nan
    made, found = predict("float.tif", tiff(colors, **PLACE))
    expected = truth.copy()
    expected[5:9, 10:30] = NO_DATA
    np.testing.assert_array_equal(found, expected)
    assert sum(made.shares.values()) == pytest.approx(1)


def test_a_palette(predict: Predict, truth: NDArray[np.uint8]) -> None:
    picture = PillowImage.fromarray(truth, "P")
    table = [value for item in KAGGLE_CLASSES for value in item.color]
    picture.putpalette(table)
    _, found = predict("palette.png", encode(picture))
    np.testing.assert_array_equal(found, truth)


def test_red_green_blue_and_alpha(predict: Predict, truth: NDArray[np.uint8]) -> None:
    alpha = np.full((*truth.shape, 1), 255, np.uint8)
    alpha[:7] = 0
    rgba = np.concatenate([colorize(truth, KAGGLE_CLASSES), alpha], axis=-1)
    _, found = predict("alpha.png", encode(rgba))
    np.testing.assert_array_equal(found[7:], truth[7:])
    assert (found[:7] == NO_DATA).all()


def test_a_phone_held_upright(predict: Predict) -> None:
    halves = np.zeros((48, 64), np.uint8)
    halves[:, 32:] = 4
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    colors = colorize(halves, KAGGLE_CLASSES)
    data = encode(colors, "JPEG", exif=exif, quality=100, subsampling=0)
    made, found = predict("phone.jpg", data)
    np.testing.assert_array_equal(found, np.rot90(halves, -1))
    assert (made.height, made.width) == (64, 48)
    assert any("turned upright" in note for note in made.notes)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda rgb: tiff(rgb[..., :2]), "2 bands, of which neither is alpha"),
        (lambda rgb: tiff(rgb, **PLACE)[:-400], "cut off after"),
        (lambda rgb: tiff(rgb.astype(np.complex64)), "complex numbers"),
        (lambda _: b"", "the file is empty"),
    ],
)
def test_what_is_no_usable_image_is_one_sentence(
    predict: Predict,
    truth: NDArray[np.uint8],
    tmp_path: Path,
    make: Callable[[NDArray[np.uint8]], bytes],
    sentence: str,
) -> None:
    data = make(colorize(truth, KAGGLE_CLASSES))
    with pytest.raises(ImageError, match=sentence) as caught:
        predict("bad.tif", data)
    assert str(caught.value).startswith("bad.tif: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings(KERAS_COPY_WARNING)
def test_tiles_cut_from_a_scene_agree_with_its_mask_away_from_their_rims(
    tmp_path: Path,
) -> None:
    model = load_model("default")
    scene = SCENES_DIR / "south_asia.tif"
    predict_file(model, scene, tmp_path, "scene", Wanted())
    with rasterio.open(tmp_path / "scene_mask.tif") as data:
        whole = data.read(1)
    with rasterio.open(scene) as data:
        rgb = np.moveaxis(data.read(), 0, -1)
        grid, crs = data.transform, data.crs
    field = model.record.receptive_field
    multiple = model.config.size_multiple
    inner = slice(field, -field)
    for top, left in ((multiple * 5, multiple * 9), (multiple * 20, multiple * 31)):
        place = rasterio.Affine(
            grid.a, 0, grid.c + left * grid.a, 0, grid.e, grid.f + top * grid.e
        )
        part = slice(top, top + 192), slice(left, left + 224)
        image = write(tmp_path, "tile.tif", tiff(rgb[part], crs=crs, transform=place))
        predict_file(model, image, tmp_path, "tile", Wanted())
        with rasterio.open(tmp_path / "tile_mask.tif") as data:
            assert (data.crs, data.transform) == (crs, place)
            found = data.read(1)
        agreed = (found == whole[part])[inner, inner]
        assert agreed.size > 4000
        assert np.mean(agreed) > 0.9999  # two equally probable classes may change
