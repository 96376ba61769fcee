"""Labels of other programs become strokes to go on painting from."""

import numpy as np
import pytest
import shapely

from terrainlib.data.imagery import read_grid
from terrainlib.data.labels.bring import add_brought, bring_labels, with_example
from terrainlib.data.labels.strokes import Painted, stroke_layer
from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA, TerrainClass
from terrainlib.errors import DatasetError
from terrainlib.mask.rasters.geotiff import ClassRasterSink
from terrainlib.mask.tiles.bands import Band
from tests.labelled import class_raster, features, ground, scene, square

SIZE = 64, 64


def laid(brought, classes):
    mask = np.full(SIZE, NO_DATA, np.uint8)
    layer = stroke_layer(brought.strokes, classes, SIZE)
    layer.lay((slice(0, 64), slice(0, 64)), mask)
    return mask


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".shp"])
def test_features_lie_where_they_lay(tmp_path, ending):
    hole = square(4, 4, 40) - square(20, 20, 8)
    shapes = [hole, square(50, 50, 9), square(900, 900, 9)]
    names = {"class": ["Water", "x", "elsewhere"]}
    crs = "EPSG:32632"
    path = features(tmp_path / f"labels{ending}", shapes, names, crs=crs)
    brought = bring_labels(path, scene(tmp_path), KAGGLE_CLASSES)
    assert [item.name for item in brought.classes] == ["Water", "x"]
    mask = laid(brought, brought.classes)
    seen = [mask[8, 8], mask[24, 24], mask[40, 40], mask[55, 55]]
    assert seen == [0, NO_DATA, 0, 1]


def test_lines_keep_their_width(tmp_path):
    line = shapely.LineString(ground((4, 30), (60, 30), (60, 9), (30, 40)))
    fields = {"class": ["Road"], "width_px": [6]}
    path = features(tmp_path / "labels.gpkg", [line], fields)
    [stroke] = bring_labels(path, scene(tmp_path), ()).strokes
    assert (stroke.kind, stroke.width_px) == ("line", 6.0)


def test_a_class_raster_comes_as_areas_and_keeps_classes_of_its_colours(tmp_path):
    codes = np.zeros((64, 64), np.uint8)
    codes[:, 32:] = 1
    codes[10, 10] = 1  # a single pixel
    table = {0: (17, 141, 215), 1: (9, 9, 9)}
    path = class_raster(tmp_path, codes, colormap=table)
    own = (*KAGGLE_CLASSES, TerrainClass("Rock", (9, 9, 9)))
    brought = bring_labels(path, scene(tmp_path), own)
    assert [item.name for item in brought.classes] == ["Water", "Rock"]
    assert brought.left_out == 1
    mask = laid(brought, brought.classes)
    assert (mask[:, 32:] == 1).all()
    assert (mask[:, :31] == 0).mean() > 0.99


def test_a_class_raster_written_here_names_its_classes_itself(tmp_path):
    image = scene(tmp_path)
    classes = (TerrainClass("Rock", (9, 9, 9)), TerrainClass("Ice", (200, 220, 240)))
    path, place = tmp_path / "labels.tif", read_grid(image).place
    with ClassRasterSink(
        path, height=64, width=64, classes=classes, georeference=place
    ) as sink:
        sink.write(Band(slice(0, 64), np.indices((64, 64), np.uint8)[0] // 32))
    assert set(bring_labels(path, image, ()).classes) == set(classes)


def test_labels_of_another_place_are_told(tmp_path):
    path = features(tmp_path / "far.gpkg", [square(900, 900, 9)], {"class": ["x"]})
    with pytest.raises(DatasetError, match="no label lies on"):
        bring_labels(path, scene(tmp_path), ())


def test_what_is_brought_lies_on_top_and_two_classes_never_share_a_colour(tmp_path):
    path = features(tmp_path / "a.gpkg", [square(4, 4, 9)], {"class": ["New"]})
    brought = bring_labels(path, scene(tmp_path), ())
    before = Painted((), (TerrainClass("Old", brought.classes[0].color),))
    after = add_brought(before, brought)
    assert [item.name for item in after.classes] == ["Old", "New"]
    assert len({item.color for item in after.classes}) == 2
    assert after.strokes == brought.strokes


def test_the_example_has_three_strokes_a_class_and_comes_once():
    painted = with_example(with_example(Painted()))
    names = [stroke.class_name for stroke in painted.strokes]
    assert {name: names.count(name) for name in names} == dict.fromkeys(names, 3)
    assert len(set(names)) > 3
