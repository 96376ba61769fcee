"""TIFF and GeoTIFF files as rasters: bands, no data, palette and place on the Earth.

Pixels are read in strips of whole blocks, never by one call, so that what is missing is
noticed where it is missing.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.bands import Choice, Marks, choose
from terrainlib.data.formats.raster import (
    Georeference,
    Raster,
    Transform,
    Triple,
    whole,
)
from terrainlib.data.formats.source import OpenSource, damaged
from terrainlib.data.formats.tiff import OpenTiff, faults, open_overview, open_tiff
from terrainlib.types import Window

_STRIP_MB: Final = 32
_FARTHEST: Final = 1e15  # in any unit: no place on the Earth is so far from another
_SMALLEST: Final = 1e-12  # side of a pixel as a share of that: less is lost in rounding


@dataclass(frozen=True, slots=True, eq=False)
class TiffPicture:
    """An open TIFF file with the bands to read of it.

    Attributes:
        tiff: The file, or an overview inside it.
        choice: The bands.
        palette: (n, 4) uint8 RGBA colours that the pixels index, None without one.
        maximum: Full scale of the samples, None for floats.
        nodata: Value that means no data, None without one.
        masked: Whether a mask inside the file says where there is data.
        notes: What the reader should know of the file and the choice.
        georeference: Where the pixels lie, None where the file does not say.
    """

    tiff: OpenTiff
    choice: Choice
    palette: NDArray[np.uint8] | None
    maximum: int | None
    nodata: float | None
    masked: bool
    notes: tuple[str, ...]
    georeference: Georeference | None

    @property
    def read_bands(self) -> list[int]:
        """Numbers of the bands that are read, alpha last."""
        alpha = self.choice.alpha
        return [*self.choice.colors, *([] if alpha is None else [alpha])]

    @property
    def pixel_bytes(self) -> int:
        """Bytes that are decoded for a pixel, those of other bands between included."""
        data = self.tiff.data
        bands = data.count if self.tiff.together else len(self.read_bands)
        return int(bands * np.dtype(data.dtypes[0]).itemsize)

    def raster(self, window: Window) -> Raster:
        """Return the pixels under a window as stored.

        Raises:
            ImageError: If a block is missing or damaged.
        """
        samples = np.moveaxis(self.tiff.read(self.read_bands, window), 0, -1)
        pixels = samples[..., : len(self.choice.colors)]
        valid = self._valid(pixels, window)
        if self.choice.alpha is not None:
            valid &= samples[..., -1] > 0
        palette = self.palette
        if palette is not None:
            opaque = np.ones(np.iinfo(samples.dtype).max + 1, bool)
            opaque[: len(palette)] = palette[:, 3] > 0
            valid &= opaque[samples[..., 0]]
        return Raster(
            pixels,
            valid,
            self.maximum,
            palette=None if palette is None else palette[:, :3],
            notes=self.notes,
            georeference=self.georeference,
            file_bands=self.tiff.data.count - (self.choice.alpha is not None),
            nodata=self.nodata,
        )

    def _valid(self, pixels: NDArray[Any], window: Window) -> NDArray[np.bool_]:
        """Return where the file has data, by its mask, its no-data value and NaN."""
        nodata = self.nodata
        valid = np.ones(pixels.shape[:2], bool)
        if self.masked:
            valid = self.tiff.read_mask(window)
        if nodata is not None and not np.isnan(nodata):
            valid &= (pixels != nodata).any(axis=2)
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(axis=2)
        return valid


@contextmanager
def open_picture(
    source: OpenSource, bands: Triple | None = None, *, in_parts: bool = False
) -> Iterator[TiffPicture]:
    """Open a file and choose its bands.

    Raises:
        ImageError: If it is cut off or damaged, or has bands or numbers that make no
            picture.
    """
    with open_tiff(source, in_parts=in_parts) as tiff:
        with faults(lambda: damaged(source.name)):
            data = tiff.data
            choice = choose(_marks(data), bands, source.name)
            georeference, place_notes = read_place(data)
            picture = TiffPicture(
                tiff,
                choice,
                _palette(data, choice),
                _maximum(data),
                data.nodata,
                _is_masked(data),
                source.notes + _page_notes(data) + place_notes + choice.notes,
                georeference,
            )
        yield picture


@contextmanager
def open_reduced(picture: TiffPicture, height: int) -> Iterator[TiffPicture]:
    """Open the smallest overview inside the file that has so many rows, px.

    Without one it is the picture itself.
    """
    tiff = picture.tiff
    rows = [tiff.height // factor for factor in tiff.overviews]
    large = [number for number, count in enumerate(rows) if count >= height]
    if not large:
        yield picture
        return
    with open_overview(tiff, min(large, key=lambda number: rows[number])) as reduced:
        yield replace(picture, tiff=reduced, masked=_is_masked(reduced.data))


def read_size(source: OpenSource, *, in_parts: bool = False) -> tuple[int, int]:
    """Return (H, W) in px from the header alone."""
    with open_tiff(source, in_parts=in_parts) as tiff:
        return tiff.height, tiff.width


def read_marks(source: OpenSource) -> tuple[list[Marks], str]:
    """Return what the header says about each band, and the type of their samples."""
    with open_tiff(source, in_parts=True) as tiff, faults(lambda: damaged(source.name)):
        return _marks(tiff.data), str(tiff.data.dtypes[0])


def check_intact(source: OpenSource) -> None:
    """Read all blocks once.

    Raises:
        ImageError: If one is missing or damaged.
    """
    with open_tiff(source) as tiff:
        bands = list(tiff.data.indexes)
        for window in _strips(tiff, len(bands)):
            tiff.read(bands, window)


def decode(source: OpenSource, bands: Triple | None = None) -> Raster:
    """Return the pixels of the first page as stored.

    Raises:
        ImageError: If it is too large, cut off or damaged, or has bands or numbers
            that make no picture.
    """
    with open_picture(source, bands) as picture:
        tiff, shape = picture.tiff, (picture.tiff.height, picture.tiff.width)
        strips = _strips(tiff, len(picture.read_bands))
        pixels = np.empty((*shape, len(picture.choice.colors)), tiff.data.dtypes[0])
        valid = np.empty(shape, bool)
        for window in strips:
            part = picture.raster(window)
            pixels[window], valid[window] = part.pixels, part.valid
        return replace(part, pixels=pixels, valid=valid)


def _strips(tiff: OpenTiff, bands: int) -> Iterator[Window]:
    block = tiff.block[0]
    row_bytes = tiff.width * bands * np.dtype(tiff.data.dtypes[0]).itemsize
    rows = max(1, _STRIP_MB * 1_000_000 // (row_bytes * block)) * block
    _, columns = whole(tiff.height, tiff.width)
    for row in range(0, tiff.height, rows):
        yield slice(row, min(row + rows, tiff.height)), columns


def _marks(data: Any) -> list[Marks]:
    try:
        names = data.descriptions
    except UnicodeDecodeError:  # names in an encoding that is not stated
        names = [None] * data.count
    pairs = zip(data.colorinterp, names, strict=True)
    return [Marks(color.name, name) for color, name in pairs]


def _maximum(data: Any) -> int | None:
    """Return the full scale of the samples, None for floats."""
    dtype = np.dtype(data.dtypes[0])
    if dtype.kind == "f":
        return None
    bits = data.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    return 2 ** int(bits) - 1 if bits else int(np.iinfo(dtype).max)


def _palette(data: Any, choice: Choice) -> NDArray[np.uint8] | None:
    """Return the colours that the pixels index, (n, 4) RGBA, or None."""
    band = choice.colors[0]
    if len(choice.colors) > 1 or data.colorinterp[band - 1].name != "palette":
        return None
    entries = data.colormap(band)
    table = np.zeros((max(entries) + 1, 4), np.uint8)
    for index, color in entries.items():
        table[index] = color
    return table


def _is_masked(data: Any) -> bool:
    """Say whether a mask inside the file says where there is data."""
    from rasterio.enums import MaskFlags

    flags = set(data.mask_flag_enums[0])
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def _page_notes(data: Any) -> tuple[str, ...]:
    pages = sum(key.endswith("_NAME") for key in data.tags(ns="SUBDATASETS"))
    return (f"{pages} pages; page 1 is used",) if pages > 1 else ()


def read_place(data: Any) -> tuple[Georeference | None, tuple[str, ...]]:
    """Return where the pixels lie, and what is to be known of that.

    Args:
        data: Rasterio's data set.

    Returns:
        None where the file does not say, or nowhere where pixels could lie.
    """
    from rasterio.errors import CRSError

    try:
        wkt = data.crs.to_wkt() if data.crs else ""
    except CRSError:
        wkt = ""
    if not wkt and data.transform.is_identity:
        return None, ()
    a, b, c, d, e, f = tuple(data.transform)[:6]
    if not _is_place((a, b, c, d, e, f), data.height, data.width):
        note = "its georeference is no place on the Earth; read as a plain picture"
        return None, (note,)
    return Georeference(wkt, (a, b, c, d, e, f), data.nodata), ()


def _is_place(transform: Transform, height: int, width: int) -> bool:
    """Say whether pixels have places of their own: finite, apart, and not in a line."""
    a, b, c, d, e, f = transform
    farthest = max(
        abs(a) * width + abs(b) * height + abs(c),
        abs(d) * width + abs(e) * height + abs(f),
    )
    if not (all(map(math.isfinite, transform)) and farthest <= _FARTHEST):
        return False
    across, down = math.hypot(a, d), math.hypot(b, e)
    apart = min(across, down) > _SMALLEST * farthest
    return apart and abs(a * e - b * d) > _SMALLEST * across * down
