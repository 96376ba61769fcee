"""What the studio shows and what it hands out, without any network."""

import io
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from pyproj import CRS

from terrainlib.data.formats.categories import read_categories
from terrainlib.data.formats.raster import Georeference
from terrainlib.data.imagery import Image, read_image
from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA, color_table, colorize
from terrainlib.errors import ImageError
from terrainlib.mask.cleaning import PostProcessing
from terrainlib.mask.confidence import confidence_picture
from terrainlib.mask.gap import Gap
from terrainlib.mask.pack.pack import PackTarget
from terrainlib.mask.rasters.png import ClassPngSink, SoftPngSink, encode_png
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.result import KeptProbabilities, Prediction
from terrainlib.mask.vectors.polygons import SmallestArea
from terrainlib.ui import cached
from terrainlib.ui.studio import downloads, masks
from terrainlib.ui.studio.downloads import (
    describe,
    pack_download,
    picture_downloads,
    raster_downloads,
    vector_downloads,
)
from terrainlib.ui.studio.live import (
    PREVIEW_PX,
    ViewSettings,
    class_layer,
    confidence_layer,
    view_pictures,
)
from terrainlib.ui.studio.masks import MadeMask, PictureFile, WorkingScale, clean_mask
from terrainlib.ui.studio.result import cleaning_in_words
from tests.synthetic import terrain

SIZE = 40
UTM = Georeference(
    CRS.from_epsg(32633).to_wkt(), (10.0, 0.0, 500000.0, 0.0, -10.0, 5200000.0), None
)


def opened(data: bytes) -> np.ndarray:
    return np.array(PillowImage.open(io.BytesIO(data)))


def encode_height(metres: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", metres)
    assert done
    return bytes(data)


@pytest.fixture(autouse=True)
def _no_results_of_others():
    cached.results.clear()


@pytest.fixture
def picture() -> PictureFile:
    return PictureFile("land.png", "key", encode_png(terrain(SIZE, 3)[0]))


@pytest.fixture
def made(picture: PictureFile) -> MadeMask:
    """A mask with soft borders, and a corner without data; neither cleaned."""
    index = terrain(SIZE, 3)[1].copy()
    index[:8, :8] = NO_DATA
    soft = cv2.blur(colorize(index, KAGGLE_CLASSES), (3, 3))
    soft[:8, :8] = 0
    rng = np.random.default_rng(3)
    shares = rng.dirichlet(np.ones(7), (SIZE, SIZE)).astype(np.float16)
    margins = rng.integers(0, 256, (SIZE, SIZE)).astype(np.uint8)
    margins[:8, :8] = 0
    image = Image(np.zeros((SIZE, SIZE, 3), np.float32), index != NO_DATA, name="land")
    return MadeMask(
        picture=picture,
        predicted=index,
        soft=soft,
        margins=margins,
        probabilities=KeptProbabilities(shares, (SIZE, SIZE)),
        classes=KAGGLE_CLASSES,
        notes=(),
        georeference=None,
        height=None,
        gap=Gap("unknown", ()),
        validation=None,
        scale=WorkingScale("key", 1.0, None, 1.0),
        pictures=view_pictures("key", image, soft, KAGGLE_CLASSES),
    )


@pytest.fixture
def cleaned(made: MadeMask) -> MadeMask:
    """The same, cleaned."""
    return clean_mask(made, PostProcessing(3, 12, 8))


@pytest.fixture
def placed(cleaned: MadeMask) -> MadeMask:
    """The cleaned mask of an image that lies somewhere."""
    return replace(cleaned, georeference=UTM)


def test_areas_leave_out_pixels_without_data(made: MadeMask):
    counted = made.predicted[made.predicted != NO_DATA]

    rows = made.areas.rows

    assert sum(row.share for row in rows) == pytest.approx(1)
    assert rows[0].share == pytest.approx((counted == 0).mean())
    assert rows[0].pixels == (counted == 0).sum()


def test_cleaning_changes_the_class_mask_its_areas_and_its_layer(
    made: MadeMask, cleaned: MadeMask
):
    expected = PostProcessing(3, 12, 8).apply(made.predicted)

    np.testing.assert_array_equal(made.index, made.predicted)
    np.testing.assert_array_equal(cleaned.index, expected)
    known = expected != NO_DATA
    changed = (expected != made.predicted)[known].mean()
    assert cleaned.changed == pytest.approx(changed)
    assert changed > 0
    assert f"{changed:.2%}" in cleaning_in_words(cleaned)
    assert cleaning_in_words(made).startswith("Off.")
    forest = cleaned.areas.rows[2]
    assert forest.pixels == (expected == 2).sum()
    assert cleaned.layer.id != made.layer.id


def test_a_cleaned_mask_is_kept(made: MadeMask):
    settings = PostProcessing(3)

    assert clean_mask(made, settings) is clean_mask(made, settings)


def test_areas_are_on_the_ground_where_the_image_has_a_place(placed: MadeMask):
    rows = placed.areas.rows

    for row in rows:
        assert row.square_metres == pytest.approx(100 * row.pixels, rel=0.01)


@pytest.mark.parametrize("method", ["laplacian", "unsharp"])
def test_the_sharpened_download_is_the_librarys_sharpening(made: MadeMask, method: str):
    view = ViewSettings(1.35, method, 1.7)

    expected = sharpen(made.soft, 1.35, method=method, radius=1.7)

    given = opened(downloads.sharpened_png(made, view))
    np.testing.assert_array_equal(given, expected)


def test_snapping_gives_class_colours_and_keeps_no_data_black(made: MadeMask):
    snapped = downloads.sharpened(made, ViewSettings(1.0, snap=True))

    found = np.unique(snapped.reshape(-1, 3), axis=0).tolist()
    allowed = [*color_table(KAGGLE_CLASSES).tolist(), [0, 0, 0]]
    assert all(color in allowed for color in found)
    assert (snapped[:8, :8] == 0).all()
    assert (snapped[10:, 10:].sum(axis=2) > 0).all()


def test_the_class_mask_is_cleaned_and_the_soft_mask_is_as_it_was(cleaned: MadeMask):
    np.testing.assert_array_equal(
        opened(downloads.picture(cleaned, ClassPngSink)),
        colorize(cleaned.index, KAGGLE_CLASSES),
    )
    given = opened(downloads.picture(cleaned, SoftPngSink))
    np.testing.assert_array_equal(given, cleaned.soft)


@pytest.mark.parametrize("opacity", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shown", ["mask", "classes", "confidence"])
def test_the_overlay_is_what_the_view_shows(
    cleaned: MadeMask, opacity: float, shown: str
):
    view = ViewSettings(0.5, opacity=opacity, shown=shown)
    rgb = read_image(cleaned.picture.source).rgb * 255
    over = {
        "mask": sharpen(cleaned.soft, 0.5),
        "classes": colorize(cleaned.index, KAGGLE_CLASSES),
        "confidence": confidence_picture(cleaned.margins, cleaned.predicted),
    }[shown].astype(float)

    pixels = opened(downloads.overlay_png(cleaned, view)).astype(float)

    assert np.abs(pixels - (rgb + opacity * (over - rgb))).max() <= 1


def test_rasters_lie_on_the_grid_of_the_image(placed: MadeMask, tmp_path: Path):
    import rasterio

    for item in raster_downloads(placed, ViewSettings(1.5)):
        (tmp_path / item.file_name).write_bytes(item.make())
    names = read_categories(tmp_path / "land_mask.tif")  # as QGIS looks for them
    assert [names[n].name for n in names] == [item.name for item in placed.classes]
    rasters = {path.name: rasterio.open(path) for path in tmp_path.glob("*.tif")}

    assert rasters.keys() == {
        "land_mask.tif",
        "land_soft.tif",
        "land_probabilities.tif",
        "land_sharpened.tif",
    }
    for raster in rasters.values():
        assert raster.crs.to_epsg() == 32633
        assert tuple(raster.transform)[:6] == UTM.transform
    np.testing.assert_array_equal(rasters["land_mask.tif"].read(1), placed.index)
    soft = np.moveaxis(rasters["land_soft.tif"].read(), 0, -1)
    np.testing.assert_array_equal(soft, placed.soft)
    sharp = np.moveaxis(rasters["land_sharpened.tif"].read(), 0, -1)
    np.testing.assert_array_equal(sharp, sharpen(placed.soft, 1.5))
    weights = rasters["land_probabilities.tif"].read()
    known = placed.predicted != NO_DATA
    assert (weights.sum(axis=0) == np.where(known, 255, 0)).all()
    np.testing.assert_array_equal(
        np.moveaxis(weights, 0, -1),
        placed.probabilities.weights(placed.predicted),
    )


def test_polygons_are_those_of_the_cleaned_mask(placed: MadeMask, tmp_path: Path):
    package, json = vector_downloads(placed, SmallestArea(0))
    (tmp_path / "land.gpkg").write_bytes(package.make())

    with closing(sqlite3.connect(tmp_path / "land.gpkg")) as file:
        query = "SELECT class, sum(area_m2) FROM terrain GROUP BY class"
        areas = dict(file.execute(query).fetchall())

    for row in placed.areas.rows:
        assert areas.get(row.name, 0) == pytest.approx(row.square_metres, rel=1e-3)
    assert b'"coordinates"' in json.make()


def test_polygons_below_the_smallest_area_are_merged(placed: MadeMask):
    whole, merged = (
        vector_downloads(placed, SmallestArea(value, "m2"))[1].make().count(b'"share"')
        for value in (0, 5000)
    )

    assert merged < whole


def test_geojson_is_barred_for_a_grid_without_a_reference_system(cleaned: MadeMask):
    made = replace(cleaned, georeference=replace(UTM, crs_wkt=""))

    package, json = vector_downloads(made, SmallestArea())

    assert not package.barred
    assert package.make()[:6] == b"SQLite"
    assert "coordinate system of this image is not known" in json.barred
    with pytest.raises(ImageError, match="no coordinate reference system"):
        json.make()


def test_pictures_are_on_offer_for_every_image(made: MadeMask):
    offered = picture_downloads(made, ViewSettings())
    assert [item.file_name for item in offered] == [
        "land_mask.png",
        "land_soft.png",
        "land_sharpened.png",
        "land_overlay.png",
    ]
    assert "not cleaned" in offered[0].help


def test_the_pack_holds_the_weights_the_cleaned_mask_and_the_heights(
    cleaned: MadeMask,
):
    height = PictureFile("land_h.png", "high", encode_height(terrain(SIZE, 3)[2]))
    download = pack_download(replace(cleaned, height=height), PackTarget())

    with zipfile.ZipFile(io.BytesIO(download.make())) as archive:
        names = archive.namelist()
        colors = opened(archive.read("class_colors.png"))

    assert download.file_name == "land_pack.zip"
    assert any("height" in name for name in names)
    known = cleaned.index != NO_DATA
    expected = colorize(cleaned.index, KAGGLE_CLASSES)
    np.testing.assert_array_equal(colors[known], expected[known])


def test_pixels_without_data_are_transparent_in_the_view(made: MadeMask):
    pixels = opened(made.pictures.mask)

    assert (pixels[:8, :8, 3] == 0).all()
    assert (pixels[8:, :, 3] == 255).all()
    np.testing.assert_array_equal(pixels[8:, :, :3], made.soft[8:])


def test_the_layers_of_the_view_are_the_class_mask_and_the_confidence(made: MadeMask):
    classes = class_layer("a", made.predicted, KAGGLE_CLASSES)
    confidence = confidence_layer("a", made.margins, made.predicted)

    expected = {
        classes: colorize(made.predicted, KAGGLE_CLASSES),
        confidence: confidence_picture(made.margins, made.predicted),
    }
    for layer, picture in expected.items():
        pixels = opened(layer.png)
        np.testing.assert_array_equal(pixels[8:, :, :3], picture[8:])
        assert (pixels[:8, :8, 3] == 0).all()
    assert (classes.name, confidence.name) == ("classes", "confidence")


def test_a_large_image_is_shown_small_and_the_note_says_so():
    rgb = np.zeros((PREVIEW_PX // 2, PREVIEW_PX * 2, 3), np.float32)
    soft = np.zeros(rgb.shape, np.uint8)

    pictures = view_pictures("key", Image.from_array(rgb), soft, KAGGLE_CLASSES)
    layer = class_layer("key", soft[..., 0], KAGGLE_CLASSES)

    assert opened(pictures.mask).shape == (PREVIEW_PX // 4, PREVIEW_PX, 3)
    assert opened(layer.png).shape == (PREVIEW_PX // 4, PREVIEW_PX, 3)
    assert pictures.note.startswith("Preview at 1024 × 256 px of 2048 × 512 px")


def test_settings_are_described_in_words():
    assert describe(ViewSettings(1.5)) == "Laplacian, amount 1.50"
    assert describe(ViewSettings(0.5, "unsharp", 2.0, snap=True)) == (
        "unsharp mask of 2.0 px, amount 0.50, snapped to classes"
    )


def test_the_key_of_a_mask_changes_with_image_height_model_and_scale(
    picture: PictureFile,
):
    renamed = PictureFile("hill.png", picture.key, picture.source)
    other = PictureFile("land.png", "other", b"")
    keys = {
        masks.mask_key(picture, None, "a"),
        masks.mask_key(other, None, "a"),
        masks.mask_key(renamed, None, "a"),
        masks.mask_key(picture, other, "a"),
        masks.mask_key(picture, None, "b"),
        masks.mask_key(picture, None, "a", 0.5),
    }

    assert len(keys) == 6


def test_predictions_and_made_masks_agree_on_rounding():
    soft = np.linspace(0, 1, SIZE * SIZE * 3, dtype=np.float32).reshape(SIZE, SIZE, 3)
    valid = np.ones((SIZE, SIZE), bool)
    one = np.zeros((SIZE, SIZE, 7), np.float32)

    prediction = Prediction(KAGGLE_CLASSES, valid, one, soft)

    np.testing.assert_array_equal(
        prediction.soft_bytes(), np.rint(soft * 255).astype(np.uint8)
    )
