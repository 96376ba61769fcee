"""Picture files for the tests, good and hostile, made in memory."""

import io
import struct
import warnings
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.palette import Classes
from terrainlib.mask.rasters.geotiff import ClassRasterSink
from terrainlib.mask.tiles.bands import Band

PNG_START = b"\x89PNG\r\n\x1a\n"


def pattern(height: int = 24, width: int = 32, bands: int = 3) -> NDArray[np.uint8]:
    """Return (H, W, B) uint8 in which every row and column differs."""
    values = np.arange(height * width * bands, dtype=np.int64) * 7919 % 251
    return values.reshape(height, width, bands).astype(np.uint8)


def encode(pixels: Any, kind: str = "PNG", **options: Any) -> bytes:
    """Return an array or a Pillow image as a file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def wide_png(pixels: NDArray[np.uint16]) -> bytes:
    """Return (H, W[, 3 or 4]) uint16 as a 16-bit PNG."""
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    done, data = cv2.imencode(".png", pixels)
    assert done
    return bytes(data)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of the given chunks, with right lengths and checksums."""
    parts = [
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return PNG_START + b"".join(parts)


def png_claiming(width: int, height: int) -> bytes:
    """Return a small complete PNG whose header claims the given size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b""))


def jpeg_claiming(width: int, height: int) -> bytes:
    """Return a small JPEG whose header claims the given size."""
    data = bytearray(encode(pattern(), "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff(pixels: NDArray[Any], *, mask: Any = None, **profile: Any) -> bytes:
    """Return (H, W[, B]) of any type as a GeoTIFF written by GDAL."""
    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    interpretation = profile.pop("colorinterp", None)
    colormap = profile.pop("colormap", None)
    descriptions = profile.pop("descriptions", None)
    tags = profile.pop("tags", {})
    height, width, count = pixels.shape
    options = {"driver": "GTiff", "dtype": pixels.dtype, "count": count, **profile}
    with (
        warnings.catch_warnings(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"),
        MemoryFile() as memory,
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(height=height, width=width, **options) as data:
            if interpretation:
                data.colorinterp = interpretation
            if descriptions:
                data.descriptions = descriptions
            if colormap:
                data.write_colormap(1, colormap)
            for domain, items in tags.items():
                data.update_tags(ns=domain, **items)
            data.write(np.moveaxis(pixels, -1, 0))
            if mask is not None:
                data.write_mask(mask)
        return bytes(memory.read())


def naming_overviews(target: object, pixels: NDArray[Any] | None = None) -> bytes:
    """Return a GeoTIFF whose metadata name a file as its overviews."""
    tags = {"OVERVIEWS": {"OVERVIEW_FILE": str(target)}}
    return tiff(pattern() if pixels is None else pixels, tags=tags)


_GEOGRAPHIC = (
    'GEOGCS["WGS 84",DATUM["d",SPHEROID["s",6378137,298.25]{datum}],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'
)
_PLANE = (
    'PROJCS["{name}",' + _GEOGRAPHIC + ',PROJECTION["Mercator"],'
    'PARAMETER["False_Easting",0],PARAMETER["False_Northing",0],'
    'PARAMETER["Central_Meridian",0],PARAMETER["Standard_Parallel_1",0],'
    'UNIT["Meter",1]{plane}]'
)
GRIDS = {
    "datum": {"datum": ',EXTENSION["PROJ4_GRIDS","{target}"]'},
    "plane": {"plane": ',extension ("PROJ4","+proj=merc +nadgrids={target} +no_defs")'},
}


def naming_a_grid(target: object, where: str = "datum", **profile: Any) -> bytes:
    """Return a GeoTIFF whose reference system names a file of shifts.

    GDAL writes a system with a long name; the text takes the place of that one's.
    """
    parts = {"name": "N" * 400, "datum": "", "plane": ""}
    place = {"crs": _PLANE.format(**parts), "transform": Affine.scale(10, -10)}
    data = tiff(pattern(), **place, GEOTIFF_KEYS_FLAVOR="ESRI_PE", **profile)
    start = data.index(b"ESRI PE String = ") + len("ESRI PE String = ")
    end = data.index(b"|", start)
    text = _PLANE.format(**{**parts, "name": "N", **GRIDS[where]})
    text = text.replace("{target}", str(target)).ljust(end - start)
    assert len(text) == end - start
    return data[:start] + text.encode() + data[end:]


def placed_at(transform: tuple[float, ...], **profile: Any) -> bytes:
    """Return a GeoTIFF with the six numbers of a transform, whatever they are."""
    marks = (3.25, 0.125, 500_001.5, 0.375, -7.75, 5_000_002.5)
    data = tiff(pattern(), transform=Affine(*marks), **profile)
    for mark, number in zip(marks, transform, strict=True):
        before = struct.pack("<d", mark)
        assert data.count(before) == 1
        data = data.replace(before, struct.pack("<d", number))
    return data


def vrt(source: str, extra: str = "") -> bytes:
    """Return a VRT description (GDAL's text format) that names another file."""
    return f"""<VRTDataset rasterXSize="20" rasterYSize="20">
  <VRTRasterBand dataType="Byte" band="1">{extra}
    <SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename>
      <SourceBand>1</SourceBand></SimpleSource>
  </VRTRasterBand></VRTDataset>""".encode()


def write(folder: Path, name: str, data: bytes) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(data)
    return path


def class_tiff(
    mask: NDArray[np.uint8], classes: Classes, georeference: Georeference | None
) -> bytes:
    """Return a class mask as the GeoTIFF that a prediction writes."""
    height, width = mask.shape
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mask.tif"
        with ClassRasterSink(
            path,
            height=height,
            width=width,
            classes=classes,
            georeference=georeference,
        ) as sink:
            sink.write(Band(slice(0, height), mask))
        return path.read_bytes()
