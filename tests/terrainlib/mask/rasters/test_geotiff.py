"""Masks as cloud-optimised GeoTIFF: written row by row, read back with rasterio."""

import json
import shutil
import subprocess
import sys
import textwrap
import threading
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags

from terrainlib.data.classes.masks import as_mask, read_raw_mask
from terrainlib.data.classes.meaning import decide
from terrainlib.data.formats.raster import Georeference
from terrainlib.data.imagery import read_image
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    NO_DATA,
    ClassList,
    TerrainClass,
    soft_colors,
)
from terrainlib.errors import InputError, StorageError
from terrainlib.mask.rasters.gdalwork import write_failure
from terrainlib.mask.rasters.geotiff import (
    ClassRasterSink,
    SoftRasterSink,
    WeightRasterSink,
    raster_names,
)
from terrainlib.mask.tiles.bands import Band, no_data_band, quantized

HEIGHT, WIDTH, K = 700, 1300, len(KAGGLE_CLASSES)
GRID = Georeference(
    CRS.from_epsg(32633).to_wkt(),
    (10.0, 0.0, 500000.0, 0.0, -10.0, 5400000.0),
    None,
)
LAMBERT = CRS.from_proj4("+proj=laea +lat_0=28 +lon_0=84 +datum=WGS84")
SINKS = (ClassRasterSink, SoftRasterSink, WeightRasterSink)


def whole_band(height=HEIGHT, width=WIDTH, seed=0):
    """Return all planes of a mask with a corner that has no data."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 50 + 1, width // 50 + 1, K)).astype(np.float32)
    large = coarse.repeat(50, axis=0).repeat(50, axis=1)[:height, :width] ** 4
    probabilities = large / large.sum(axis=-1, keepdims=True)
    classes = probabilities.argmax(axis=-1).astype(np.uint8)
    soft = np.rint(255 * soft_colors(probabilities, KAGGLE_CLASSES)).astype(np.uint8)
    weights = quantized(probabilities)
    corner = (slice(0, height // 3), slice(0, width // 4))
    for plane, value in ((classes, NO_DATA), (soft, 0), (weights, 0)):
        plane[corner] = value
    return Band(slice(0, height), classes, soft, weights)


def part(band, start, stop):
    rows = slice(start, stop)
    return Band(rows, band.classes[rows], band.soft[rows], band.weights[rows])


def in_parts(band, heights=(1, 300, 7, 128, 500)):
    """Yield a band in parts of the given heights, in turn."""
    start, turn = 0, 0
    while start < len(band.classes):
        stop = min(start + heights[turn % len(heights)], len(band.classes))
        yield part(band, start, stop)
        start, turn = stop, turn + 1


def write(sink_type, path, band, **options):
    height, width = band.classes.shape
    grid = {"georeference": GRID, **options}
    with sink_type(
        path, height=height, width=width, classes=KAGGLE_CLASSES, **grid
    ) as sink:
        for piece in in_parts(band):
            sink.write(piece)


def open_tiff(path):
    return rasterio.open(path, driver="GTiff")


def check_cloud_optimised(data):
    assert data.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert data.block_shapes[0] == (512, 512)
    assert data.overviews(1) == [2, 4]
    assert data.compression.name == "deflate"
    assert (data.height, data.width) == (HEIGHT, WIDTH)
    assert tuple(data.transform)[:6] == GRID.transform
    assert data.crs.to_epsg() == 32633
    assert data.dtypes == ("uint8",) * data.count


def test_classes_are_written_as_they_come(tmp_path):
    band = whole_band()
    write(ClassRasterSink, tmp_path / "a.tif", band)
    with open_tiff(tmp_path / "a.tif") as data:
        check_cloud_optimised(data)
        assert (data.read(1) == band.classes).all()
        assert data.nodata == NO_DATA
        assert data.colorinterp == (ColorInterp.palette,)
        colors = data.colormap(1)
        assert colors[0] == (17, 141, 215, 255)
        assert colors[6] == (193, 190, 175, 255)
        assert colors[NO_DATA] == (0, 0, 0, 0)
        assert data.descriptions == ("terrain class",)
        assert data.tags()["CLASS_2"] == "Forest"
        assert json.loads(data.tags()["CLASSES"])[0]["color"] == [17, 141, 215]
        assert "ROWS_DONE" not in data.tags()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_the_overviews_of_classes_hold_classes_only(tmp_path):
    band = whole_band()
    write(ClassRasterSink, tmp_path / "a.tif", band)
    with rasterio.open(tmp_path / "a.tif", driver="GTiff", overview_level=0) as data:
        small = data.read(1)
    assert small.shape == (350, 650)
    assert set(np.unique(small)) <= set(np.unique(band.classes))
    assert (small[::25, ::25] == band.classes[1::50, 1::50]).mean() > 0.9


def test_the_soft_mask_has_three_bands_and_a_mask(tmp_path):
    band = whole_band()
    write(SoftRasterSink, tmp_path / "a.tif", band)
    with open_tiff(tmp_path / "a.tif") as data:
        check_cloud_optimised(data)
        assert (np.moveaxis(data.read(), 0, -1) == band.soft).all()
        assert [item.name for item in data.colorinterp] == ["red", "green", "blue"]
        assert data.mask_flag_enums[0] == [MaskFlags.per_dataset]
        assert ((data.read_masks(1) > 0) == (band.classes != NO_DATA)).all()
        assert data.tags()["CLASS_6"] == "Tundra"
    image = read_image(tmp_path / "a.tif")
    assert (image.valid == (band.classes != NO_DATA)).all()


def test_probabilities_are_bands_with_names_and_a_scale(tmp_path):
    band = whole_band()
    write(WeightRasterSink, tmp_path / "a.tif", band)
    with open_tiff(tmp_path / "a.tif") as data:
        check_cloud_optimised(data)
        weights = np.moveaxis(data.read(), 0, -1)
        assert (weights == band.weights).all()
        valid = data.read_masks(1) > 0
        assert (valid == (band.classes != NO_DATA)).all()
        assert (weights.sum(axis=-1)[valid] == 255).all()
        assert data.descriptions == tuple(item.name for item in KAGGLE_CLASSES)
        assert data.scales == pytest.approx([1 / 255] * K)
        assert data.units == ("probability",) * K


@pytest.mark.parametrize("count", [3, 4])
def test_few_probabilities_are_not_taken_for_colours(tmp_path, count):
    weights = np.full((8, 8, count), 10, np.uint8)
    band = Band(slice(0, 8), np.zeros((8, 8), np.uint8), None, weights)
    with WeightRasterSink(
        tmp_path / "a.tif",
        height=8,
        width=8,
        classes=KAGGLE_CLASSES[:count],
        georeference=GRID,
    ) as sink:
        sink.write(band)
    with open_tiff(tmp_path / "a.tif") as data:
        meanings = {item.name for item in data.colorinterp}
        assert meanings <= {"gray", "undefined"}


@pytest.mark.parametrize("sink_type", SINKS)
def test_a_stopped_raster_keeps_the_finished_rows(tmp_path, sink_type):
    band = whole_band()
    with sink_type(
        tmp_path / "a.tif",
        height=HEIGHT,
        width=WIDTH,
        classes=KAGGLE_CLASSES,
        georeference=GRID,
    ) as sink:
        sink.write(part(band, 0, 300))
        sink.write(no_data_band(slice(300, 500), WIDTH))
        sink.stopped_at(300)
    with open_tiff(tmp_path / "a.tif") as data:
        check_cloud_optimised(data)
        assert data.tags()["ROWS_DONE"] == "300"
        valid = data.read_masks(1) > 0
    assert (valid[:300] == (band.classes[:300] != NO_DATA)).all()
    assert not valid[300:].any()


def test_rows_that_never_came_have_no_data(tmp_path):
    band = whole_band(200, 60)
    with ClassRasterSink(
        tmp_path / "a.tif", height=200, width=60, classes=KAGGLE_CLASSES
    ) as sink:
        sink.write(part(band, 0, 130))
    with open_tiff_without_place(tmp_path / "a.tif") as data:
        assert data.tags()["ROWS_DONE"] == "130"
        mask = data.read(1)
    assert (mask[:130] == band.classes[:130]).all()
    assert (mask[130:] == NO_DATA).all()


def open_tiff_without_place(path):
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        return open_tiff(path)


def test_after_an_exception_nothing_is_left_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    band = whole_band(300, 40)

    def fail():
        with ClassRasterSink(
            path, height=300, width=40, classes=KAGGLE_CLASSES
        ) as sink:
            sink.write(part(band, 0, 200))
            raise RuntimeError("network")

    with pytest.raises(RuntimeError, match="network"):
        fail()
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("sink_type", SINKS)
def test_a_single_pixel_is_a_raster(tmp_path, sink_type):
    band = whole_band(1, 1)
    band.classes[:] = 3
    write(sink_type, tmp_path / "a.tif", band)
    with open_tiff(tmp_path / "a.tif") as data:
        assert (data.height, data.width) == (1, 1)
        assert data.read_masks(1).tolist() == [[255]]
        assert data.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_bands_out_of_order_or_of_another_image_are_refused(tmp_path):
    band = whole_band(100, 40)
    with ClassRasterSink(
        tmp_path / "a.tif", height=60, width=40, classes=KAGGLE_CLASSES
    ) as sink:
        with pytest.raises(InputError, match="begins at row 20; row 0 is next"):
            sink.write(part(band, 20, 40))
        with pytest.raises(InputError, match=r"80 rows of \(40, 1\); the raster takes"):
            sink.write(part(band, 0, 80))
        with pytest.raises(InputError, match=r"rows of \(30, 1\)"):
            sink.write(no_data_band(slice(0, 5), 30))
    with (
        SoftRasterSink(
            tmp_path / "b.tif", height=60, width=40, classes=KAGGLE_CLASSES
        ) as sink,
        pytest.raises(InputError, match="no soft plane, which this file is made of"),
    ):
        sink.write(Band(slice(0, 60), np.zeros((60, 40), np.uint8)))


def test_another_thread_may_write_the_bands(tmp_path):
    band = whole_band(300, 40)
    with ClassRasterSink(
        tmp_path / "a.tif",
        height=300,
        width=40,
        classes=KAGGLE_CLASSES,
        georeference=GRID,
    ) as sink:
        thread = threading.Thread(
            target=lambda: [sink.write(piece) for piece in in_parts(band)]
        )
        thread.start()
        thread.join()
    with open_tiff(tmp_path / "a.tif") as data:
        assert (data.read(1) == band.classes).all()


def test_too_little_space_is_told_before_the_start(tmp_path):
    with (
        pytest.raises(StorageError, match=r"No space left: \d+ MB needed, \d+ MB free"),
        ClassRasterSink(
            tmp_path / "a.tif",
            height=10**8,
            width=10**7,
            classes=KAGGLE_CLASSES,
        ),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit_kb", [40, 180, 190])
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path, limit_kb):
    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    code = f"""
        import resource
        from pathlib import Path
        import numpy as np
        from terrainlib.data.palette import KAGGLE_CLASSES
        from terrainlib.errors import StorageError
        from terrainlib.mask.tiles.finishing import Band
        from terrainlib.mask.rasters.geotiff import ClassRasterSink
        noise = np.random.default_rng(0).integers(0, 7, (600, 700), dtype=np.uint8)
        import rasterio, rasterio.shutil
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_kb} * 1024,) * 2)
        try:
            with ClassRasterSink(
                Path({str(path)!r}), height=600, width=700, classes=KAGGLE_CLASSES
            ) as sink:
                sink.write(Band(slice(0, 600), noise))
        except StorageError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "a.tif: Cannot be written: the disk did not keep what" in done.stdout
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.tif"]


def test_a_full_disk_is_called_full(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    assert str(write_failure(tmp_path / "a.tif")) == (
        "a.tif: No space left on the disk. Free some space and try again."
    )


@pytest.mark.parametrize("size", [(2, 4), (300, 400), (700, 1300)])
def test_small_masks_have_no_overviews(tmp_path, size):
    write(ClassRasterSink, tmp_path / "a.tif", whole_band(*size))
    with open_tiff(tmp_path / "a.tif") as written:
        assert written.overviews(1) == ([2, 4] if max(size) > 1024 else [])
        assert written.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_a_geotiff_can_be_read_as_a_mask_again(tmp_path):
    band = whole_band(60, 90)
    write(ClassRasterSink, tmp_path / "m.tif", band)
    raw = read_raw_mask(tmp_path / "m.tif")
    listed = ClassList(KAGGLE_CLASSES, ((),) * len(KAGGLE_CLASSES))
    read = as_mask(raw, decide([raw.values], listed).meaning)
    assert (read.index == band.classes).all()


@pytest.mark.parametrize(
    "grid",
    [
        Georeference(LAMBERT.to_wkt(), (7400.0, 0, -2.6e6, 0, -7400.0, 1.9e6), None),
        Georeference("", GRID.transform, None),
        Georeference(GRID.crs_wkt, (8.0, 6.0, 5e5, 6.0, -8.0, 5e6), None),  # turned
    ],
)
def test_every_grid_comes_back(tmp_path, grid):
    band = whole_band(60, 90)
    write(ClassRasterSink, tmp_path / "a.tif", band, georeference=grid)
    found = read_image(tmp_path / "a.tif").georeference
    assert found is not None
    assert found.transform == grid.transform
    assert bool(found.crs_wkt) == bool(grid.crs_wkt)
    if grid.crs_wkt:
        assert CRS.from_wkt(found.crs_wkt) == CRS.from_wkt(grid.crs_wkt)


def test_an_image_without_a_place_makes_a_geotiff_without_one(tmp_path):
    write(ClassRasterSink, tmp_path / "a.tif", whole_band(4, 5), georeference=None)
    assert read_image(tmp_path / "a.tif").georeference is None


def test_names_of_pixels_are_listed_in_their_order():
    odd = TerrainClass("Ice & <Österreich>", (1, 2, 3))
    root = ElementTree.fromstring(raster_names((*KAGGLE_CLASSES, odd)))
    names = [item.text for item in root.findall("PAMRasterBand/CategoryNames/*")]
    assert names == [item.name for item in KAGGLE_CLASSES] + [odd.name]
