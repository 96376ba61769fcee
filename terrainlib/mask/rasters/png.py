"""Masks as PNG pictures for others.

Everything is encoded in memory; writing is the caller's business, through `files`.
Masks on the grid of their image are the business of `geotiff`.
"""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.place import world_lines
from terrainlib.data.formats.raster import Georeference
from terrainlib.data.palette import NO_DATA, Classes, colorize
from terrainlib.errors import ImageError, require_number
from terrainlib.files import write_bytes
from terrainlib.mask.rasters.rasterfile import Layout, RasterSink
from terrainlib.mask.tiles.bands import Band, Plane, to_bytes
from terrainlib.types import ByteArray

# Run lengths alone: three times as fast as a search for repetitions, and of soft masks
# and indices as small.
_PNG: Final = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
_AFTER_HEADER: Final = 33  # bytes of the signature and the first chunk
_PALETTE: Final = 3  # colour type of a PNG whose pixels are places in a table


def overlay(rgb: NDArray[Any], mask_rgb: NDArray[Any], opacity: float) -> ByteArray:
    """Lay a coloured mask over an image.

    Args:
        rgb: (H, W, 3) uint8, or float32 in [0, 1].
        mask_rgb: (H, W, 3) of the same size, uint8, or float32 in [0, 1].
        opacity: 0 shows the image alone, 1 the mask alone.

    Returns:
        (H, W, 3) uint8: image + opacity * (mask - image), rounded.

    Raises:
        ConfigError: If the opacity is not 0 to 1.
        ImageError: If the sizes differ.
    """
    require_number("opacity", opacity, 0, 1)
    if rgb.shape != mask_rgb.shape:
        raise ImageError(
            f"the image is {rgb.shape} and the mask {mask_rgb.shape}; both must have "
            "the same size. Use the mask that belongs to the image."
        )
    below = _unit(rgb)
    return to_bytes(below + np.float32(opacity) * (_unit(mask_rgb) - below))


def encode_png(picture: NDArray[Any], *, clear: int | None = None) -> bytes:
    """Return a picture as a PNG file: the one way to make a PNG in memory.

    Args:
        picture: (H, W), (H, W, 3) or (H, W, 4), uint8, uint16, or float32 in [0, 1].
        clear: The grey that is transparent in a picture of (H, W, 3) uint8, if any.
    """
    if picture.dtype != np.uint16:
        picture = to_bytes(picture)
    if picture.ndim == 3:
        order = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        picture = cv2.cvtColor(picture, order)
    data = bytes(cv2.imencode(".png", picture, _PNG)[1].tobytes())
    if clear is None:
        return data
    chunk = _chunk(b"tRNS", bytes([0, clear] * 3))
    return data[:_AFTER_HEADER] + chunk + data[_AFTER_HEADER:]


def mask_png(mask: ByteArray, classes: Classes) -> bytes:
    """Return a class mask as an RGB PNG in its classes' colours, no data transparent.

    Args:
        mask: (H, W) uint8 class indices, 255 = no data.
        classes: The K classes.
    """
    clear = _clear_grey(classes)
    return encode_png(_colored(mask, classes, clear), clear=clear)


def _clear_grey(classes: Classes) -> int:
    """Return the darkest grey that is no class's colour, for pixels without data."""
    colors = {item.color for item in classes}
    return next(grey for grey in range(256) if (grey, grey, grey) not in colors)


def _colored(mask: ByteArray, classes: Classes, clear: int) -> ByteArray:
    colors = colorize(mask, classes)
    if clear:
        colors[mask == NO_DATA] = clear
    return colors


def index_png(
    mask: ByteArray, classes: Classes, *, texts: Mapping[str, str] | None = None
) -> bytes:
    """Return a class mask as a palette PNG: indices inside, colours on the screen.

    No data is transparent.

    Args:
        mask: (H, W) uint8 class indices, 255 = no data.
        classes: The K classes.
        texts: Text chunks to store before the pixels, by keyword; in Latin-1.
    """
    grey = encode_png(mask)
    signature, size, pixels = grey[:8], grey[16:24], grey[_AFTER_HEADER:]
    table = colorize(np.arange(256, dtype=np.uint8), classes)
    chunks = [
        _chunk(b"IHDR", size + bytes([8, _PALETTE, 0, 0, 0])),
        _chunk(b"PLTE", table.tobytes()),
        _chunk(b"tRNS", b"\xff" * NO_DATA + b"\0"),
    ]
    for keyword, text in (texts or {}).items():
        chunks.append(_chunk(b"tEXt", f"{keyword}\0{text}".encode("latin-1")))
    return b"".join([signature, *chunks, pixels])


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file: length, kind, data and checksum."""
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _unit(picture: NDArray[Any]) -> NDArray[np.float32]:
    """Return pixels as float32 in [0, 1]."""
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / np.float32(255)
    return np.asarray(picture, np.float32)


MAX_PNG_MEGAPIXELS: Final = 500
_PNG_PNGFILE: Final = {"zlevel": 4}


class _PngSink(RasterSink):
    """Writes an RGB picture."""

    def __init__(self, path: Path, *, height: int, width: int, **options: Any) -> None:
        if height * width > MAX_PNG_MEGAPIXELS * 1e6:
            raise ImageError(
                f"{width} x {height} pixels; the limit for PNG is {MAX_PNG_MEGAPIXELS} "
                "megapixels. Write a GeoTIFF instead.",
                file=Path(path).name,
            )
        super().__init__(path, height=height, width=width, **options)

    def _layout(self, height: int, width: int) -> Layout:
        return Layout(height, width, 3, "PNG", _PNG_PNGFILE, {"photometric": "RGB"})

    def _describe(self, data: Any) -> None:
        """A picture shows no more than its pixels."""


class ClassPngSink(_PngSink):
    """Writes the classes in their colours, no data transparent, as `mask_png` does."""

    @property
    def clear(self) -> int:
        """The grey that stands for no data."""
        return _clear_grey(self.classes)

    def _layout(self, height: int, width: int) -> Layout:
        profile = {"photometric": "RGB", "nodata": self.clear}
        return Layout(height, width, 3, "PNG", _PNG_PNGFILE, profile)

    def _pixels(self, band: Band) -> ByteArray:
        return _colored(band.classes, self.classes, self.clear)


class SoftPngSink(_PngSink):
    """Writes the soft mask, no data black."""

    wants: ClassVar[tuple[Plane, ...]] = ("soft",)

    def _pixels(self, band: Band) -> ByteArray:
        return self._plane("soft", band)


class WorldFileSink:
    """Writes the world file that places a PNG beside it; it is of six lines.

    Use it as a context; the file is written in the end.

    Args:
        path: The file to write: the PNG's name with `.pgw` for its ending.
        georeference: Where the pixels lie.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """

    wants: ClassVar[tuple[Plane, ...]] = ()

    def __init__(self, path: Path, *, georeference: Georeference, **_: Any) -> None:
        self._path = path
        self._place = georeference

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            write_bytes(self._path, world_lines(self._place.transform).encode())

    def write(self, band: Band) -> None:
        """Take the next rows, which say nothing of the place."""

    def stopped_at(self, row: int) -> None:
        """Nothing to say: a part of the picture lies where the whole does."""
