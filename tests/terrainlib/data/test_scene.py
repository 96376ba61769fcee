"""Images of any size are read by window, and a window is a part of the whole image."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image as Picture
from rasterio.enums import ColorInterp, Resampling

from terrainlib.data.formats.heights import heights_of, open_heights
from terrainlib.data.imagery import Image, read_height, read_image
from terrainlib.data.scene import Scene, open_scene, scene_of
from terrainlib.errors import ConfigError, ImageError
from tests.imagefiles import encode, pattern, png_claiming, tiff, wide_png, write

HEIGHT, WIDTH = 83, 70
RGB = pattern(HEIGHT, WIDTH)
GREY = RGB[..., 0]
HOLES = np.where(GREY > 60, 255, 0).astype(np.uint8)
WIDE = RGB.astype(np.uint16) * 40 + 300
FLOATS = (RGB * 3.7 - 200).astype(np.float32)
FLOATS[3:9, 5:50, 1] = np.nan
FLOATS[40, 60] = np.inf
ALPHA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
GREY_ALPHA = [ColorInterp.gray, ColorInterp.alpha]
SPATIAL = {"crs": "EPSG:3035", "transform": Affine(100, 0, 4e6, 0, -100, 3e6)}
TILES = {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "deflate"}
COLORMAP = {n: (n * 9, 255 - n, n, 0 if n == 7 else 255) for n in range(25)}

KINDS: dict[str, bytes] = {
    "strips": tiff(RGB, compress="lzw", blockysize=7),
    "tiles": tiff(RGB, **TILES),
    "one strip": tiff(RGB, blockysize=HEIGHT),
    "bands apart": tiff(RGB, interleave="band", **TILES),
    "16 bits": tiff(WIDE, **TILES),
    "16 bits, 4 bands, no-data value": tiff(
        np.where(HOLES[..., None] > 0, np.dstack([WIDE, GREY]), 65535).astype("u2"),
        nodata=65535,
        **TILES,
    ),
    "negative numbers": tiff(WIDE.astype(np.int16) - 3000),
    "floats with NaN and infinity": tiff(FLOATS, **TILES),
    "doubles": tiff(FLOATS.astype(np.float64), nodata=-200),
    "no-data value": tiff(RGB, nodata=11),
    "palette": tiff(GREY % 25, colormap=COLORMAP, **TILES),
    "grey": tiff(GREY, **TILES),
    "grey and alpha": tiff(np.dstack([GREY, HOLES]), colorinterp=GREY_ALPHA),
    "RGBA": tiff(np.dstack([RGB, HOLES]), colorinterp=ALPHA, **TILES),
    "mask inside": tiff(RGB, mask=HOLES, **TILES),
    "1 bit": encode(GREY > 99, "TIFF"),
    "JPEG inside": tiff(RGB, compress="jpeg", photometric="YCBCR", tiled=True),
    "big-endian BigTIFF": tiff(WIDE, ENDIANNESS="BIG", BIGTIFF="YES"),
    "five bands": tiff(np.dstack([WIDE, WIDE[..., :2]]), **TILES),
    "PNG": encode(RGB),
    "PNG with alpha": encode(np.dstack([RGB, HOLES])),
    "16-bit PNG": wide_png(WIDE),
    "palette PNG": encode(Picture.fromarray(RGB).quantize(9)),
    "JPEG": encode(RGB, "JPEG"),
}


def windows(height: int, width: int, size: int = 29) -> Iterator[tuple[slice, slice]]:
    """Yield windows that together are the image, none of them on a block's grid."""
    for row in range(0, height, size):
        for column in range(0, width, size):
            yield (
                slice(row, min(row + size, height)),
                slice(column, min(column + size, width)),
            )


def read_all(path: Path) -> None:
    """Read all windows of a file."""
    with open_scene(path) as scene:
        for window in windows(scene.height, scene.width):
            scene.read(window)


def require_parts(scene: Scene, image: Image) -> None:
    assert (scene.height, scene.width) == image.rgb.shape[:2]
    for window in windows(scene.height, scene.width):
        rgb, valid = scene.read(window)
        assert rgb.dtype == np.float32
        assert valid.dtype == np.bool_
        np.testing.assert_array_equal(rgb, image.rgb[window])
        np.testing.assert_array_equal(valid, image.valid[window])


@pytest.mark.parametrize("from_disk", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_a_part_of_the_whole_image(
    tmp_path: Path, kind: str, from_disk: bool
) -> None:
    data = KINDS[kind]
    source = write(tmp_path, "a.tif", data) if from_disk else data
    image = read_image(source)
    with open_scene(source) as scene:
        require_parts(scene, image)
        assert scene.name == image.name
        assert scene.georeference == image.georeference
        said = [note for note in image.notes if "have no data" not in note]
        assert [note for note in scene.notes if "have no data" not in note] == said


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_a_large_image_has_one_scale_however_it_is_read(dtype: Any) -> None:
    rows, columns = np.mgrid[0:2100, 0:2050]
    values = rows * 3 + columns * 2 + (rows * columns) % 97
    values = (values if dtype == np.uint16 else values - 5000).astype(dtype)
    data = tiff(values, **{**TILES, "blockxsize": 256, "blockysize": 256})
    image = read_image(data)
    with open_scene(data) as scene:
        assert any("percentiles 2 to 98" in note for note in scene.notes)
        window = (slice(1000, 1100), slice(1900, 2050))
        np.testing.assert_array_equal(scene.read(window)[0], image.rgb[window])
    low, high = np.percentile(values, (2, 98))
    expected = np.clip((values[window] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(image.rgb[window][..., 0], expected, atol=0.02)


def test_windows_are_the_callers_own() -> None:
    image = Image.from_array(RGB)
    scenes = [scene_of(image)]
    with open_scene(KINDS["PNG"]) as opened:
        scenes.append(opened)
        for scene in scenes:
            rgb, valid = scene.read((slice(0, 5), slice(0, 5)))
            rgb[:], valid[:] = 7, False
            again, still = scene.read((slice(0, 5), slice(0, 5)))
            assert again.max() <= 1
            assert still.all()


def test_an_image_in_memory_is_a_scene_too() -> None:
    image = read_image(tiff(FLOATS, **SPATIAL), name="mine.tif")
    scene = scene_of(image)
    require_parts(scene, image)
    assert scene.notes == image.notes
    assert scene.name == "mine.tif"
    assert scene.georeference == image.georeference


@pytest.mark.parametrize(
    "window",
    [
        (slice(0, HEIGHT + 1), slice(0, 5)),
        (slice(0, 5), slice(-1, 5)),
        (slice(4, 4), slice(0, 5)),
    ],
)
def test_windows_over_the_edge_and_empty_ones_are_refused(window: Any) -> None:
    with open_scene(KINDS["tiles"]) as scene:
        for opened in (
            scene,
            scene_of(Image.from_array(RGB)),
            heights_of(FLOATS[..., 0]),
        ):
            with pytest.raises(
                ConfigError, match=r"^a window's (rows|columns) must lie"
            ):
                opened.read(window)


def sparse(path: Path, side: int, **options: Any) -> Path:
    """Write a file of which only the block at its middle is stored."""
    profile = {"width": side, "height": side, "count": 3, "dtype": "uint8"}
    with rasterio.open(
        path, "w", driver="GTiff", SPARSE_OK=True, **profile, **SPATIAL, **options
    ) as data:
        block = np.full((3, 512, 512), 200, np.uint8)
        corner = side // 2 // 512 * 512
        data.write(block, window=rasterio.windows.Window(corner, corner, 512, 512))
    return path


@pytest.mark.parametrize("side", [20_480, 102_400])
def test_files_far_larger_than_memory_are_read_by_window(
    tmp_path: Path, side: int
) -> None:
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "BIGTIFF": "YES"}
    path = sparse(tmp_path / "large.tif", side, compress="deflate", **tiles)
    with pytest.raises(
        ImageError,
        match=r"^large\.tif: .* the limit is 80 for files read whole\. Crop it; pred",
    ):
        read_image(path)
    with open_scene(path) as scene:
        assert (scene.height, scene.width) == (side, side)
        middle = side // 2
        rgb, valid = scene.read((slice(middle, middle + 3), slice(middle, middle + 4)))
        np.testing.assert_array_equal(rgb, np.full((3, 4, 3), np.float32(200) / 255))
        assert valid.all()
        assert scene.read((slice(side - 9, side), slice(0, 9)))[0].max() == 0
        small = scene.overview(300)
        assert small.rgb.shape == (300, 300, 3)
        assert small.rgb[150, 150, 0] > small.rgb[5, 5, 0] == 0


def test_a_file_larger_than_is_read_whole_is_opened_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terrainlib.data.formats.source.MAX_FILE_MB", 0.001)
    path = write(tmp_path, "a.tif", KINDS["tiles"])
    with open_scene(path) as scene:
        assert scene.read((slice(0, 1), slice(0, 1)))[0].shape == (1, 1, 3)
    with (
        pytest.raises(ImageError, match=r"the file has \d+ MB; the limit is"),
        open_scene(KINDS["tiles"]),
    ):
        pass


def test_a_png_may_not_be_larger_than_is_decoded_at_once() -> None:
    with (
        pytest.raises(
            ImageError,
            match=r"400 megapixels; the limit is 80\. Crop it, or save it as",
        ),
        open_scene(png_claiming(20_000, 20_000)),
    ):
        pass


@pytest.mark.parametrize("apart", ["band", "pixel"])
@pytest.mark.parametrize("percent", [30, 60, 95])
def test_a_file_that_is_cut_off_is_noticed_when_it_is_opened_or_read(
    tmp_path: Path, percent: int, apart: str
) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
    data = tiff(noise, interleave=apart, **TILES)
    path = write(tmp_path, "a.tif", data[: len(data) * percent // 100])
    with pytest.raises(ImageError, match=r"^a\.tif: the image is cut off.* Copy or"):
        read_all(path)


def test_damage_in_the_middle_is_told_where_it_is_met(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
    data = bytearray(tiff(noise, **TILES))
    middle = len(data) // 2
    data[middle : middle + 4000] = b"\x55" * 4000
    with open_scene(write(tmp_path, "a.tif", bytes(data))) as scene:
        scene.read((slice(0, 32), slice(0, 256)))
        with pytest.raises(ImageError, match=r"^a\.tif: damaged\. Copy or download"):
            scene.read((slice(96, 160), slice(0, 256)))
        scene.read((slice(224, 256), slice(0, 256)))


def test_several_threads_read_one_scene(tmp_path: Path) -> None:
    noise = np.random.default_rng(5).integers(0, 9000, (300, 300, 3), np.uint16)
    path = write(tmp_path, "a.tif", tiff(noise, **TILES))
    image = read_image(path)
    with open_scene(path) as scene, ThreadPoolExecutor(3) as threads:
        tasks = [threads.submit(require_parts, scene, image) for _ in range(3)]
        for task in tasks:
            task.result()


@pytest.mark.parametrize("kind", KINDS)
def test_an_overview_is_the_image_made_small(kind: str) -> None:
    image = read_image(KINDS[kind])
    with open_scene(KINDS[kind]) as scene:
        same = scene.overview(500)
        small = scene.overview(20)
    np.testing.assert_array_equal(same.rgb, image.rgb)
    np.testing.assert_array_equal(same.valid, image.valid)
    assert small.rgb.shape == (20, 17, 3)
    assert small.valid.shape == (20, 17)
    assert small.rgb.dtype == np.float32
    assert 0 <= small.rgb.min() <= small.rgb.max() <= 1
    assert (small.rgb[~small.valid] == 0).all()
    share = image.valid.mean()
    if share == 1:
        assert small.valid.all()
        np.testing.assert_allclose(small.rgb.mean(), image.rgb.mean(), atol=0.03)


def test_an_overview_lies_where_its_image_lies() -> None:
    with open_scene(tiff(RGB, **SPATIAL)) as scene:
        place = scene.overview(41).georeference
    assert place is not None
    a, _, c, _, e, f = place.transform
    assert (c, f) == (4e6, 3e6)
    assert a * 35 == pytest.approx(100 * WIDTH)
    assert e * 41 == pytest.approx(-100 * HEIGHT)


def test_overviews_inside_the_file_are_used(tmp_path: Path) -> None:
    grey = np.full((512, 512, 3), 90, np.uint8)
    path = write(tmp_path, "a.tif", tiff(grey, **TILES, **SPATIAL))
    with rasterio.open(path, "r+") as data:
        data.build_overviews([2, 4, 8], Resampling.average)
    with rasterio.open(path, "r+") as data:
        data.write(np.zeros((3, 512, 512), np.uint8))  # the overviews stay as they were
    with open_scene(path) as scene:
        assert scene.overview(100).rgb.max() == np.float32(90) / 255
        assert scene.overview(512).rgb.max() == 0


HEIGHTS = {
    "16 bits": tiff(WIDE[..., 0], **TILES),
    "floats": tiff(FLOATS[..., 1], nodata=-200, **TILES),
    "with alpha": tiff(np.dstack([GREY, HOLES]), colorinterp=GREY_ALPHA),
    "PNG": wide_png(WIDE[..., 0]),
}


@pytest.mark.parametrize("kind", HEIGHTS)
def test_windows_of_heights_are_parts_of_all_heights(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, "h.tif", HEIGHTS[kind])
    metres = read_height(path)
    with open_heights(path) as heights:
        assert heights.name == "h.tif"
        in_memory = heights_of(metres)
        for opened in (heights, in_memory):
            assert (opened.height, opened.width) == (HEIGHT, WIDTH)
            for window in windows(HEIGHT, WIDTH):
                part = opened.read(window)
                assert part.dtype == np.float32
                np.testing.assert_array_equal(part, metres[window])
                part[:] = 0
    np.testing.assert_array_equal(metres, read_height(path))


@pytest.mark.parametrize("kind", ["strips", "palette", "five bands", "PNG", "RGBA"])
def test_pictures_are_no_heights(kind: str) -> None:
    with pytest.raises(ImageError) as whole:
        read_height(KINDS[kind], name="h.tif")
    with (
        pytest.raises(
            ImageError, match="; a height file has 1 band of metres"
        ) as parts,
        open_heights(KINDS[kind], name="h.tif"),
    ):
        pass
    assert str(parts.value) == str(whole.value)
