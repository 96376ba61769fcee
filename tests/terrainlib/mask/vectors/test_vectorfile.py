"""Polygons as files, read back with pyogrio, sqlite3, json and shapely."""

import json
import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pyogrio.raw
import pytest
import shapely
from pyproj import CRS, Geod

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA, TerrainClass
from terrainlib.errors import ImageError, StorageError
from terrainlib.mask.vectors.polygons import trace_mask
from terrainlib.mask.vectors.vectorfile import (
    load_ogr,
    qml_style,
    write_geojson,
    write_geopackage,
)
from tests.synthetic import terrain

FILES = [(write_geopackage, "a.gpkg"), (write_geojson, "a.geojson")]
LAMBERT = "+proj=laea +lat_0=28 +lon_0=84 +datum=WGS84"
GEOD = Geod(ellps="WGS84")


def grid(crs, transform):
    return Georeference(CRS.from_user_input(crs).to_wkt(), transform, None)


LAMBERT_GRID = grid(LAMBERT, (7400.0, 0, -1e6, 0, -7400.0, 9e5))


def traced(georeference, size=96, seed=5):
    _, mask, _ = terrain(size, seed)
    mask[:10, :20] = NO_DATA
    return trace_mask(mask, KAGGLE_CLASSES, georeference)


def rows(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_a_geopackage_holds_the_polygons_with_their_attributes(tmp_path):
    path = tmp_path / "a.gpkg"
    polygons = traced(LAMBERT_GRID)
    write_geopackage(path, polygons)
    assert [name for name, _ in pyogrio.list_layers(path)][:1] == ["terrain"]
    info = pyogrio.read_info(path, layer="terrain")
    assert info["fields"].tolist() == ["class", "index", "color", "area_m2", "share"]
    assert info["geometry_type"] == "Polygon"
    assert info["geometry_name"] == "geom"
    assert CRS.from_user_input(info["crs"]).equals(
        CRS.from_wkt(LAMBERT_GRID.crs_wkt), ignore_axis_order=True
    )
    _, _, geometry, values = pyogrio.raw.read(path, layer="terrain")
    fields = dict(zip(info["fields"], values, strict=True))
    assert shapely.equals(shapely.from_wkb(geometry), polygons.geometry).all()
    assert fields["index"].tolist() == polygons.index.tolist()
    names = [KAGGLE_CLASSES[number].name for number in polygons.index]
    assert fields["class"].tolist() == names
    assert fields["color"][0] == "#118dd7"
    assert fields["area_m2"] == pytest.approx(polygons.area)
    assert fields["share"] == pytest.approx(polygons.share)
    assert [item.name for item in tmp_path.iterdir()] == ["a.gpkg"]


@pytest.mark.parametrize("crs", [3035, 32633, 4326, LAMBERT])
def test_the_reference_system_comes_back(tmp_path, crs):
    step = 0.1 if crs == 4326 else 10.0
    path = tmp_path / "a.gpkg"
    write_geopackage(path, traced(grid(crs, (step, 0, 10, 0, -step, 60)), size=32))
    found = CRS.from_user_input(pyogrio.read_info(path, layer="terrain")["crs"])
    assert found.equals(CRS.from_user_input(crs), ignore_axis_order=True)
    assert found.to_epsg() == CRS.from_user_input(crs).to_epsg()


def test_without_a_place_the_reference_system_is_undefined(tmp_path):
    path = tmp_path / "a.gpkg"
    polygons = traced(None)
    write_geopackage(path, polygons)
    info = pyogrio.read_info(path, layer="terrain")
    assert info["crs"] is None or "Undefined" in info["crs"]
    assert info["fields"].tolist()[3] == "area_px"
    assert info["total_bounds"] == (0, -96, 96, 0)
    _, _, _, values = pyogrio.raw.read(path, layer="terrain")
    assert values[3].sum() == 96 * 96 - 200


def test_qgis_finds_a_default_style_with_names_and_colours(tmp_path):
    path = tmp_path / "a.gpkg"
    write_geopackage(path, traced(LAMBERT_GRID))
    style = rows(
        path,
        "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML "
        "FROM layer_styles",
    )
    assert style == [("terrain", "geom", 1, qml_style(KAGGLE_CLASSES))]
    registered = "SELECT data_type FROM gpkg_contents WHERE table_name='layer_styles'"
    assert rows(path, registered) == [("attributes",)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA foreign_key_check") == []


def test_the_style_gives_each_class_its_colour():
    odd = TerrainClass('Ice & "snow" <Österreich>', (1, 2, 3))
    root = ElementTree.fromstring(qml_style((*KAGGLE_CLASSES, odd)))
    assert root.tag == "qgis"
    renderer = root.find("renderer-v2")
    assert renderer.get("type") == "categorizedSymbol"
    assert renderer.get("attr") == "class"
    shown = {}
    for category in renderer.iter("category"):
        symbol = renderer.find(f"symbols/symbol[@name='{category.get('symbol')}']")
        new = symbol.find("layer/Option/Option[@name='color']").get("value")
        assert symbol.find("layer/prop[@k='color']").get("v") == new
        assert category.get("label") == category.get("value")
        shown[category.get("value")] = new
    assert len(shown) == 8
    assert shown["Water"] == "17,141,215,255"
    assert shown[odd.name] == "1,2,3,255"


def read_geojson(path):
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["type"] == "FeatureCollection"
    assert "crs" not in data  # RFC 7946 knows WGS 84 alone
    shapes = [shapely.geometry.shape(item["geometry"]) for item in data["features"]]
    return data, shapes, [item["properties"] for item in data["features"]]


def test_geojson_is_in_wgs_84_with_the_right_hand_rule(tmp_path):
    path = tmp_path / "a.geojson"
    polygons = traced(LAMBERT_GRID)
    write_geojson(path, polygons)
    data, shapes, properties = read_geojson(path)
    assert data["name"] == "terrain"
    assert set(properties[0]) == {"class", "index", "color", "area_m2", "share"}
    assert [item["index"] for item in properties] == polygons.index.tolist()
    for shape, item in zip(shapes, properties, strict=True):
        assert shape.is_valid
        assert shape.exterior.is_ccw
        assert not any(ring.is_ccw for ring in shape.interiors)
        west, south, east, north = shape.bounds
        assert 70 < west < east < 95
        assert 20 < south < north < 38
        area = GEOD.geometry_area_perimeter(shape)[0]
        assert area == pytest.approx(item["area_m2"], rel=1e-4)
    text = str(data["features"][0]["geometry"]["coordinates"][0][0][0])
    assert len(text.split(".")[1]) <= 7


def test_neighbours_fit_although_their_edges_are_bent(tmp_path):
    mask = np.zeros((100, 100), np.uint8)
    mask[50:] = 1
    path = tmp_path / "a.geojson"
    polygons = trace_mask(mask, KAGGLE_CLASSES, LAMBERT_GRID)
    write_geojson(path, polygons)
    _, (above, below), _ = read_geojson(path)
    assert shapely.intersection(above, below).area < 1e-9
    assert shapely.union(above, below).geom_type == "Polygon"
    edge = shapely.get_num_coordinates(above)
    assert edge > 4 * 5  # the straight sides of the image have places in between


def test_polygons_across_the_180th_meridian_are_cut_there(tmp_path):
    path = tmp_path / "a.geojson"
    georeference = grid(32760, (1e4, 0, 500_000.0, 0, -1e4, 8e6))
    polygons = trace_mask(np.zeros((40, 60), np.uint8), KAGGLE_CLASSES, georeference)
    write_geojson(path, polygons)
    _, (shape,), (item,) = read_geojson(path)
    assert shape.geom_type == "MultiPolygon"
    assert [part.bounds[0] for part in shape.geoms] == pytest.approx([177, -180])
    area = GEOD.geometry_area_perimeter(shape)[0]
    assert area == pytest.approx(item["area_m2"], rel=1e-3)


@pytest.mark.parametrize(
    ("georeference", "reason"),
    [
        (None, "has no coordinate reference system, and GeoJSON is in longitude"),
        (
            Georeference("", (10.0, 0, 5e5, 0, -10.0, 5e6), None),
            "has no coordinate reference system",
        ),
        (
            grid("+proj=longlat +R=1737400", (0.1, 0, 10, 0, -0.1, 60)),
            "lie off the Earth",
        ),
        (
            grid("+proj=geos +h=35785831 +datum=WGS84", (2e5, 0, -9e6, 0, -2e5, 9e6)),
            "lie off the Earth",
        ),
    ],
)
def test_geojson_without_longitude_and_latitude_is_refused(
    tmp_path, georeference, reason
):
    path = tmp_path / "a.geojson"
    polygons = traced(georeference)
    with pytest.raises(ImageError, match=rf"^a\.geojson: .*{reason}.*GeoPackage inst"):
        write_geojson(path, polygons)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("write", "name"), FILES)
def test_a_mask_without_data_makes_an_empty_layer(tmp_path, write, name):
    mask = np.full((5, 5), NO_DATA, np.uint8)
    write(tmp_path / name, trace_mask(mask, KAGGLE_CLASSES, LAMBERT_GRID))
    assert pyogrio.read_info(tmp_path / name, layer="terrain")["features"] == 0


@pytest.mark.parametrize("write", [write_geopackage, write_geojson])
def test_a_disk_that_fails_leaves_the_old_file(tmp_path, monkeypatch, write):
    path = tmp_path / "a.gpkg"
    path.write_bytes(b"old")
    polygons = traced(LAMBERT_GRID, size=32)

    def fail(*_, **__):
        raise pyogrio.errors.FeatureError("no space")

    monkeypatch.setattr(load_ogr().raw, "write", fail)
    with pytest.raises(StorageError, match=r"^a\.gpkg: Cannot be written"):
        write(path, polygons)
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.gpkg"]


@pytest.mark.parametrize(("write", "name"), FILES)
def test_an_older_file_is_replaced(tmp_path, write, name):
    path = tmp_path / name
    write(path, traced(LAMBERT_GRID, seed=1))
    polygons = traced(LAMBERT_GRID, seed=2)
    write(path, polygons)
    found = pyogrio.read_info(path, layer="terrain")["features"]
    assert found == len(polygons.index)


def test_the_other_gdal_has_no_other_driver_and_says_nothing():
    code = """
        import os
        before = dict(os.environ)
        import terrainlib
        skipped = os.environ["GDAL_SKIP"]
        from terrainlib.gdal import load_ogr
        print(*sorted(name.split()[-1] for name in load_ogr().list_drivers()))
        import rasterio
        with rasterio.Env() as environment:
            print(*sorted(name.split()[-1] for name in environment.drivers()))
        assert os.environ["GDAL_SKIP"] == skipped
        assert os.environ.get("CPL_LOG") == before.get("CPL_LOG")
    """
    lines = "\n".join(line.strip() for line in code.splitlines()).replace(
        "environment:\nprint", "environment:\n    print"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", lines],
        capture_output=True,
        text=True,
        check=True,
    )
    vector, raster = (set(line.split()) for line in done.stdout.splitlines())
    assert vector <= {"GPKG", "GeoJSON", "Shapefile", "MEM", "Memory"}
    assert {"GPKG", "GeoJSON", "Shapefile"} <= vector
    assert raster <= vector | {"GTiff", "COG", "PNG", "JPEG", "MEM", "Memory"}
    assert done.stderr == ""


def test_loading_the_other_gdal_leaves_no_log(caplog):
    with caplog.at_level(logging.WARNING):
        load_ogr()
    assert caplog.records == []
