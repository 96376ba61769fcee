"""Areas of pixels on the ellipsoid, against closed formulas and other libraries."""

import numpy as np
import pytest
from pyproj import CRS, Geod, Proj, Transformer

from terrainlib.data.formats.raster import Georeference
from terrainlib.mask.ground.equalarea import mean_area, row_areas

GEOD = Geod(ellps="WGS84")
DEGREE_CELL_M2 = 6309805669.0300  # 59 to 60 north, one degree wide, WGS 84


def grid(crs, transform):
    return Georeference(CRS.from_user_input(crs).to_wkt(), transform, None)


def globe_share(north):
    """Return the area of WGS 84 between both parallels of a latitude, in m2."""
    e, b = np.sqrt(GEOD.es), GEOD.b
    sine = np.sin(np.radians(north))
    return 2 * np.pi * b**2 * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)


def test_a_degree_cell_has_the_area_of_the_closed_formula():
    size = 1 / 100
    areas = row_areas(grid(4326, (size, 0, 10, 0, -size, 60)), slice(0, 100), 100)
    assert areas is not None
    assert areas.shape == (100,)
    assert areas.dtype == np.float64
    formula = (globe_share(60) - globe_share(59)) / 360 / 2
    assert areas.sum() * 100 == pytest.approx(formula, rel=1e-9)
    assert formula == pytest.approx(DEGREE_CELL_M2, rel=1e-9)


def test_a_degree_cell_has_the_area_of_a_geodesic_polygon():
    lon = np.linspace(10, 11, 20_000)
    ring = np.r_[lon, lon[::-1]], np.r_[np.full(20_000, 60.0), np.full(20_000, 59.0)]
    area = abs(GEOD.polygon_area_perimeter(*ring)[0])
    found = row_areas(grid(4326, (1, 0, 10, 0, -1, 60)), slice(0, 1), 1)
    assert found == pytest.approx([area], rel=1e-8)


def test_rows_towards_the_pole_are_smaller():
    areas = row_areas(grid(4326, (1, 0, 0, 0, -1, 90)), slice(0, 90), 360)
    assert areas is not None
    assert (np.diff(areas) > 0).all()
    assert areas.sum() * 360 == pytest.approx(globe_share(90) / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (3035, (7400.0, 0, 2.5e6, 0, -7400.0, 5.4e6)),
        (
            "+proj=laea +lat_0=28 +lon_0=84 +datum=WGS84",
            (7400.0, 0, -2.6e6, 0, -7400.0, 1.9e6),
        ),
        (6933, (9000.0, 0, -3e6, 0, -9000.0, 4e6)),
    ],
)
def test_pixels_of_an_equal_area_grid_keep_their_area(crs, transform):
    areas = row_areas(grid(crs, transform), slice(0, 560), 640)
    assert areas == pytest.approx(np.full(560, transform[0] ** 2), rel=1e-5)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (32633, (10.0, 0, 300_000.0, 0, -10.0, 6e6)),
        (3413, (1000.0, 0, -2e6, 0, -1000.0, 2e6)),
        (2263, (1.0, 0, 980_000.0, 0, -1.0, 200_000.0)),  # feet
        (27572, (25.0, 0, 600_000.0, 0, -25.0, 2.2e6)),  # grads from Paris
        (32760, (1000.0, 0, 700_000.0, 0, -1000.0, 8e6)),  # over the 180th meridian
    ],
)
def test_pixels_agree_with_the_scale_of_the_projection(crs, transform):
    width = 500
    areas = row_areas(grid(crs, transform), slice(100, 101), width)
    system = CRS(crs)
    x = transform[0] * (np.arange(width) + 0.5) + transform[2]
    y = np.full(width, transform[4] * 100.5 + transform[5])
    places = Transformer.from_crs(system, system.geodetic_crs, always_xy=True)
    unit = np.degrees(system.geodetic_crs.axis_info[0].unit_conversion_factor)
    lon, lat = (np.asarray(part) * unit for part in places.transform(x, y))
    scale = Proj(system).get_factors(lon, lat).areal_scale
    metres = system.axis_info[0].unit_conversion_factor
    expected = (transform[0] * metres) ** 2 / scale
    assert areas == pytest.approx([expected.mean()], rel=1e-6)


def test_a_web_map_of_the_world_adds_up_to_the_world():
    edge, size = 20037508.342789244, 512
    step = 2 * edge / size
    georeference = grid(3857, (step, 0, -edge, 0, -step, edge))
    areas = row_areas(georeference, slice(0, size), size)
    assert areas is not None
    assert areas.sum() * size == pytest.approx(globe_share(85.0511287798066), rel=1e-8)


def test_pixels_off_the_earth_are_left_out():
    step = 17_243_959.06 / 200
    transform = (step, 0, -200 * step, 0, -step, 8_392_927.6)
    areas = row_areas(grid("EPSG:8857", transform), slice(-2, 190), 400)
    assert areas is not None
    assert areas[0] == 0
    assert areas[10:-10] == pytest.approx(np.full(172, step**2), rel=1e-3)


def test_a_turned_grid_keeps_its_areas():
    angle, step = np.radians(30), 10.0
    a, b = step * np.cos(angle), step * np.sin(angle)
    areas = row_areas(grid(3035, (a, b, 4e6, b, -a, 3e6)), slice(5, 8), 100)
    assert areas == pytest.approx([100.0] * 3, rel=1e-6)


def test_the_mean_is_the_mean_of_the_rows():
    georeference = grid(4326, (0.5, 0, 0, 0, -0.5, 80))
    areas = row_areas(georeference, slice(0, 100), 40)
    assert areas is not None
    assert mean_area(georeference, 100, 40) == pytest.approx(areas.mean(), rel=1e-9)


@pytest.mark.parametrize(
    "georeference",
    [
        None,
        Georeference("", (1, 0, 0, 0, -1, 0), None),
        Georeference("nonsense", (1, 0, 0, 0, -1, 0), None),
        Georeference('LOCAL_CS["plan",UNIT["metre",1]]', (1, 0, 0, 0, -1, 0), None),
    ],
)
def test_without_a_place_on_earth_there_is_no_area(georeference):
    assert row_areas(georeference, slice(0, 2), 3) is None
    assert mean_area(georeference, 2, 3) is None
