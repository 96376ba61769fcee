"""TIFF files that name other files: refused, and nothing that they name is opened."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

import terrainlib
from terrainlib.data.classes.masks import read_raw_mask
from terrainlib.data.dataset import open_dataset
from terrainlib.data.formats.heights import open_heights
from terrainlib.data.imagery import check_intact, read_height, read_image, read_size
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.scene import list_bands, open_scene
from terrainlib.errors import ImageError
from terrainlib.mask.rasters.gdalwork import create_raster
from terrainlib.mask.rasters.geotiff import ClassRasterSink, read_class_geotiff
from tests.imagefiles import (
    GRIDS,
    encode,
    naming_a_grid,
    naming_overviews,
    pattern,
    tiff,
    write,
)
from tests.synthetic import write_folders_dataset

ROOT = Path(terrainlib.__file__).parents[1]
SECONDS = 90
OVERVIEWS = (
    "it names another file for its overviews, and other files are not opened. Save it "
    "with its overviews inside."
)
GRID = (
    "its coordinate reference system names a file, and other files are not opened. "
    "Save it with a system from the EPSG register."
)
REMOTE = (
    "/vsicurl/http://127.0.0.1:{}/x.none",
    "/vsicurl/http://127.0.0.1:{}/x.tif#.none",
    "/vsicurl_streaming/http://127.0.0.1:{}/x.none",
)


def _scene(source: Any) -> None:
    with open_scene(source) as scene:
        scene.overview(8)


def _heights(source: Any) -> None:
    with open_heights(source):
        pass


DOORS: dict[str, Callable[[Any], Any]] = {
    "image": read_image,
    "height": read_height,
    "size": read_size,
    "check": check_intact,
    "bands": list_bands,
    "mask": read_raw_mask,
    "scene": _scene,
    "heights": _heights,
}

# Reads each file that it is given through every door, and tells what they say.
READER = """
import sys
from tests.terrainlib.data.test_named_files import DOORS
for path in sys.argv[1:]:
    for door in DOORS.values():
        try:
            door(path)
        except Exception as error:
            print(type(error).__name__, error)
        else:
            print("read")
"""


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Yield the port of a server that never answers, and that nobody must ask."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


def python(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python beside this process: what hangs GDAL hangs all of it."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kept", ["path", "bytes"])
def test_a_tiff_that_names_its_overviews_is_refused(
    tmp_path: Path, door: str, kept: str
) -> None:
    secret = write(tmp_path, "secret.png", encode(pattern(12, 16)))
    path = write(tmp_path, "a.tif", naming_overviews(secret))
    source = path if kept == "path" else path.read_bytes()
    with pytest.raises(ImageError, match=rf"^(a\.tif|image): {OVERVIEWS}$"):
        DOORS[door](source)


@pytest.mark.parametrize(
    ("domain", "item"),
    [
        ("overviews", "overview_file"),
        ("OVERVIEWS", "OVERVIEW_FILE:/tmp/a"),  # a colon ends a name as well
    ],
)
def test_however_the_name_is_spelt(domain: str, item: str) -> None:
    data = tiff(pattern(), tags={domain: {item: "/tmp/b"}})
    with pytest.raises(ImageError, match=OVERVIEWS):
        read_image(data)


def test_other_metadata_name_what_they_like(tmp_path: Path) -> None:
    named = {"X_DATASET": "/nowhere", "SUBDATASET_1_NAME": "/nowhere", "A": "b"}
    domains = ("GEOLOCATION", "SUBDATASETS", "RPC", "IMD", "DERIVED_SUBDATASETS")
    data = tiff(pattern(), tags=dict.fromkeys(domains, named))
    np.testing.assert_allclose(read_image(data).rgb, pattern() / 255, atol=1e-6)


def test_overviews_inside_the_file_are_read(tmp_path: Path) -> None:
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine.scale(10, -10)}
    path = write(tmp_path, "a.tif", tiff(pattern(64, 64), **place))
    with rasterio.open(path, "r+") as data:
        data.build_overviews([2])
    with open_scene(path) as scene:
        assert scene.overview(32).rgb.shape == (32, 32, 3)


@pytest.mark.parametrize("where", GRIDS)
@pytest.mark.parametrize("profile", [{}, {"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}])
@pytest.mark.parametrize("door", ["image", "scene", "size"])
def test_a_reference_system_that_names_a_grid_is_refused(
    tmp_path: Path, where: str, profile: dict[str, str], door: str
) -> None:
    data = naming_a_grid(tmp_path / "grid", where, **profile)
    with pytest.raises(ImageError, match=rf"^image: {GRID}"):
        DOORS[door](data)


@pytest.mark.parametrize("where", ["overviews", *GRIDS])
def test_a_mask_beside_a_tiff_that_names_a_file_is_not_used(
    tmp_path: Path, where: str
) -> None:
    os.mkfifo(tmp_path / "pipe")  # would be waited for for ever
    target = tmp_path / "pipe"
    path = write(tmp_path, "a.tif", tiff(pattern()))
    named = where == "overviews"
    mask = naming_overviews(target) if named else naming_a_grid(target, where)
    write(tmp_path, "a.tif.msk", mask)
    image = read_image(path)
    assert image.valid.all()
    assert any(
        note.startswith("its mask a.tif.msk is not used: it") for note in image.notes
    )


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_mask_beside_a_tiff_that_is_no_file_is_passed_by(
    tmp_path: Path, kind: str
) -> None:
    path = write(tmp_path, "a.tif", tiff(pattern()))
    beside = tmp_path / "a.tif.msk"
    if kind == "link":
        beside.symlink_to(write(tmp_path, "b.tif", tiff(pattern()[..., 0] * 0)))
    else:
        os.mkfifo(beside)
    assert read_image(path).valid.all()


def test_a_reference_system_in_words_alone_is_read() -> None:
    named, plain = b'EXTENSION["PROJ4_GRIDS"', b'AUTHORITY["EXTENSION"  '
    place = read_image(naming_a_grid("x").replace(named, plain)).georeference
    assert place is not None
    assert place.crs_wkt.startswith('PROJCS["N"')


def test_nothing_named_is_waited_for(tmp_path: Path, silent_port: int) -> None:
    """A server that never answers, a pipe and the standard input, by every door."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    remote = [name.format(silent_port) for name in REMOTE]
    names = [*remote, pipe, "/vsistdin/", f"/vsigzip/{pipe}"]
    files = [
        write(tmp_path, f"{number}.tif", naming_overviews(name))
        for number, name in enumerate(names)
    ]
    files += [
        write(tmp_path, f"{where}.tif", naming_a_grid(pipe, where)) for where in GRIDS
    ]
    reading = python("-c", READER, *files, stdin=subprocess.PIPE)
    told = [
        f"ImageError {path.name}: {OVERVIEWS if path.stem.isdigit() else GRID}"
        for path in files
        for _ in DOORS
    ]
    assert reading.stdout.splitlines() == told, reading.stderr


def test_no_request_is_sent_whoever_opens_the_file(
    tmp_path: Path, silent_port: int
) -> None:
    """GDAL's own settings, also against those of the process's environment."""
    files = [
        write(tmp_path, f"{number}.tif", naming_overviews(name.format(silent_port)))
        for number, name in enumerate(REMOTE)
    ]
    lines = (
        "import sys, terrainlib, rasterio\n"
        "for path in sys.argv[1:]: print(rasterio.open(path).overviews(1))"
    )
    theirs = {
        "CPL_VSIL_CURL_ALLOWED_FILENAME": f"http://127.0.0.1:{silent_port}/x.none",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.none",
        "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE",
        "GDAL_PAM_ENABLED": "YES",
    }
    reading = python("-W", "ignore", "-c", lines, *files, env={**os.environ, **theirs})
    assert reading.stdout.splitlines() == ["[]"] * len(files), reading.stderr


@pytest.mark.parametrize("part", ["images", "masks", "heights"])
def test_in_a_data_set_it_is_a_problem_of_its_pair(tmp_path: Path, part: str) -> None:
    folder = write_folders_dataset(tmp_path / "set", pairs=3)
    _replace(folder / part / "tile_02.png", tmp_path / "nowhere")
    found = open_dataset(folder)
    assert [pair.id for pair in found.pairs] == ["tile_01", "tile_03"]
    assert [problem.problem for problem in found.problems] == [OVERVIEWS]


def test_the_check_of_a_data_set_goes_on(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "set", pairs=3)
    os.mkfifo(tmp_path / "pipe")
    _replace(folder / "images" / "tile_02.png", tmp_path / "pipe")
    checking = python("-m", "terrainlib", "check", folder)
    assert checking.returncode == 0, checking.stderr
    assert "2 usable pairs" in checking.stdout
    assert "it names another file for its overviews" in checking.stdout


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_an_older_file_names_survives_writing_over_it(tmp_path: Path) -> None:
    victim = write(tmp_path, "victim.tif", tiff(pattern()))
    path = write(tmp_path, "a.tif", naming_overviews(victim))
    size = {"width": 8, "height": 8, "count": 1, "dtype": "uint8"}
    create_raster(path, driver="GTiff", **size).close()
    assert read_size(path) == (8, 8)
    write(tmp_path, "a.tif", naming_overviews(victim))
    with ClassRasterSink(path, height=8, width=8, classes=KAGGLE_CLASSES):
        pass
    assert read_size(path) == (8, 8)
    np.testing.assert_allclose(read_image(victim).rgb, pattern() / 255, atol=1e-6)


def test_a_mask_of_ours_that_was_exchanged_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tif", naming_overviews("/nowhere"))
    with pytest.raises(ImageError, match=rf"^a\.tif: {OVERVIEWS}"):
        read_class_geotiff(path, 1)


def _replace(picture: Path, target: Path) -> None:
    """Put a TIFF of the same pixels, which names a file, in a picture's place."""
    with Image.open(picture) as opened:
        pixels = np.array(opened)
    write(picture.parent, f"{picture.stem}.tif", naming_overviews(target, pixels))
    picture.unlink()
