"""Hostile and faulty picture files: one clear sentence each, quickly, and no more."""

import os
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image as Picture
from rasterio.errors import RasterioError

from terrainlib.data.formats.source import MAX_FILE_MB
from terrainlib.data.imagery import check_intact, read_height, read_image, read_size
from terrainlib.errors import ImageError
from tests.conftest import ROOT
from tests.imagefiles import (
    PNG_START,
    encode,
    jpeg_claiming,
    pattern,
    png,
    png_claiming,
    tiff,
    vrt,
    write,
)

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
COPY = "Copy or download it again."
NO_PICTURE = "not a PNG, JPEG or TIFF image. Save it as one of these."
IN_PARTS = "the limit is 80. Crop it, or save it as GeoTIFF: prediction reads that in"


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


def looping_tiff() -> bytes:
    """Return a TIFF whose first directory names itself as the next one."""
    data = bytearray(encode(pattern(), "TIFF"))
    offset = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, offset)[0]
    struct.pack_into("<I", data, offset + 2 + 12 * count, offset)
    return bytes(data)


def sparse_tiff() -> bytes:
    """Return a GeoTIFF of 200,000 x 200,000 x 3 that stores no pixel."""
    with rasterio.MemoryFile() as memory:
        profile = {"width": 200_000, "height": 200_000, "count": 3, "dtype": "uint8"}
        tiles = {"tiled": True, "blockxsize": 4096, "blockysize": 4096}
        georeference = {"crs": "EPSG:3035", "transform": rasterio.Affine.scale(10, -10)}
        with memory.open(
            driver="GTiff",
            SPARSE_OK=True,
            BIGTIFF="YES",
            **profile,
            **tiles,
            **georeference,
        ):
            pass
        return memory.read()


def big_block_tiff() -> bytes:
    """Return a GeoTIFF of 16 x 16 pixels whose one block is a gigabyte."""
    sides = {"tiled": True, "blockxsize": 32_768, "blockysize": 32_768}
    return tiff(np.zeros((16, 16), np.uint8), **sides, SPARSE_OK=True)


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "I01 empty": ("a.png", b"", f"the file is empty. {COPY}"),
    "I02 text": ("a.png", b"hello, I am a text file\n", NO_PICTURE),
    "I02 SVG": ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", NO_PICTURE),
    "I03 half PNG": (
        "a.png",
        half(encode(NOISE)),
        f"the image is cut off after 48 %. {COPY}",
    ),
    "I03 PNG without its end": (
        "a.png",
        encode(NOISE)[:-5],
        f"the image is cut off after 99 %. {COPY}",
    ),
    "I03 PNG header only": (
        "a.png",
        encode(NOISE)[:20],
        f"the image is cut off. {COPY}",
    ),
    "I03 PNG cut before its pixels": (
        "a.png",
        encode(NOISE)[:36],
        f"the image is cut off. {COPY}",
    ),
    "I04 half JPEG": (
        "a.jpg",
        half(encode(NOISE.repeat(8, axis=0), "JPEG")),
        "the image is cut off after 4",
    ),
    "I04 JPEG header only": (
        "a.jpg",
        encode(NOISE, "JPEG")[:30],
        f"the image is cut off. {COPY}",
    ),
    "I05 half TIFF": (
        "a.tif",
        half(encode(NOISE, "TIFF")),
        "the image is cut off",
    ),
    "I05 half GeoTIFF": (
        "a.tif",
        half(tiff(NOISE, compress="deflate")),
        "the image is cut off",
    ),
    "I05 TIFF header only": ("a.tif", tiff(NOISE)[:6], f"the image is cut off. {COPY}"),
    "I06 byte flipped": (
        "a.png",
        flipped(encode(NOISE), 5000),
        f"damaged. {COPY}",
    ),
    "I06 chunk length flipped": (
        "a.png",
        flipped(encode(NOISE), 33),
        f"damaged. {COPY}",
    ),
    "I08 100 megapixels": (
        "a.png",
        png_claiming(10_000, 10_000),
        f"10000 x 10000 = 100 megapixels; {IN_PARTS}",
    ),
    "I08 one row over": (
        "a.png",
        png_claiming(8_000, 10_001),
        f"8000 x 10001 = 81 megapixels; {IN_PARTS}",
    ),
    "I08 JPEG": (
        "a.jpg",
        jpeg_claiming(20_000, 20_000),
        f"20000 x 20000 = 400 megapixels; {IN_PARTS}",
    ),
    "I09 900 megapixels": (
        "a.png",
        png_claiming(30_000, 30_000),
        f"30000 x 30000 = 900 megapixels; {IN_PARTS}",
    ),
    "I10 all that a header can say": (
        "a.png",
        png_claiming(2**31 - 1, 2**31 - 1),
        f"megapixels; {IN_PARTS}",
    ),
    "I10 no pixels": ("a.png", png_claiming(0, 10), f"damaged. {COPY}"),
    "I11 sparse GeoTIFF": (
        "a.tif",
        sparse_tiff(),
        "200000 x 200000 = 40000 megapixels; the limit is 80 for files read whole. Cro",
    ),
    "I11 huge block": (
        "a.tif",
        big_block_tiff(),
        "a block of 32768 x 32768 pixels; the limit is 64 MB a block. Save it with",
    ),
    "I22 complex numbers": (
        "a.tif",
        tiff(np.zeros((8, 8), np.complex64)),
        "the pixels are complex numbers; real numbers are supported.",
    ),
    "I22 2 bands": (
        "a.tif",
        tiff(np.zeros((8, 8, 2), np.uint8)),
        "2 bands",
    ),
    "I29 GIF": (
        "a.png",
        encode(Picture.fromarray(NOISE).quantize(8), "GIF"),
        NO_PICTURE,
    ),
    "I29 WebP": ("a.jpg", encode(NOISE, "WEBP"), NO_PICTURE),
    "I30 VRT": ("a.tif", vrt("/etc/hostname"), NO_PICTURE),
    "I31 WMS": ("a.tif", b"<GDAL_WMS><Service name='WMS'/></GDAL_WMS>", NO_PICTURE),
    "I32 VRT with Python": (
        "a.tif",
        vrt("/etc/hostname", "<PixelFunctionLanguage>Python</PixelFunctionLanguage>"),
        NO_PICTURE,
    ),
}


@pytest.mark.parametrize("row", REFUSED)
@pytest.mark.parametrize("read", [read_image, read_height, check_intact])
def test_a_faulty_file_gives_its_sentence(tmp_path: Path, row: str, read: Any) -> None:
    name, data, sentence = REFUSED[row]
    path = write(tmp_path, name, data)
    if read is check_intact and "bands" in row:
        read(path)  # a complete file, whatever can be made of it
        return
    started = time.perf_counter()
    with pytest.raises(ImageError) as caught:
        read(path)
    assert time.perf_counter() - started < 2
    assert str(caught.value).startswith(f"{name}: ")
    assert sentence in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_of_two_bands_is_none_and_200_bands_are_no_height() -> None:
    with pytest.raises(
        ImageError, match=r"^a\.tif: 2 bands, of which neither is alpha; a picture has"
    ):
        read_image(tiff(np.zeros((8, 8, 2), np.uint8)), name="a.tif")
    with pytest.raises(ImageError, match=r"^a\.tif: 200 bands; a height file has 1 ba"):
        read_height(tiff(np.zeros((8, 8, 200), np.uint8)), name="a.tif")


@pytest.mark.parametrize("row", REFUSED)
def test_the_same_bytes_uploaded_give_the_same_sentence(row: str) -> None:
    name, data, sentence = REFUSED[row]
    with pytest.raises(ImageError) as caught:
        read_image(data, name=f"../folder/{name}")
    assert str(caught.value).startswith(f"{name}: ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("row", [r for r in REFUSED if r[:3] in {"I01", "I08", "I10"}])
def test_the_header_alone_is_enough_to_refuse(row: str) -> None:
    name, data, sentence = REFUSED[row]
    with pytest.raises(ImageError) as caught:
        read_size(data, name=name)
    assert sentence in str(caught.value)


def test_a_huge_header_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    path = write(tmp_path, "huge.png", png_claiming(20_000, 20_000))
    tracemalloc.start()
    started = time.perf_counter()
    try:
        with pytest.raises(
            ImageError,
            match=r"^huge\.png: 20000 x 20000 = 400 megapixels; the limit is 80\. ",
        ):
            read_image(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - started < 0.2
    assert peak < 1_000_000


def test_a_huge_text_in_a_tiny_png_is_damage(tmp_path: Path) -> None:
    start = png_claiming(4, 4)[:33] + struct.pack(">I4s", 200_000_000, b"tEXt")
    path = write(tmp_path, "a.png", start)
    os.truncate(path, 200_000_000)
    for read in (read_image, read_size, check_intact):
        with pytest.raises(ImageError, match=r"^a\.png: damaged\. Copy or download"):
            read(path)


def test_a_text_that_unpacks_to_much_is_damage() -> None:
    text = b"Comment\0\0" + zlib.compress(b" " * 100_000_000)
    good = encode(pattern())
    data = good[:33] + png((b"zTXt", text))[len(PNG_START) :] + good[33:]
    with pytest.raises(ImageError, match="damaged"):
        read_image(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xe0" + b"\0\x02" + b"\0" * 20_000_000,
        b"\xff\xd8" + b"\xff\xe0\0\x02" * 5_000_000,
        b"\xff\xd8" + b"\xff" * 20_000_000,
        png_claiming(4, 4)[:33] + png((b"tEXt", b""))[len(PNG_START) :] * 1_700_000,
    ],
    ids=["zeros", "markers", "fillers", "chunks"],
)
def test_endless_headers_end(data: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(ImageError, match=r"damaged|cut off"):
        read_size(data)
    assert time.perf_counter() - started < 5


def test_a_file_over_the_size_limit_is_refused_unread(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tif", b"II*\0")
    os.truncate(path, MAX_FILE_MB * 1_000_000 + 1)
    with pytest.raises(
        ImageError, match=r"^a\.tif: the file has 2001 MB; the limit is 2000 MB\."
    ):
        read_image(path)


def test_a_flipped_byte_in_a_jpeg_cannot_be_told_but_does_no_harm() -> None:
    data = encode(NOISE, "JPEG")
    image = read_image(flipped(data, len(data) // 2))
    assert image.rgb.shape == (64, 64, 3)


def test_a_tiff_whose_directories_form_a_loop_ends() -> None:
    np.testing.assert_allclose(
        read_image(looping_tiff()).rgb, pattern() / 255, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GeoTIFF", "tiles"])
@pytest.mark.parametrize("percent", [1, 5, 20, 40, 60, 80, 95, 99])
def test_every_cut_is_noticed(kind: str, percent: int) -> None:
    whole = {
        "GeoTIFF": lambda: tiff(NOISE),
        "tiles": lambda: tiff(NOISE, tiled=True, blockxsize=16, blockysize=16),
    }.get(kind, lambda: encode(NOISE, kind))()
    data = whole[: len(whole) * percent // 100]
    for read in (read_image, check_intact):
        with pytest.raises(ImageError, match=r"^image: the image is cut off"):
            read(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GeoTIFF"])
def test_random_damage_raises_nothing_but_our_own_errors(kind: str) -> None:
    good = tiff(NOISE, compress="lzw") if kind == "GeoTIFF" else encode(NOISE, kind)
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(150):
        data = np.frombuffer(good, np.uint8).copy()
        reach = len(data) if rng.random() < 0.5 else min(300, len(data))
        places = rng.integers(0, reach, rng.integers(1, 6))
        data[places] = rng.integers(0, 256, len(places))
        try:
            read_image(data.tobytes())
        except ImageError:
            refused += 1
    assert refused > 5


@pytest.fixture
def listener() -> Iterator[tuple[int, list[Any]]]:
    """Yield the port of a server on this machine and the list of its visitors."""
    visitors: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                visitors.append(address)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], visitors
        time.sleep(0.1)
        done.set()
        thread.join()
    assert visitors == []


def requests(port: int) -> dict[str, bytes]:
    """Return texts that would make GDAL ask a server, by the driver that would."""
    address = f"http://127.0.0.1:{port}"
    return {
        "VRT": vrt(f"/vsicurl/{address}/x.tif"),
        "WMS": f"<GDAL_WMS><Service name='WMS'><Version>1.1.1</Version><ServerUrl>"
        f"{address}/?</ServerUrl><Layers>x</Layers></Service><DataWindow><UpperLeftX>0"
        "</UpperLeftX><UpperLeftY>0</UpperLeftY><LowerRightX>1</LowerRightX><LowerRightY>"
        "1</LowerRightY><SizeX>9</SizeX><SizeY>9</SizeY></DataWindow></GDAL_WMS>".encode(),
    }


@pytest.mark.parametrize("driver", ["VRT", "WMS"])
def test_a_description_named_tif_asks_no_server(
    tmp_path: Path, listener: tuple[int, list[Any]], driver: str
) -> None:
    data = requests(listener[0])[driver]
    path = write(tmp_path, "a.tif", data)
    for source in (path, data):
        with pytest.raises(ImageError, match="not a PNG, JPEG or TIFF image"):
            read_image(source)
    with pytest.raises(RasterioError):  # nor does any other door of this process
        rasterio.open(path)
    with pytest.raises(RasterioError), rasterio.MemoryFile(data) as memory:
        memory.open()


@pytest.mark.parametrize("suffix", [".ovr", ".msk", ".aux.xml"])
def test_files_beside_a_geotiff_are_not_opened(
    tmp_path: Path, listener: tuple[int, list[Any]], suffix: str
) -> None:
    path = write(tmp_path, "a.tif", tiff(NOISE))
    write(tmp_path, "a.tif" + suffix, requests(listener[0])["VRT"])
    np.testing.assert_allclose(read_image(path).rgb, NOISE / 255, atol=1e-6)


@pytest.mark.parametrize(
    "typed",
    [
        "/vsicurl/http://127.0.0.1:{}/x.tif",
        "http://127.0.0.1:{}/x.tif",
        "zip://x!x.tif",
    ],
)
def test_addresses_are_not_paths(listener: tuple[int, list[Any]], typed: str) -> None:
    with pytest.raises(ImageError, match=r"x\.tif: there is no such file\. Check the"):
        read_image(typed.format(listener[0]))


def test_gdal_has_nothing_to_say_of_the_drivers_that_are_off(tmp_path: Path) -> None:
    image = tmp_path / "image.tif"
    image.write_bytes(tiff(np.zeros((8, 8, 3), np.uint8)))
    code = (
        "import logging, sys; logging.basicConfig()\n"
        "from terrainlib.data.imagery import read_image\n"
        "read_image(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(image)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_only_known_drivers_are_left_on() -> None:
    with rasterio.Env() as environment:
        left = set(environment.drivers())
    known = {"GTiff", "COG", "PNG", "JPEG", "GPKG", "GeoJSON", "ESRI Shapefile"}
    assert left <= known | {"MEM", "Memory"}
    assert {"GTiff", "COG", "GPKG", "GeoJSON", "MEM"} <= left


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for read in (read_image, read_height, read_size, check_intact):
        with pytest.raises(ImageError, match=r"^a\.png: this is a device or a pipe"):
            read(tmp_path / "a.png")


def test_links_devices_and_folders_are_refused(tmp_path: Path) -> None:
    good = write(tmp_path, "good.png", encode(NOISE))
    for name, target in (("zero.png", Path("/dev/zero")), ("link.png", good)):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(
            ImageError, match=rf"^{name}: this is a link; links are not"
        ):
            read_image(tmp_path / name)
    with pytest.raises(ImageError, match=r"^zero: this is a device or a pipe"):
        read_image("/dev/zero")
    with pytest.raises(
        ImageError, match=r": this is a folder, not an image\. Give the"
    ):
        read_image(tmp_path)


@pytest.mark.parametrize("path", ["nowhere.png", "x" * 300 + ".png", "a\0b.png", ""])
def test_a_path_to_nothing_is_refused(path: str) -> None:
    with pytest.raises(
        ImageError, match=r"Check the path\.|this is a folder"
    ) as caught:
        read_image(path)
    assert len(str(caught.value)) < 160
    assert "\0" not in str(caught.value)
