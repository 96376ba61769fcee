"""Labelled scenes become data sets."""

import csv
import json

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer
from rasterio import Affine

from terrainlib.data.dataset import open_dataset, read_pair
from terrainlib.data.labels.patches import PatchOptions, make_patches, tile_windows
from terrainlib.errors import (
    ConfigError,
    DatasetError,
    ImageError,
    InputError,
    StoppedError,
)
from tests.imagefiles import tiff, write
from tests.labelled import (
    GRID,
    UTM,
    at,
    class_raster,
    features,
    geojson,
    ground,
    scene,
    square,
)

HALVES = np.repeat(np.array([[10], [70]], np.uint16), 32, axis=0).repeat(64, axis=1)


def labelled(folder, size=64):
    """Return all masks of a data set laid back into one of the scene's size."""
    dataset = open_dataset(folder)
    whole = np.full((size, size), 255, np.uint8)
    with (folder / "patches.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            mask = read_pair(dataset, dataset.pair(row["id"])).mask
            top, left = int(row["row"]), int(row["column"])
            whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return whole, [item.name for item in dataset.classes]


def made(tmp_path, labels, *, image=None, size=32, **options):
    image = image or scene(tmp_path)
    out = tmp_path / "set"
    make_patches([image], labels, out, PatchOptions(size=size, **options))
    return labelled(out)


def test_every_pixel_of_a_class_raster_is_in_one_patch_and_all_bands_are_kept(
    tmp_path,
):
    image, out = scene(tmp_path), tmp_path / "set"
    codes = HALVES.copy()
    codes[:8] = 0
    result = make_patches(
        [image],
        [class_raster(tmp_path, codes, nodata=0)],
        out,
        PatchOptions(size=32, bands=("red", 4)),
    )
    assert (result.patches, result.counts) == (4, (24 * 64, 32 * 64))
    mask, names = labelled(out)
    assert names == ["10", "70"]
    assert (mask == np.select([codes == 10, codes == 70], [0, 1], 255)).all()
    with (
        rasterio.open(image) as whole,
        rasterio.open(out / "images" / "scene_00032_00032.tif") as part,
    ):
        assert part.descriptions == whole.descriptions
        assert part.dtypes == whole.dtypes
        assert (part.read() == whole.read()[:, 32:, 32:]).all()
        assert part.transform == Affine(10, 0, 500_320, 0, -10, 5_199_680)
        assert part.crs == whole.crs
    assert json.loads((out / "dataset.json").read_text()) == {"bands": ["red", 4]}


def test_a_class_raster_on_another_grid_is_laid_onto_the_image(tmp_path):
    coarse = Affine(40, 0, 500_160, 0, -40, 5_199_840)
    codes = np.arange(64, dtype=np.uint8).reshape(8, 8) // 32
    raster = class_raster(tmp_path, codes, transform=coarse)
    mask, _ = made(tmp_path, [raster])
    assert (mask[16:48, 16:48] == codes.repeat(4, 0).repeat(4, 1)).all()
    assert (mask != 255).sum() == 32 * 32


def test_a_class_raster_of_another_reference_system_is_laid_by_its_places(tmp_path):
    to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
    west, north = to_degrees.transform(*at(-8, -8))
    east, south = to_degrees.transform(*at(72, 72))
    step = Affine((east - west) / 400, 0, west, 0, (south - north) / 400, north)
    codes = np.where(np.arange(400) < 200, 1, 2).astype(np.uint8)
    raster = class_raster(
        tmp_path, np.tile(codes, (400, 1)), crs="EPSG:4326", transform=step
    )
    mask, _ = made(tmp_path, [raster])
    assert (mask[:, :31] == 0).all()
    assert (mask[:, 33:] == 1).all()


def test_a_class_raster_names_its_codes_itself(tmp_path):
    raster = class_raster(tmp_path, HALVES)
    names = {10: "Water", 70: "Ice"}
    listed = "".join(
        f"<Category>{names.get(code, '')}</Category>" for code in range(71)
    )
    raster.with_name("codes.tif.aux.xml").write_text(
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{listed}'
        "</CategoryNames></PAMRasterBand></PAMDataset>"
    )
    assert made(tmp_path, [raster])[1] == ["Water", "Ice"]


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp"])
def test_polygons_of_any_kind_of_file_and_system_are_laid_onto_the_image(
    tmp_path, name
):
    degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
    shapes = [
        shapely.transform(shape, lambda xy: np.stack(degrees.transform(*xy.T), axis=1))
        for shape in (square(4, 4, 20), square(14, 14, 10), square(40, 8, 12))
    ]
    fields = {"class": ["Water", "Forest", "Water"], "fid2": [1, 2, 3]}
    path = features(tmp_path / name, shapes, fields, crs="EPSG:4326")
    mask, names = made(tmp_path, [path])
    assert names == ["Water", "Forest"]
    expected = np.full((64, 64), 255, np.uint8)
    expected[4:24, 4:24] = 0
    expected[14:24, 14:24] = 1  # the later one is on top
    expected[8:20, 40:52] = 0
    assert (mask == expected).all()


def test_the_colors_are_those_of_the_kaggle_names_and_never_the_same_twice(tmp_path):
    shapes = [square(4 * n, 4, 3) for n in range(3)]
    path = features(tmp_path / "a.gpkg", shapes, {"label": ["Water", "Road", "Roof"]})
    out = tmp_path / "set"
    result = make_patches([scene(tmp_path)], [path], out, PatchOptions(size=32))
    colors = [item.color for item in result.classes]
    assert colors[0] == (17, 141, 215)
    assert len(set(colors)) == 3


def test_lines_are_drawn_in_their_width_and_points_as_discs(tmp_path):
    shapes = [
        shapely.LineString(ground((4.5, 10.5), (40.5, 10.5))),
        shapely.LineString(ground((4.5, 30.5), (40.5, 30.5))),
        shapely.Point(*at(50.5, 50.5)),
    ]
    fields = {"class": ["A", "B", "A"], "width_px": [1, 5, 7]}
    mask, _ = made(tmp_path, [features(tmp_path / "a.gpkg", shapes, fields)])
    column = mask[:, 20]
    assert np.flatnonzero(column == 0).tolist() == [10]
    assert np.flatnonzero(column == 1).tolist() == [28, 29, 30, 31, 32]
    assert np.flatnonzero(mask[50] == 0).tolist() == [47, 48, 49, 50, 51, 52, 53]
    assert mask[47, 47] == 255


def test_without_a_field_lines_have_the_width_that_is_asked_for(tmp_path):
    shapes = [
        shapely.LineString(ground((4.5, row + 0.5), (40.5, row + 0.5)))
        for row in (10, 30)
    ]
    path = features(tmp_path / "a.gpkg", shapes, {"class": ["A", "B"]})
    mask, _ = made(tmp_path, [path], width=3)
    assert np.flatnonzero(mask[:, 20] == 0).tolist() == [9, 10, 11]


def test_later_files_lie_over_earlier_ones_and_only_labelled_patches_are_kept(
    tmp_path,
):
    codes = np.zeros((64, 64), np.uint8)
    codes[:20, :20], codes[20:30, :20] = 1, 2
    raster = class_raster(tmp_path, codes, nodata=0)
    path = features(tmp_path / "a.gpkg", [square(2, 2, 4)], {"class": ["2"]})
    out = tmp_path / "set"
    result = make_patches([scene(tmp_path)], [raster, path], out, PatchOptions(size=32))
    assert result.patches == 1
    mask, names = labelled(out)
    assert names == ["1", "2"]
    assert (mask[2:6, 2:6] == 1).all()
    assert mask[1, 1] == 0


def test_pixels_of_the_image_without_data_are_not_labelled(tmp_path):
    pixels = np.ones((64, 64, 3), np.uint8)
    pixels[:10] = 0
    image = write(tmp_path, "part.tif", tiff(pixels, crs=UTM, transform=GRID, nodata=0))
    mask, _ = made(tmp_path, [class_raster(tmp_path, HALVES)], image=image)
    assert (mask[:10] == 255).all()
    assert (mask[10:] != 255).all()


def test_a_picture_without_a_place_takes_a_class_raster_of_its_size(tmp_path):
    image = write(tmp_path, "a.tif", tiff(np.ones((64, 64, 3), np.uint8)))
    raster = write(tmp_path, "codes.tif", tiff(HALVES))
    mask, _ = made(tmp_path, [raster], image=image)
    assert (mask == (HALVES == 70)).all()


def test_patches_of_several_scenes_have_names_of_their_own(tmp_path):
    (tmp_path / "b").mkdir()
    images = [scene(tmp_path), scene(tmp_path / "b")]
    out = tmp_path / "set"
    raster = class_raster(tmp_path, HALVES)
    assert make_patches(images, [raster], out, PatchOptions(size=32)).patches == 8
    ids = open_dataset(out).ids
    assert "scene_00000_00000" in ids
    assert "scene-2_00000_00000" in ids


@pytest.mark.parametrize(
    ("box", "length", "side", "edges"),
    [
        ((40, 50), 64, 32, [29, 61]),  # one, around it
        ((0, 4), 64, 32, [0, 32]),  # moved into the image
        ((0, 64), 64, 32, [0, 32, 64]),
        ((0, 50), 50, 32, [0, 25, 50]),  # no room for two whole ones
        ((0, 20), 20, 32, [0, 20]),  # smaller than a patch
    ],
)
def test_patches_cover_what_is_labelled_and_never_each_other(box, length, side, edges):
    windows = tile_windows((*box, 0, 32), length, 32, side)
    assert [w[0].start for w in windows] + [windows[-1][0].stop] == edges


def test_the_size_is_what_gives_patches_enough(tmp_path):
    out = tmp_path / "set"
    image = scene(tmp_path, size=256)
    raster = class_raster(tmp_path, HALVES.repeat(4, 0).repeat(4, 1))
    assert make_patches([image], [raster], out).size == 43  # 36 of 48 px at most


FIELDS = {"name": ["a", "b"], "kind": ["x", "y"]}
TWO = [square(4, 4, 8), square(20, 4, 8)]


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        (FIELDS, None, r"a\.gpkg: it is not clear which field .*: name, kind\. Name"),
        (FIELDS, "sort", r"no field 'sort'; its fields are name, kind\. Name one"),
        ({"id": [1, 2]}, None, "no field of text or whole numbers that could"),
        ({"class": ["A", "A"]}, None, r"1 classes are labelled \(A\); 2 to 64 are"),
        ({"class": [None, None]}, None, "none of its 2 features has a geometry and a"),
    ],
)
def test_a_field_that_is_not_clear_is_asked_for_in_one_sentence(
    tmp_path, fields, field, sentence
):
    path = features(tmp_path / "a.gpkg", TWO, fields)
    with pytest.raises(DatasetError, match=sentence):
        made(tmp_path, [path], field=field)
    assert not (tmp_path / "set").exists()


def test_the_only_field_of_text_and_the_only_one_of_numbers_are_clear(tmp_path):
    texts = features(tmp_path / "a.gpkg", TWO, {"kind": ["x", "y"], "age": [1, 2]})
    numbers = features(tmp_path / "b.gpkg", TWO, {"code": [30, 4], "fid2": [1, 2]})
    assert made(tmp_path, [texts])[1] == ["x", "y"]
    with pytest.raises(DatasetError, match="not clear"):
        make_patches([scene(tmp_path)], [numbers], tmp_path / "c")
    make_patches([scene(tmp_path)], [numbers], tmp_path / "c", PatchOptions("code", 32))
    assert labelled(tmp_path / "c")[1] == ["4", "30"]


def test_of_several_layers_the_one_with_the_field_is_read(tmp_path):
    path = features(tmp_path / "a.gpkg", TWO, {"class": ["x", "y"]}, layer="one")
    features(path, TWO, {"kind": ["p", "q"]}, layer="two", append=True)
    with pytest.raises(DatasetError, match=r"2 layers \(one, two\).*own"):
        made(tmp_path, [path])
    assert made(tmp_path, [path], field="kind")[1] == ["p", "q"]


def test_labels_that_cannot_be_laid_over_the_image_are_refused(tmp_path):
    fields = {"class": ["x", "y"]}
    nowhere = features(tmp_path / "a.shp", TWO, fields)
    nowhere.with_suffix(".prj").unlink()
    with pytest.raises(DatasetError, match=r"a\.shp: it has no coordinate reference"):
        made(tmp_path, [nowhere])
    beside = features(
        tmp_path / "b.gpkg", [square(900, 0, 8), square(920, 0, 8)], fields
    )
    with pytest.raises(DatasetError, match=r"b\.gpkg: no label lies on the image"):
        made(tmp_path, [beside])
    raster = write(tmp_path, "c.tif", tiff(HALVES[16:48]))
    with pytest.raises(ImageError, match=r"c\.tif: .* Make both the same size"):
        made(tmp_path, [raster])
    values = class_raster(tmp_path, HALVES + np.float32(0.5))
    with pytest.raises(DatasetError, match="not whole numbers"):
        made(tmp_path, [values])
    assert not (tmp_path / "set").exists()


def test_a_geometry_of_another_kind_is_refused(tmp_path):
    geometry = {"type": "GeometryCollection", "geometries": []}
    geometry["geometries"] = [{"type": "Point", "coordinates": [9, 47]}]
    rows = [
        {"type": "Feature", "properties": {"class": name}, "geometry": geometry}
        for name in "AB"
    ]
    path = geojson(
        tmp_path / "a.geojson", {"type": "FeatureCollection", "features": rows}
    )
    with pytest.raises(DatasetError, match="polygons, lines and points are understood"):
        made(tmp_path, [path])


def test_a_folder_with_something_in_it_is_never_written_over(tmp_path):
    raster = class_raster(tmp_path, HALVES)
    (tmp_path / "set").mkdir()
    made(tmp_path, [raster])  # an empty one may be there
    with pytest.raises(ConfigError, match="set exists already"):
        made(tmp_path, [raster])


def test_bands_that_an_image_does_not_have_are_refused(tmp_path):
    raster = class_raster(tmp_path, HALVES)
    with pytest.raises(ImageError, match=r"scene\.tif: there is no band foo"):
        made(tmp_path, [raster], bands=("red", "foo"))
    assert not (tmp_path / "set").exists()


def test_what_is_stopped_leaves_nothing(tmp_path):
    image, raster = scene(tmp_path), class_raster(tmp_path, HALVES)
    before = sorted(tmp_path.iterdir())
    seen = []

    def count(done, total):
        seen.append((done, total))

    with pytest.raises(StoppedError):
        make_patches(
            [image],
            [raster],
            tmp_path / "set",
            PatchOptions(size=32),
            progress=count,
            should_stop=lambda: len(seen) > 1,
        )
    assert seen == [(1, 4), (2, 4)]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("size", [8, 5000])
def test_sizes_have_bounds(size):
    with pytest.raises(InputError, match="patch size"):
        PatchOptions(size=size)


@pytest.mark.parametrize(("image_at", "labels_at"), [(190, -170), (-170, 190)])
@pytest.mark.parametrize("kind", ["raster", "features"])
def test_longitudes_may_be_counted_by_another_turn(tmp_path, image_at, labels_at, kind):
    pixels = np.arange(64 * 64 * 3, dtype=np.uint16).reshape(64, 64, 3) + 1
    place = Affine(0.01, 0, image_at, 0, -0.01, 10)
    data = tiff(pixels, crs="EPSG:4326", transform=place)
    image = write(tmp_path, "scene.tif", data)
    there = Affine(0.01, 0, labels_at, 0, -0.01, 10)
    if kind == "raster":
        labels = class_raster(tmp_path, HALVES, crs="EPSG:4326", transform=there)
    else:
        halves = [
            shapely.box(labels_at, low, labels_at + 0.64, low + 0.32)
            for low in (9.68, 9.36)
        ]
        labels = tmp_path / "a.gpkg"
        features(labels, halves, {"class": ["10", "70"]}, crs="EPSG:4326")

    mask, _ = made(tmp_path, [labels], image=image)

    assert (mask == np.where(HALVES == 10, 0, 1)).all()


def test_heights_of_any_grid_go_with_the_patches(tmp_path):
    coarse = np.full((16, 16), 250, np.int16)
    data = tiff(coarse, crs=UTM, transform=GRID @ Affine.scale(4))
    labels = class_raster(tmp_path, HALVES)
    out, heights = tmp_path / "set", write(tmp_path, "dem.tif", data)

    make_patches(
        [scene(tmp_path)], [labels], out, PatchOptions(size=32, heights=heights)
    )

    dataset = open_dataset(out)
    assert dataset.has_heights
    for pair in dataset.pairs:
        loaded = read_pair(dataset, pair)
        np.testing.assert_allclose(loaded.height, 250)


def test_heights_that_fit_no_image_are_refused_with_a_sentence(tmp_path):
    labels = class_raster(tmp_path, HALVES)
    heights = write(tmp_path, "dem.tif", tiff(np.ones((8, 8), np.int16)))
    image, out = scene(tmp_path), tmp_path / "set"

    with pytest.raises(ImageError, match="8 x 8 px, the image has 64 x 64 px"):
        make_patches([image], [labels], out, PatchOptions(heights=heights))
    with pytest.raises(ConfigError, match="one height file cannot belong to 2"):
        make_patches([image, image], [labels], out, PatchOptions(heights=heights))
    assert not out.exists()
