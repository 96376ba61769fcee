"""Everything that is wanted of an image: one pass gives what each part alone gives."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
import rasterio
from PIL import Image as PillowImage
from rasterio.shutil import copy
from rasterio.windows import Window

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.imagery import read_image
from terrainlib.data.palette import KAGGLE_CLASSES, colorize
from terrainlib.data.sample import SCENES_DIR
from terrainlib.errors import ConfigError, ImageError, InputError
from terrainlib.mask.cleaning import PostProcessing
from terrainlib.mask.ground.equalarea import mean_area
from terrainlib.mask.pack.pack import PackTarget
from terrainlib.mask.prediction import predict_image
from terrainlib.mask.products import task
from terrainlib.mask.products.making import file_names, predict_file
from terrainlib.mask.products.products import (
    CHOICES,
    FORMATS,
    PRODUCTS,
    folder_images,
    products_of,
)
from terrainlib.mask.products.records import Made, Wanted, shares_csv
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.vectors import polygons as vectors
from terrainlib.mask.vectors.polygons import SmallestArea
from terrainlib.model.modelfile import TerrainModel
from tests.imagefiles import encode, tiff, write
from tests.synthetic import terrain

GRID = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
EVERYTHING = Wanted(
    soft=True,
    probabilities=True,
    sharpen=1.5,
    vectors=True,
    smallest=SmallestArea(4),
    pack=PackTarget(),
)


def pixels(path: Path) -> Any:
    with PillowImage.open(path) as opened:
        return np.asarray(opened)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture(scope="module")
def europe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a part of the sample's scene, on its own grid."""
    with rasterio.open(SCENES_DIR / "europe.tif") as scene:
        window = Window(200, 180, 150, 90)
        data = np.moveaxis(scene.read(window=window), 0, -1)
        a, b, c, d, e, f = tuple(scene.transform)[:6]
        transform = rasterio.Affine(a, b, c + 200 * a, d, e, f + 180 * e)
        made = tiff(data, crs=scene.crs, transform=transform)
    return write(tmp_path_factory.mktemp("scenes"), "part.tif", made)


def test_a_picture_with_a_world_file_gives_files_with_its_place(
    random_models: dict[str, TerrainModel], painted_png: Path, tmp_path: Path
) -> None:
    world = "10\n0\n0\n-10\n500005\n4999995\n"
    painted_png.with_suffix(".pgw").write_text(world)
    wanted, out = Wanted(soft=True, sharpen=1.0), tmp_path / "out"
    made = predict_file(random_models["fast"], painted_png, out, "land", wanted)
    names = file_names("land", wanted, placed=True, system=False)
    assert sorted(path.name for path in made.files) == listing(out) == sorted(names)
    for name in ("land_soft.pgw", "land_sharpened.pgw"):
        assert (out / name).read_text() == world
    with rasterio.open(out / "land_mask.tif") as mask:
        assert mask.transform == GRID
        assert mask.crs is None


@pytest.fixture
def painted_png(tmp_path: Path) -> Path:
    _, mask, _ = terrain(40, seed=3)
    return write(tmp_path, "land.png", encode(colorize(mask, KAGGLE_CLASSES)))


@pytest.fixture
def tall(tmp_path: Path) -> Path:
    """Return an image of three rows of tiles."""
    rng = np.random.default_rng(4)
    rgb = rng.integers(0, 256, (2500, 16, 3), np.uint8)
    return write(tmp_path, "tall.tif", tiff(rgb, crs="EPSG:32633", transform=GRID))


def test_everything_that_is_wanted_is_what_each_part_alone_gives(
    random_models: dict[str, TerrainModel], europe: Path, tmp_path: Path
) -> None:
    model, out = random_models["fast"], tmp_path / "out"
    made = predict_file(model, europe, out, "part", EVERYTHING)
    expected = predict_image(model, read_image(europe))
    names = file_names("part", EVERYTHING, placed=True)
    assert [path.name for path in made.files] == list(names)
    assert listing(out) == sorted(names)
    assert not made.missing
    with rasterio.open(europe) as scene, rasterio.open(out / "part_mask.tif") as mask:
        assert (mask.crs, mask.transform) == (scene.crs, scene.transform)
        assert (mask.height, mask.width, mask.nodata) == (90, 150, 255)
        assert mask.colormap(1)[2][:3] == KAGGLE_CLASSES[2].color
        assert mask.tags()["CLASS_2"] == "Forest"
        np.testing.assert_array_equal(mask.read(1), expected.classes)
    soft = pixels(out / "part_soft.png")
    assert np.abs(soft - 255 * expected.soft).max() < 0.51
    sharpened = pixels(out / "part_sharpened.png")
    np.testing.assert_array_equal(sharpened, sharpen(soft, 1.5))
    with rasterio.open(out / "part_soft.tif") as data:
        assert data.transform == mask.transform
        np.testing.assert_array_equal(np.moveaxis(data.read(), 0, -1), soft)
    with rasterio.open(out / "part_probabilities.tif") as data:
        assert data.descriptions == tuple(item.name for item in KAGGLE_CLASSES)
        weights = np.moveaxis(data.read(), 0, -1)
    assert (weights.sum(axis=-1) == 255).all()
    assert np.abs(weights - 255 * expected.probabilities).max() < 1


def test_polygons_and_pack_come_of_the_mask_that_is_written(
    random_models: dict[str, TerrainModel], europe: Path, tmp_path: Path
) -> None:
    made = predict_file(random_models["fast"], europe, tmp_path, "part", EVERYTHING)
    with rasterio.open(tmp_path / "part_mask.tif") as data:
        mask, ground = data.read(1), data.crs.to_wkt()
    facts = pyogrio.read_info(tmp_path / "part.gpkg", layer="terrain")
    assert facts["crs"] == "EPSG:3035"
    _, _, _, values = pyogrio.raw.read(tmp_path / "part.gpkg", layer="terrain")
    fields = dict(zip(facts["fields"].tolist(), values, strict=True))
    place = Georeference(ground, tuple(data.transform)[:6], None)
    area = mean_area(place, *mask.shape)
    assert area is not None
    total = mask.size * area
    assert fields["area_m2"].sum() == pytest.approx(total, rel=1e-6)
    assert made.areas["square_metres"] == pytest.approx(total, rel=1e-6)
    shown = pyogrio.read_info(tmp_path / "part.geojson")
    assert shown["crs"] == "EPSG:4326"
    assert shown["features"] == facts["features"]
    with zipfile.ZipFile(tmp_path / "part_pack.zip") as pack:
        index = pack.read("class_index.png")
        with PillowImage.open(io.BytesIO(index)) as opened:
            np.testing.assert_array_equal(np.asarray(opened), mask)
        assert "weights/2_Forest.png" in pack.namelist()


def test_what_is_told_of_an_image_is_what_its_mask_shows(
    random_models: dict[str, TerrainModel], europe: Path, tmp_path: Path
) -> None:
    made = predict_file(random_models["fast"], europe, tmp_path, "part", Wanted())
    with rasterio.open(tmp_path / "part_mask.tif") as data:
        mask = data.read(1)
    for number, item in enumerate(KAGGLE_CLASSES):
        assert made.shares[item.name] == np.mean(mask == number)
    assert (made.height, made.width, made.rows) == (90, 150, 90)
    assert (made.name, made.stopped) == ("part.tif", False)
    assert made.gap["level"] == "unknown"
    assert 0 < made.unsure_share < 1
    assert 0 < made.network_seconds < made.seconds
    assert made.megapixels_per_second == pytest.approx(0.0135 / made.seconds)
    plain = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert Made.from_dict(plain) == made
    former = {"largest_difference": 4.2e-7, "windows": 8}
    assert Made.from_dict(plain | {"seams": former}) == made


def test_a_picture_gives_pictures_and_polygons_in_pixels(
    color_model: Callable[..., TerrainModel], painted_png: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    wanted = Wanted(soft=True, sharpen=1.0, vectors=True, pack=PackTarget("unity", 33))
    made = predict_file(color_model(), painted_png, out, "land", wanted)
    names = file_names("land", wanted, placed=False)
    assert [path.name for path in made.files] == list(names)
    assert listing(out) == sorted(names)
    np.testing.assert_array_equal(pixels(out / "land_mask.png"), pixels(painted_png))
    assert "area_px" in pyogrio.read_info(out / "land.gpkg", layer="terrain")["fields"]
    assert made.areas["square_metres"] is None


def test_bytes_and_heights_will_do(
    color_model: Callable[..., TerrainModel], tmp_path: Path
) -> None:
    _, mask, metres = terrain(40, seed=3)
    image, relief = encode(colorize(mask, KAGGLE_CLASSES)), encode(metres)
    model, wanted = color_model(height=True), Wanted(pack=PackTarget())
    made = predict_file(
        model, image, tmp_path, "up", wanted, name="upload.png", heights=relief
    )
    assert made.name == "upload.png"
    with zipfile.ZipFile(tmp_path / "up_pack.zip") as pack:
        assert "height_16bit.png" in pack.namelist()
    small = encode(metres[:32, :32])
    with pytest.raises(ImageError, match="heights are 32 x 32 and the image is 40 x"):
        predict_file(model, image, tmp_path, "b", wanted, heights=small)
    with pytest.raises(InputError, match="needs the heights"):
        predict_file(model, image, tmp_path, "c", wanted)
    assert listing(tmp_path) == ["up_mask.png", "up_pack.zip"]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Wanted(probabilities=True), "has no place on the Earth"),
        (Wanted(vectors=True, smallest=SmallestArea(9, "m2")), "Give it in pixels"),
        (Wanted(bands=(1, 2, 9)), "there is no band 9"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(
    color_model: Callable[..., TerrainModel],
    tmp_path: Path,
    wanted: Wanted,
    sentence: str,
) -> None:
    rgb, _, _ = terrain(300, seed=1)
    image = write(tmp_path, "land.png", encode(rgb))
    with pytest.raises(InputError, match=sentence):
        predict_file(color_model(), image, tmp_path / "out", "land", wanted)
    assert listing(tmp_path) == ["land.png"]


def test_cleaning_changes_the_class_mask_and_what_is_made_of_it(
    random_models: dict[str, TerrainModel], europe: Path, tmp_path: Path
) -> None:
    model, cleaning = random_models["fast"], PostProcessing(3, 12, 30)
    plain, clean = tmp_path / "plain", tmp_path / "clean"
    predict_file(model, europe, plain, "part", EVERYTHING)
    wanted = replace(EVERYTHING, cleaning=cleaning)
    made = predict_file(model, europe, clean, "part", wanted)
    with rasterio.open(plain / "part_mask.tif") as data:
        expected = cleaning.apply(data.read(1))
    with rasterio.open(clean / "part_mask.tif") as data:
        mask = data.read(1)
        assert data.tags()["CLASS_2"] == "Forest"
    np.testing.assert_array_equal(mask, expected)
    for name in ("soft.png", "soft.tif", "sharpened.tif", "probabilities.tif"):
        same = [(folder / f"part_{name}").read_bytes() for folder in (plain, clean)]
        assert same[0] == same[1]
    facts = pyogrio.read_info(clean / "part.gpkg", layer="terrain")
    _, _, shapes, values = pyogrio.raw.read(clean / "part.gpkg", layer="terrain")
    found = dict(zip(facts["fields"].tolist(), values, strict=True))
    place = Georeference(facts["crs"], tuple(data.transform)[:6], None)
    own = vectors.trace_mask(
        expected, model.classes, place, smallest=EVERYTHING.smallest
    )
    assert len(shapes) == len(own.index)
    assert found["share"].sum() == pytest.approx(1)
    with zipfile.ZipFile(clean / "part_pack.zip") as archive:
        colors = np.asarray(PillowImage.open(archive.open("class_colors.png")))
    np.testing.assert_array_equal(colors, colorize(expected, model.classes))
    counts = {row["name"]: row["pixels"] for row in made.areas["classes"]}
    for number, item in enumerate(model.classes):
        assert counts[item.name] == (expected == number).sum()
        assert made.shares[item.name] == pytest.approx(np.mean(expected == number))


def test_a_stopped_prediction_cleans_the_finished_rows(
    random_models: dict[str, TerrainModel], tall: Path, tmp_path: Path
) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    model, cleaning = random_models["fast"], PostProcessing(sieve_px=40)
    wanted = Wanted(cleaning=cleaning)
    made = predict_file(model, tall, tmp_path, "tall", wanted, should_stop=stop)
    assert 1000 < made.rows < 2500
    expected = predict_image(model, read_image(tall)).classes.copy()
    expected[made.rows :] = 255
    with rasterio.open(tmp_path / "tall_mask.tif") as data:
        assert data.tags()["ROWS_DONE"] == str(made.rows)
        np.testing.assert_array_equal(data.read(1), cleaning.apply(expected))


@pytest.mark.parametrize(
    "case",
    [
        (
            "MAX_CLEANED_MEGAPIXELS",
            Wanted(cleaning=PostProcessing(3)),
            "part.tif: 150 x 90 px; the limit for cleaning is 0 megapixels. Leave it "
            "out, or cut the image into parts.",
        ),
        (
            "MAX_MEGAPIXELS",
            Wanted(vectors=True),
            "part.tif: 150 x 90 px; the limit for polygons is 0 megapixels. Leave them "
            "out, or cut the image into parts.",
        ),
    ],
)
def test_what_is_too_large_is_one_sentence_before_anything_is_written(
    random_models: dict[str, TerrainModel],
    europe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, Wanted, str],
) -> None:
    limit, wanted, sentence = case
    monkeypatch.setattr(task, limit, 0)
    out = tmp_path / "out"
    with pytest.raises(ImageError) as caught:
        predict_file(random_models["fast"], europe, out, "part", wanted)
    assert str(caught.value) == sentence
    assert not out.exists()


def test_soft_masks_too_large_for_png_are_geotiffs_and_the_notes_say_so(
    random_models: dict[str, TerrainModel],
    europe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task, "MAX_PNG_MEGAPIXELS", 0)
    wanted = Wanted(soft=True, sharpen=1.0)
    made = predict_file(random_models["fast"], europe, tmp_path, "part", wanted)
    for name in ("soft", "sharpened"):
        assert f"part_{name}.tif" in listing(tmp_path)
        assert f"part_{name}.png" not in listing(tmp_path)
        note = f"the {name} mask is written as GeoTIFF only: too large for PNG"
        assert note in made.notes


def test_every_product_has_an_option_of_what_is_wanted_and_a_format() -> None:
    names = {item.name for item in fields(Wanted)}
    assert {product.field for product in CHOICES} <= names
    endings = [file.ending for product in PRODUCTS for file in product.files]
    assert len(set(endings)) == len(endings)
    for product in PRODUCTS:
        for file in product.files:
            assert file.suffix in FORMATS or not file.about
    assert products_of(Wanted()) == [PRODUCTS[0]]
    assert products_of(EVERYTHING) == list(PRODUCTS)


@pytest.mark.parametrize("stem", ["", "../up", "a/b"])
def test_names_stay_in_their_folder(
    color_model: Callable[..., TerrainModel],
    painted_png: Path,
    tmp_path: Path,
    stem: str,
) -> None:
    with pytest.raises(ConfigError, match="cannot begin with"):
        predict_file(color_model(), painted_png, tmp_path / "out", stem, Wanted())
    assert listing(tmp_path) == ["land.png"]


def test_an_input_is_never_written_over(
    color_model: Callable[..., TerrainModel], painted_png: Path
) -> None:
    image = painted_png.rename(painted_png.with_name("land_mask.png"))
    before = image.read_bytes()
    with pytest.raises(InputError, match=r"would replace the input land_mask\.png"):
        predict_file(color_model(), image, image.parent, "land", Wanted())
    assert image.read_bytes() == before


def test_a_stopped_prediction_keeps_the_finished_rows(
    random_models: dict[str, TerrainModel], tall: Path, tmp_path: Path
) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    model, out = random_models["fast"], tmp_path / "out"
    made = predict_file(model, tall, out, "tall", EVERYTHING, should_stop=stop)
    assert made.stopped
    assert 1000 < made.rows < 2500
    soft = ["_sharpened.png", "_sharpened.tif", "_soft.png", "_soft.tif"]
    masks = ["_mask.tif", "_mask.tif.aux.xml", "_probabilities.tif", *soft]
    assert listing(out) == sorted(f"tall{end}" for end in masks)
    expected = predict_image(model, read_image(tall)).classes
    with rasterio.open(out / "tall_mask.tif") as data:
        mask = data.read(1)
        assert data.tags()["ROWS_DONE"] == str(made.rows)
    np.testing.assert_array_equal(mask[: made.rows], expected[: made.rows])
    assert (mask[made.rows :] == 255).all()
    known = np.mean(mask[: made.rows] == 2)
    assert made.shares["Forest"] == pytest.approx(known)


def test_gdal_knows_the_values_of_the_mask_by_the_names_of_the_classes(
    random_models: dict[str, TerrainModel], europe: Path, tmp_path: Path
) -> None:
    model = random_models["fast"]
    predict_file(model, europe, tmp_path, "part", Wanted())
    copied = tmp_path / "copied.tif"  # GDAL writes beside it what it has read
    # As other programs have it; terrainlib itself reads no files beside a file.
    with rasterio.Env(GDAL_PAM_ENABLED="YES", GDAL_DISABLE_READDIR_ON_OPEN="NO"):
        copy(tmp_path / "part_mask.tif", copied, driver="GTiff")
    tree = ElementTree.parse(f"{copied}.aux.xml")
    named = [item.text for item in tree.iter("Category")]
    assert named == [item.name for item in model.classes]


def test_a_prediction_stopped_before_its_first_rows_changes_nothing(
    random_models: dict[str, TerrainModel], tall: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write(out, "tall_mask.tif", b"older")
    made = predict_file(
        random_models["fast"], tall, out, "tall", EVERYTHING, should_stop=lambda: True
    )
    assert (made.stopped, made.rows, made.files) == (True, 0, ())
    assert listing(out) == ["tall_mask.tif"]
    assert (out / "tall_mask.tif").read_bytes() == b"older"


def test_asked_to_stop_after_the_mask_the_rest_is_left_out(
    color_model: Callable[..., TerrainModel], painted_png: Path, tmp_path: Path
) -> None:
    done: list[int] = []
    made = predict_file(
        color_model(),
        painted_png,
        tmp_path / "out",
        "land",
        Wanted(vectors=True, pack=PackTarget()),
        progress=lambda tiles, total: done.append(tiles == total),
        should_stop=lambda: any(done),
    )
    assert (made.stopped, made.rows) == (True, 40)
    assert listing(tmp_path / "out") == ["land_mask.png"]


def test_the_written_mask_is_that_of_one_pass(
    random_models: dict[str, TerrainModel], tall: Path, tmp_path: Path
) -> None:
    model = random_models["fast"]
    predict_file(model, tall, tmp_path, "tall", Wanted())
    whole = predict_image(model, read_image(tall), tiling="whole")
    with rasterio.open(tmp_path / "tall_mask.tif") as data:
        np.testing.assert_array_equal(data.read(1), whole.classes)


def test_what_cannot_be_made_of_the_mask_is_told_and_the_mask_is_kept(
    random_models: dict[str, TerrainModel],
    europe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vectors, "MAX_CORNERS", 10)
    wanted = Wanted(vectors=True, pack=PackTarget())
    made = predict_file(random_models["fast"], europe, tmp_path, "part", wanted)
    assert listing(tmp_path) == [
        "part_mask.tif",
        "part_mask.tif.aux.xml",
        "part_pack.zip",
    ]
    [sentence] = made.missing
    assert sentence.startswith("polygons could not be made: the outlines have")
    assert sentence in made.notes


def test_a_grid_without_a_reference_system_gives_no_geojson(
    random_models: dict[str, TerrainModel], tmp_path: Path
) -> None:
    rgb, _, _ = terrain(40, seed=2)
    image = write(tmp_path, "land.tif", tiff(rgb, transform=GRID))
    wanted = Wanted(vectors=True)
    made = predict_file(random_models["fast"], image, tmp_path, "land", wanted)
    assert listing(tmp_path) == [
        "land.gpkg",
        "land.tif",
        "land_mask.tif",
        "land_mask.tif.aux.xml",
    ]
    assert not made.missing
    assert any(note.startswith("no GeoJSON: ") for note in made.notes)


def test_an_image_without_any_data_gives_an_empty_mask_and_says_so(
    random_models: dict[str, TerrainModel], tmp_path: Path
) -> None:
    empty = np.full((20, 30, 3), np.nan, np.float32)
    image = write(tmp_path, "void.tif", tiff(empty, crs="EPSG:32633", transform=GRID))
    wanted = Wanted(vectors=True, pack=PackTarget(), soft=True)
    made = predict_file(random_models["fast"], image, tmp_path, "void", wanted)
    assert set(made.shares.values()) == {0.0}
    assert made.unsure_share == 0
    assert "no pixel has data, so that there is nothing to see" in made.notes
    assert [text.split(" could")[0] for text in made.missing] == ["the pack"]
    json.dumps(made.to_dict(), allow_nan=False)
    with rasterio.open(tmp_path / "void_mask.tif") as data:
        assert (data.read(1) == 255).all()


def test_what_is_wanted_survives_json() -> None:
    cleaned = Wanted(cleaning=PostProcessing(3, 4, 5))
    for wanted in (Wanted(), EVERYTHING, cleaned, Wanted(bands=(4, "nir"), scale=0.5)):
        assert Wanted.from_dict(json.loads(json.dumps(wanted.to_dict()))) == wanted
    assert Wanted.from_dict({"soft": True, "tiling": "blend"}) == Wanted(soft=True)
    assert Wanted().planes == frozenset()
    assert EVERYTHING.planes == {"soft", "weights"}


@pytest.mark.parametrize(
    "values",
    [
        {"sharpen": 10.1},
        {"sharpen": float("nan")},
        {"scale": 0},
        {"scale": "1"},
        {"bands": []},
        {"bands": [0, 1, 2]},
        {"bands": 3},
        {"soft": 1},
        {"smallest": {"value": -1}},
        {"smallest": None},
        {"pack": {"engine": "unity", "size_px": 12}},
        {"pack": "unity"},
        {"cleaning": {"median_px": 4}},
        {"cleaning": {"sieve_px": -1}},
        {"cleaning": {"fill": 3}},
        {"colour": True},
    ],
)
def test_what_is_wanted_is_refused_out_of_bounds(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Wanted.from_dict(values)


def test_the_table_of_a_batch_lists_results_and_failures_safely(
    color_model: Callable[..., TerrainModel], painted_png: Path, tmp_path: Path
) -> None:
    made = predict_file(
        color_model(), painted_png, tmp_path, "land", Wanted(), name="=land.png"
    )
    rows = list(
        csv.DictReader(
            io.StringIO(shares_csv([made], {"bad.png": "no picture."}).decode())
        )
    )
    assert [row["image"] for row in rows] == ["'=land.png", "bad.png"]
    assert [row["state"] for row in rows] == ["done", "failed"]
    shares = [float(rows[0][f"share_{item.name}"]) for item in KAGGLE_CLASSES]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert rows[1]["share_Water"] == ""
    assert rows[1]["problem"] == "no picture."


@pytest.mark.parametrize(
    ("names", "images"),
    [
        (["a.png", "a_mask.png", "a_soft.png", "A_mask.tif"], ["a.png"]),
        (["a.jpg", "a_mask.png", "a_mask_mask.png", "a_sharpened.png"], ["a.jpg"]),
        (["a.jpg", "a.png", "a-2_mask.png"], ["a.jpg", "a.png"]),
        (["1_sat.jpg", "2_mask.png"], ["1_sat.jpg", "2_mask.png"]),
        (["_mask.png", "x.png"], ["_mask.png", "x.png"]),
        (["b10.png", "b9.png", "._b9.png", "notes.txt"], ["b9.png", "b10.png"]),
    ],
)
def test_results_in_a_folder_are_no_images_to_predict(
    tmp_path: Path, names: list[str], images: list[str]
) -> None:
    for name in names:
        (tmp_path / name).touch()
    found = folder_images(tmp_path)
    assert found.heights == {}
    assert [path.name for path in found.images] == images
    hidden = [name for name in names if name.startswith(".") or name.endswith(".txt")]
    assert len(found.results) == len(names) - len(images) - len(hidden)


def test_heights_beside_an_image_belong_to_it_and_are_no_images(tmp_path: Path) -> None:
    heights = {
        "a.png": "a_height.tif",
        "B.tif": "b_DEM.tif",
        "c_t.png": "c_h.png",
        "d_sat.jpg": "d-dsm.tif",
        "e.png": "e_h.png",
    }
    alone = ["north_dem.tif", "x_h.png"]
    for name in (*heights, *heights.values(), *alone):
        (tmp_path / name).touch()

    found = folder_images(tmp_path)

    assert {i.name: h.name for i, h in found.heights.items()} == heights
    assert sorted(p.name for p in found.images) == sorted([*heights, *alone])
