"""Files of features that want more than to be read."""

import os
import sqlite3
from contextlib import closing

import pytest

from terrainlib.data.labels import vectors
from terrainlib.data.labels.vectors import list_fields, read_features
from terrainlib.errors import DatasetError
from tests.labelled import features, geojson, square

TWO = [square(4, 4, 8), square(20, 4, 8)]
CLASSES = {"class": ["x", "y"]}
POINT = {
    "type": "Feature",
    "properties": {"class": "a"},
    "geometry": {"type": "Point", "coordinates": [9, 47]},
}


def package(tmp_path, statement, *values):
    path = features(tmp_path / "a.gpkg", TWO, CLASSES)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)
    return path


@pytest.mark.parametrize(
    "crs",
    [
        {"type": "link", "properties": {"href": "http://127.0.0.1:9/crs"}},
        {"type": "name", "properties": {"name": "http://127.0.0.1:9/crs"}},
        {"type": "name", "properties": {"name": "+proj=utm +nadgrids=/etc/passwd"}},
        {"type": "name", "properties": {"name": "/etc/passwd"}},
    ],
)
def test_a_reference_system_that_lies_elsewhere_is_not_followed(tmp_path, crs):
    value = {"type": "FeatureCollection", "crs": crs, "features": [POINT]}
    path = geojson(tmp_path / "a.geojson", value)
    with pytest.raises(DatasetError, match="names a file or an address"):
        read_features(path)


def test_a_plain_name_of_a_system_is_read(tmp_path):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    value = {"type": "FeatureCollection", "crs": crs, "features": [POINT]}
    found = read_features(geojson(tmp_path / "a.geojson", value))
    assert (found.crs, found.classes) == ("EPSG:32632", ("a",))


def test_a_package_whose_system_names_a_file_is_refused(tmp_path):
    grid = 'GEOGCS["x",EXTENSION["PROJ4_GRIDS","/tmp/pipe"]]'
    path = package(tmp_path, "UPDATE gpkg_spatial_ref_sys SET definition = ?", grid)
    with pytest.raises(DatasetError, match="names a file or an address"):
        read_features(path)


def test_a_package_in_web_mercator_is_read(tmp_path):
    path = features(tmp_path / "a.gpkg", TWO, CLASSES, crs="EPSG:3857")
    assert read_features(path).crs == "EPSG:3857"


def test_a_layer_that_is_computed_is_not_run(tmp_path):
    path = package(tmp_path, "ALTER TABLE a RENAME TO b")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE VIEW a AS SELECT * FROM b")
        connection.execute("UPDATE gpkg_contents SET table_name = 'a'")
    with pytest.raises(DatasetError, match="computed by a view"):
        read_features(path)


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp"])
def test_what_is_no_such_file_is_refused_by_one_sentence(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(DatasetError, match=f"{name}: there is no such file"):
        read_features(path)
    for ending in (".shp", ".shx", ".dbf", path.suffix):
        path.with_suffix(ending).write_bytes(b"nothing of the kind")
    with pytest.raises(DatasetError, match=f"{name}: damaged, or no"):
        read_features(path)


def test_links_pipes_and_parts_of_a_shapefile_are_told(tmp_path):
    path = features(tmp_path / "a.shp", TWO, CLASSES)
    link = tmp_path / "b.shp"
    link.symlink_to(path)
    with pytest.raises(DatasetError, match="links are not followed"):
        read_features(link)
    os.mkfifo(tmp_path / "c.gpkg")
    with pytest.raises(DatasetError, match="no such file, or it may not be read"):
        read_features(tmp_path / "c.gpkg")
    (tmp_path / "a.dbf").unlink()
    with pytest.raises(DatasetError, match=r"several files, and a\.dbf is not beside"):
        read_features(path)


def test_more_than_the_limits_is_refused(tmp_path, monkeypatch):
    path = features(tmp_path / "a.gpkg", TWO, CLASSES)
    monkeypatch.setattr(vectors, "MAX_FEATURES", 1)
    with pytest.raises(DatasetError, match="more than 1 features"):
        read_features(path)
    monkeypatch.setattr(vectors, "MAX_VECTOR_MB", 0)
    with pytest.raises(DatasetError, match="the limit is 0 MB"):
        read_features(path)


def test_the_fields_are_listed_the_likely_one_first(tmp_path):
    fields = {"owner": ["p", "q"], "id": [1, 2], "code": [3, 4], "Label": ["x", "y"]}
    path = features(tmp_path / "a.gpkg", TWO, fields)
    assert list_fields(path) == ("Label", "owner", "code")
