"""Outlines of class masks: which polygons there are, and how large."""

import math

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import CRS, Geod

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.palette import KAGGLE_CLASSES, NO_DATA
from terrainlib.errors import ConfigError, ImageError
from terrainlib.mask.cleaning import merge_islands
from terrainlib.mask.ground.equalarea import row_areas
from terrainlib.mask.vectors import polygons as vectors
from terrainlib.mask.vectors.polygons import (
    SmallestArea,
    count_corners,
    outlines,
    trace_geotiff,
    trace_mask,
)
from tests.imagefiles import class_tiff
from tests.synthetic import terrain

EVERY_PIXEL = SmallestArea(0)
PLACED = (10.0, 0.0, 4_000_000.0, 0.0, -10.0, 3_000_000.0)


def grid(crs, transform=PLACED):
    return Georeference(CRS.from_user_input(crs).to_wkt(), transform, None)


def trace(mask, georeference=None, smallest=EVERY_PIXEL):
    mask = np.array(mask, np.uint8)
    return trace_mask(mask, KAGGLE_CLASSES, georeference, smallest=smallest)


def test_each_region_is_a_polygon_along_the_pixels():
    traced = trace([[0, 0, 1], [0, 2, 1]])
    assert traced.index.tolist() == [0, 1, 2]
    assert traced.area.tolist() == [3, 2, 1]
    assert traced.share.tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 6])
    assert traced.unit == "px"
    assert shapely.equals(traced.geometry[1], shapely.box(2, -2, 3, 0))
    assert shapely.equals(traced.geometry[2], shapely.box(1, -2, 2, -1))


def test_pixels_that_touch_at_a_corner_are_two_regions():
    traced = trace([[0, 1], [1, 0]])
    assert traced.index.tolist() == [0, 0, 1, 1]
    assert shapely.is_valid(traced.geometry).all()


def test_pixels_without_data_are_no_polygon():
    traced = trace([[NO_DATA, 3, 3], [3, 3, 3]])
    assert traced.index.tolist() == [3]
    assert traced.area.tolist() == [5]
    assert traced.share.tolist() == [1]
    nothing = trace(np.full((3, 4), NO_DATA))
    assert len(nothing.geometry) == len(nothing.area) == len(nothing.share) == 0


def test_a_hole_belongs_to_its_own_class():
    mask = np.zeros((5, 5), np.uint8)
    mask[1:4, 1:4] = 4
    traced = trace(mask)
    assert traced.area.tolist() == [16, 9]
    assert shapely.get_num_interior_rings(traced.geometry).tolist() == [1, 0]


def test_the_polygons_cover_every_pixel_once():
    _, mask, _ = terrain(96, 5)
    mask[:10, :20] = NO_DATA
    traced = trace(mask, grid(3035))
    for number in range(7):
        chosen = traced.geometry[traced.index == number]
        assert shapely.area(chosen).sum() == 100 * np.count_nonzero(mask == number)
        if len(chosen):
            row, column = np.argwhere(mask == number)[0]
            place = shapely.Point(4e6 + 10 * (column + 0.5), 3e6 - 10 * (row + 0.5))
            assert shapely.contains(chosen, place).sum() == 1
    assert shapely.is_valid(traced.geometry).all()


def test_small_islands_take_the_class_of_their_largest_neighbour():
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 8:] = 1
    mask[5:8, 7:10] = 2  # 9 px; 2/3 of it within class 1, the larger one
    assert trace(mask, smallest=SmallestArea(9)).index.tolist() == [0, 1, 2]
    merged = trace(mask, smallest=SmallestArea(10))
    assert merged.index.tolist() == [0, 1]
    assert merged.area.tolist() == [20 * 8 - 3, 20 * 12 + 3]
    assert merged.smallest_px == 10
    assert mask[6, 8] == 2  # the mask of the caller is as it was


def test_islands_of_islands_are_merged_as_well():
    mask = np.zeros((30, 30), np.uint8)
    mask[10:16, 10:16] = 1
    mask[12:14, 12:14] = 2
    mask[12, 12] = 3
    merge_islands(mask, 40)
    assert not mask.any()


def test_pixels_without_data_stay_and_give_nothing():
    mask = np.full((12, 12), NO_DATA, np.uint8)
    mask[2:4, 2:4] = 1  # alone: there is no neighbour to take a class from
    mask[6:, 6:] = 2
    mask[8, 8] = NO_DATA
    before = mask.copy()
    merge_islands(mask, 10)
    assert (mask == before).all()


def test_sixteen_pixels_is_the_smallest_area_without_a_choice():
    mask = np.zeros((20, 20), np.uint8)
    mask[2:5, 2:7] = 1  # 15 px
    mask[10:14, 10:14] = 2  # 16 px
    traced = trace_mask(mask, KAGGLE_CLASSES, None)
    assert traced.index.tolist() == [0, 2]
    assert traced.smallest_px == 16


def test_square_metres_are_counted_in_pixels_of_the_ground():
    mask = np.zeros((20, 20), np.uint8)
    mask[2:6, 2:6] = 1
    georeference = grid(3035)
    kept = trace(mask, georeference, SmallestArea(1600, "m2"))
    assert kept.smallest_px == 16
    assert kept.index.tolist() == [0, 1]
    assert trace(mask, georeference, SmallestArea(1601, "m2")).index.tolist() == [0]
    # On a web map at 60 degrees north a pixel covers a quarter of what it seems to.
    web = grid(3857, (10.0, 0, 1e6, 0, -10.0, 8_399_737.9))
    assert trace(mask, web, SmallestArea(400, "m2")).smallest_px in (16, 17)


def test_a_smallest_area_out_of_bounds_is_refused():
    for value in (-1, math.nan, 1e13):
        with pytest.raises(ConfigError, match="smallest area must be 0 to 1e"):
            SmallestArea(value)
    with pytest.raises(ConfigError, match=r"cannot be in square metres\. Give it"):
        trace([[0]], None, SmallestArea(5, "m2"))


def test_a_degree_cell_has_its_area_on_the_ellipsoid():
    cell = grid(4326, (1.0, 0, 10, 0, -1.0, 60))
    traced = trace([[4]], cell)
    e2, b = Geod(ellps="WGS84").es, Geod(ellps="WGS84").b
    e = math.sqrt(e2)

    def below(lat):
        sine = math.sin(math.radians(lat))
        return sine / (1 - e2 * sine**2) + math.atanh(e * sine) / e

    formula = b**2 / 2 * math.radians(1) * (below(60) - below(59))
    assert traced.area[0] == pytest.approx(formula, rel=1e-9)
    assert traced.unit == "m2"


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (3035, (7400.0, 0, 2.5e6, 0, -7400.0, 5.4e6)),
        (
            "+proj=laea +lat_0=28 +lon_0=84 +datum=WGS84",
            (7400.0, 0, -2.6e6, 0, -7400.0, 1.9e6),
        ),
    ],
)
def test_areas_on_an_equal_area_grid_are_pixels_times_their_size(crs, transform):
    _, mask, _ = terrain(256, 6)
    traced = trace(mask, grid(crs, transform))
    for number in range(7):
        found = traced.area[traced.index == number].sum()
        expected = np.count_nonzero(mask == number) * 7400.0**2
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (32633, (1000.0, 0, 300_000.0, 0, -1000.0, 7e6)),
        (3413, (5000.0, 0, -1e6, 0, -5000.0, 9e5)),  # around the pole
        (32660, (2000.0, 0, 700_000.0, 0, -2000.0, 7e6)),  # the 180th meridian
        (3857, (100_000.0, 0, -2e7, 0, -100_000.0, 1.9e7)),  # the world
        (4326, (0.5, 0, -90, 0, -0.5, 80)),
        (3035, (80.0, 60.0, 4e6, 60.0, -80.0, 3e6)),  # turned
    ],
)
def test_all_polygons_together_have_the_area_of_all_pixels(crs, transform):
    _, mask, _ = terrain(256, 7)
    georeference = grid(crs, transform)
    traced = trace(mask, georeference)
    rows = row_areas(georeference, slice(0, 256), 256)
    assert traced.area.sum() == pytest.approx(rows.sum() * 256, rel=1e-4)
    assert traced.share.sum() == pytest.approx(1)
    top = np.count_nonzero(mask[:, :] == traced.index[0], axis=1) @ rows
    assert traced.area[traced.index == traced.index[0]].sum() == pytest.approx(
        top, rel=0.02
    )


def test_polygons_that_reach_off_the_earth_have_no_area():
    disk = "+proj=geos +h=35785831 +lon_0=0 +datum=WGS84"
    mask = np.zeros((40, 60), np.uint8)
    mask[18:22, 28:32] = 3
    traced = trace(mask, grid(disk, (2e5, 0, -6e6, 0, -2e5, 4e6)))
    assert np.isnan(traced.area).tolist() == [True, False]
    assert traced.area[1] > 16 * 2e5**2  # seen from the side, the ground is larger


def test_the_largest_of_a_class_come_first():
    traced = trace([[1, 0, 0, 1, 1, 0]])
    assert traced.index.tolist() == [0, 0, 1, 1]
    assert traced.area.tolist() == [2, 1, 2, 1]


def test_a_class_geotiff_gives_the_same_polygons(tmp_path):
    _, mask, _ = terrain(128, 8)
    mask[100:, :30] = NO_DATA
    georeference = grid("+proj=laea +lat_0=28 +lon_0=84 +datum=WGS84")
    path = tmp_path / "a.tif"
    path.write_bytes(class_tiff(mask, KAGGLE_CLASSES, georeference))
    expected = trace(mask, georeference, SmallestArea(20))
    found = trace_geotiff(path, smallest=SmallestArea(20))
    assert found.classes == KAGGLE_CLASSES
    assert shapely.equals(found.geometry, expected.geometry).all()
    assert found.index.tolist() == expected.index.tolist()
    assert found.area == pytest.approx(expected.area)
    assert CRS.from_wkt(found.crs_wkt) == CRS.from_wkt(
        rasterio.crs.CRS.from_wkt(expected.crs_wkt).to_wkt()
    )


def test_a_class_geotiff_without_a_place_is_traced_in_pixels(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(class_tiff(np.eye(40, dtype=np.uint8), KAGGLE_CLASSES, None))
    traced = trace_geotiff(path, smallest=EVERY_PIXEL)
    assert traced.unit == "px"
    assert traced.area.sum() == 1600
    assert traced.geometry[0].bounds == (1, -39, 40, 0)


def test_other_files_are_no_class_masks(tmp_path):
    with pytest.raises(ImageError, match=r"^no\.tif: there is no such file"):
        trace_geotiff(tmp_path / "no.tif")
    profile = {"driver": "GTiff", "height": 4, "width": 4, "count": 1, "crs": 3035}
    transform = rasterio.Affine(*PLACED)
    for name, tags in (("a.tif", {}), ("b.tif", {"CLASSES": "[{]"})):
        with rasterio.open(
            tmp_path / name, "w", dtype="uint8", transform=transform, **profile
        ) as data:
            data.update_tags(**tags)
        with pytest.raises(
            ImageError, match=rf"^{name}: is not a class mask that names"
        ):
            trace_geotiff(tmp_path / name)


def test_a_file_larger_than_the_limit_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    path.write_bytes(
        class_tiff(np.zeros((30, 50), np.uint8), KAGGLE_CLASSES, grid(3035))
    )
    monkeypatch.setattr(vectors, "MAX_MEGAPIXELS", 0.001)
    with pytest.raises(
        ImageError, match=r"^a\.tif: 50 x 30 pixels; the limit is 0\.001 megapixels"
    ):
        trace_geotiff(path)


def test_outlines_with_too_many_corners_are_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(vectors, "MAX_CORNERS", 1000)
    noise = np.random.default_rng(0).integers(0, 7, (40, 40), np.uint8)
    with pytest.raises(
        ImageError, match=r"million corners; the limit is .* smallest area above 0 px"
    ):
        trace(noise)


@pytest.mark.parametrize("strip", [1, 50, 10**6])
def test_the_corners_counted_are_those_of_the_polygons(monkeypatch, strip):
    monkeypatch.setattr("terrainlib.mask.vectors.polygons._STRIP_PX", strip)
    noise = np.random.default_rng(1).integers(0, 3, (30, 41), np.uint8)
    noise[5:9, 20:] = NO_DATA
    geometry, _ = outlines(noise, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
    rings = len(geometry) + shapely.get_num_interior_rings(geometry).sum()
    assert count_corners(noise) == shapely.get_num_coordinates(geometry).sum() - rings
