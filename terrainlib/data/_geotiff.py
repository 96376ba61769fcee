"""TIFF and GeoTIFF files, decoded by GDAL's GTiff driver and nothing else.

Pixels are read in strips of whole blocks, never by one call, so that what is missing is
noticed where it is missing. Files beside the TIFF (world files, overviews, masks) are
not looked at: they could name other files.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data._raster import ALPHA_NOTE, Georeference, Raster
from terrainlib.data._source import OpenSource, check_pixels, cut_off, damaged
from terrainlib.data._tiff import read_state
from terrainlib.errors import ImageError

_STRIP_MB: Final = 32
_MAX_BLOCK_MB: Final = 1024
_CLOSED: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
}
# `warnings.catch_warnings` changes the whole process; one thread at a time.
_WARNINGS_LOCK = threading.Lock()


def read_size(source: OpenSource) -> tuple[int, int]:
    """Return (H, W) in px from the header alone."""
    with _open(source) as data:
        return data.height, data.width


def check_intact(source: OpenSource) -> None:
    """Read all blocks once.

    Raises:
        ImageError: If one is missing or damaged.
    """
    with _open(source) as data:
        for _ in _strips(data, source, list(data.indexes)):
            pass


def decode(source: OpenSource) -> Raster:
    """Return the pixels of the first page as stored.

    Raises:
        ImageError: If it is too large, cut off or damaged, or has bands or numbers
            that make no picture.
    """
    with _open(source) as data:
        colors, alpha, band_notes = _bands(data, source.name)
        shape = (data.height, data.width)
        samples = np.empty((*shape, len(colors) + len(alpha)), data.dtypes[0])
        for row, strip in _strips(data, source, colors + alpha):
            samples[row : row + strip.shape[1]] = np.moveaxis(strip, 0, -1)
        pixels = samples[..., : len(colors)]
        palette = _palette(data)
        valid = _valid(data, source.name, pixels)
        if alpha:
            valid &= samples[..., -1] > 0
        if palette is not None:
            opaque = np.ones(np.iinfo(samples.dtype).max + 1, bool)
            opaque[: len(palette)] = palette[:, 3] > 0
            valid &= opaque[samples[..., 0]]
        return Raster(
            pixels,
            valid,
            _maximum(data),
            palette=None if palette is None else palette[:, :3],
            notes=source.notes + _page_notes(data) + band_notes,
            georeference=_georeference(data),
        )


@contextmanager
def _open(source: OpenSource) -> Iterator[Any]:
    """Open the first page, with everything but the file itself out of reach."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.io import MemoryFile

    state, share = read_state(source.handle, source.size)
    if state == "cut":
        raise cut_off(source.name, share)
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(**_CLOSED))
        place: Any = source.path
        if place is None:
            source.handle.seek(0)
            place = stack.enter_context(MemoryFile(source.handle.read()))
        try:
            with _WARNINGS_LOCK, warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                data = stack.enter_context(rasterio.open(place, driver="GTiff"))
        except RasterioError as error:
            raise damaged(source.name) from error
        _check(data, source.name)
        yield data


def _check(data: Any, name: str) -> None:
    """Judge what the header declares."""
    check_pixels(data.width, data.height, name)
    if any(np.dtype(dtype).kind == "c" for dtype in data.dtypes):
        raise ImageError(
            "the pixels are complex numbers; real numbers are supported. Save their "
            "magnitude instead.",
            file=name,
        )
    height, width = data.block_shapes[0]
    if height * width * np.dtype(data.dtypes[0]).itemsize > _MAX_BLOCK_MB * 1e6:
        raise ImageError(
            f"a block of {width} x {height} pixels; the limit is {_MAX_BLOCK_MB} MB a "
            "block. Save it with tiles of 512 x 512.",
            file=name,
        )


def _bands(data: Any, name: str) -> tuple[list[int], list[int], tuple[str, ...]]:
    """Return the colour bands, the alpha band (or none) and notes on the choice."""
    meanings = [item.name for item in data.colorinterp]
    alpha = [band for band, meaning in enumerate(meanings, 1) if meaning == "alpha"][
        -1:
    ]
    colors = [band for band in data.indexes if band not in alpha]
    notes = (ALPHA_NOTE,) if alpha else ()
    if {"red", "green", "blue"} <= set(meanings):
        named = [meanings.index(color) + 1 for color in ("red", "green", "blue")]
        colors = named + [band for band in colors if band not in named]
    if data.count == 4 and len(colors) == 4:
        return colors[:3], [], ("4 bands; the first three are red, green and blue",)
    if len(colors) not in (1, 3):
        raise ImageError(
            f"{data.count} bands; 1, 3 or 4 are supported. Save the bands to use as a "
            "file of their own.",
            file=name,
        )
    return colors, alpha, notes


def _strips(
    data: Any, source: OpenSource, bands: list[int]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first row, (B, rows, W)) from top to bottom, in whole rows of blocks."""
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    block = data.block_shapes[0][0]
    row_bytes = data.width * len(bands) * np.dtype(data.dtypes[0]).itemsize
    rows = max(1, _STRIP_MB * 1_000_000 // (row_bytes * block)) * block
    for row in range(0, data.height, rows):
        window = Window(0, row, data.width, min(rows, data.height - row))
        try:
            strip = data.read(bands, window=window)
        except RasterioError as error:
            raise _block_error(data, source) from error
        yield row, strip


def _block_error(data: Any, source: OpenSource) -> ImageError:
    """Say whether blocks are missing or damaged in a file that cannot be read."""
    height, width = data.block_shapes[0]
    across = -(-data.width // width)
    down = -(-data.height // height)
    for y in range(down):
        for x in range(across):
            offset, size = (
                data.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=1)
                for what in ("OFFSET", "SIZE")
            )
            if offset and size and int(offset) + int(size) > source.size:
                return cut_off(source.name, y / down)
    return damaged(source.name)


def _valid(data: Any, name: str, pixels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where the file has data, by its mask, its no-data value and NaN."""
    from rasterio.enums import MaskFlags
    from rasterio.errors import RasterioError

    valid = np.ones(pixels.shape[:2], bool)
    flags = set(data.mask_flag_enums[0])
    if MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
        try:
            valid = data.read_masks(1) > 0
        except RasterioError as error:
            raise damaged(name) from error
    if data.nodata is not None and not np.isnan(data.nodata):
        valid &= (pixels != data.nodata).any(axis=2)
    if pixels.dtype.kind == "f":
        valid &= np.isfinite(pixels).all(axis=2)
    return valid


def _maximum(data: Any) -> int | None:
    """Return the full scale of the samples, None for floats."""
    dtype = np.dtype(data.dtypes[0])
    if dtype.kind == "f":
        return None
    bits = data.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    return 2 ** int(bits) - 1 if bits else int(np.iinfo(dtype).max)


def _palette(data: Any) -> NDArray[np.uint8] | None:
    """Return the colours that the pixels index, (n, 4) RGBA, or None."""
    if data.count != 1 or data.colorinterp[0].name != "palette":
        return None
    entries = data.colormap(1)
    table = np.zeros((max(entries) + 1, 4), np.uint8)
    for index, color in entries.items():
        table[index] = color
    return table


def _page_notes(data: Any) -> tuple[str, ...]:
    pages = len(data.subdatasets)
    return (f"{pages} pages; page 1 is used",) if pages > 1 else ()


def _georeference(data: Any) -> Georeference | None:
    """Return where the pixels lie, or None where the file does not say."""
    from rasterio.errors import CRSError

    try:
        wkt = data.crs.to_wkt() if data.crs else ""
    except CRSError:
        wkt = ""
    if not wkt and data.transform.is_identity:
        return None
    a, b, c, d, e, f = tuple(data.transform)[:6]
    return Georeference(wkt, (a, b, c, d, e, f), data.nodata)
