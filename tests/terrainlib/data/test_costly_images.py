"""Small files that would cost much, or give a wrong picture, are refused."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from terrainlib.data.imagery import check_intact, read_image, read_size
from terrainlib.errors import ImageError
from tests.imagefiles import encode, jpeg_claiming, pattern, png, png_claiming


def many_scans() -> bytes:
    """Return a progressive JPEG whose last scan is there 200 times."""
    data = encode(pattern(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 200 + b"\xff\xd9"


def claiming(*header: int) -> bytes:
    """Return a PNG with a header, a few pixels and no checksum wrong."""
    width, height, bits, color, interlaced = header
    start = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)
    pixels = zlib.compress(b"\0" * 64)
    return png((b"IHDR", start), (b"IDAT", pixels), (b"IEND", b""))


def palette_png(*palette: bytes) -> bytes:
    """Return a PNG of 8 x 8 pixels that all have colour 3 of a palette."""
    start = struct.pack(">IIBBBBB", 8, 8, 8, 3, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\3" * 8) * 8)
    colors = [(b"PLTE", content) for content in palette]
    return png((b"IHDR", start), *colors, (b"IDAT", pixels), (b"IEND", b""))


def plain_tiff(width: int, height: int, bands: int = 1, pages: int = 1) -> bytes:
    """Return a TIFF of one packed strip, with the same page again and again."""
    strip = zlib.compress(b"\0" * 64)
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 273: 8, 277: bands}
    tags |= {278: height, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", t, 4, 1, n) for t, n in tags.items())
    first, length = 8 + len(strip), 2 + len(entries) + 4
    nexts = [first + length * number for number in range(1, pages)]
    listed = [
        struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
        for following in (*nexts, 0)
    ]
    return b"II*\0" + struct.pack("<I", first) + strip + b"".join(listed)


def masked_tiff() -> bytes:
    """Return a TIFF with a mask inside, whose one tile has 16,384 px a side."""
    image = bytearray(encode(pattern(16, 16, 1)[..., 0], "TIFF"))
    place = struct.unpack_from("<I", image, 4)[0]
    end = place + 2 + 12 * struct.unpack_from("<H", image, place)[0]
    tags = {254: 4, 256: 16, 257: 16, 258: 1, 259: 8, 262: 4, 277: 1}
    tags |= {322: 16_384, 323: 16_384, 324: 8, 325: 8}
    entries = b"".join(struct.pack("<HHII", t, 4, 1, n) for t, n in tags.items())
    struct.pack_into("<I", image, end, len(image))
    return bytes(image) + struct.pack("<H", len(tags)) + entries + bytes(4)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "200 scans": (many_scans, "209 scans, each of which is decoded over the whole pi"),
    "16 bits of four samples": (
        lambda: claiming(8900, 8900, 16, 6, 0),
        "8900 x 8900 pixels of 16 bits a sample take 634 MB to decode; the limit is",
    ),
    "interlaced": (
        lambda: claiming(8900, 8900, 8, 2, 1),
        "8 bits a sample, interlaced, take 475 MB to decode; the limit is 320 MB for P",
    ),
    "one side": (
        lambda: plain_tiff(2**29, 1),
        "536870912 x 1 pixels; the limit is 5,000,000 a side. Cut it.",
    ),
    "bands": (lambda: plain_tiff(16, 16, 65_535), "65,535 bands; the limit is 2,000."),
    "block of all bands": (
        lambda: plain_tiff(1000, 1000, 200),
        "a block of 1000 x 1000 pixels; the limit is 128 MB a block. Save it with tile",
    ),
    "mask": (masked_tiff, "a block of 16384 x 16384 pixels; the limit is 64 MB a bloc"),
    "pages": (
        lambda: plain_tiff(8, 8, pages=10_001),
        "more than 10,000 pages; that",
    ),
    "claims": (
        lambda: jpeg_claiming(800, 800),
        "the pixels end before the 800 x 800 that its header names, and the rest would",
    ),
    "no palette": (palette_png, "a palette image without its palette. Save it again, "),
    "short palette": (
        lambda: palette_png(bytes(9)),
        "its pixels use colour 3 of a palette with 3 colours, numbered from 0. Save it",
    ),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_costs_much_or_is_wrong_gives_its_sentence(row: str) -> None:
    make, sentence = REFUSED[row]
    with pytest.raises(ImageError) as caught:
        read_image(make(), name="a.file")
    assert str(caught.value).startswith("a.file: ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("row", ["200 scans", "claims", "no palette", "pages"])
def test_a_data_set_is_checked_for_them(row: str) -> None:
    with pytest.raises(ImageError):
        check_intact(REFUSED[row][0]())


@pytest.mark.parametrize(
    "data",
    [
        encode(np.full((40, 40, 3), 128, np.uint8), "JPEG"),
        encode(np.full((40, 40), 128, np.uint8), "JPEG", progressive=True),
    ],
)
def test_a_grey_jpeg_is_no_lie(data: bytes) -> None:
    assert np.ptp(read_image(data).rgb) < 0.02


@pytest.mark.parametrize(
    "make",
    [
        lambda: png_claiming(8900, 8900),
        lambda: plain_tiff(5_000_000, 1),
        lambda: plain_tiff(16, 16, 2000),
        lambda: plain_tiff(8, 8, pages=10_000),
    ],
    ids=["8 bits", "side", "bands", "pages"],
)
def test_what_is_at_the_limit_is_not_refused_by_its_header(make: Any) -> None:
    assert min(read_size(make())) > 0
