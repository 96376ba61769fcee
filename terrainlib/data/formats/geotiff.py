"""TIFF and GeoTIFF files as rasters: bands, no data, palette and place on the Earth.

Pixels are read in strips of whole blocks, never by one call, so that what is missing is
noticed where it is missing.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.bands import BandChoice, Choice, FileBands, Marks, choose
from terrainlib.data.formats.place import MASK_ENDING, sidecar, tiff_place, turning
from terrainlib.data.formats.raster import (
    SIDEWAYS,
    BandSet,
    Georeference,
    Grid,
    Raster,
    few_windows,
    stored_window,
    upright,
    whole,
)
from terrainlib.data.formats.source import (
    MAX_FILE_MB,
    OpenSource,
    damaged,
    open_source,
)
from terrainlib.data.formats.tiff import (
    OpenTiff,
    faults,
    open_overview,
    open_tiff,
    read_stored,
)
from terrainlib.errors import ImageError
from terrainlib.types import Window

_STRIP_MB: Final = 32
_ALPHA: Final = "alpha"
_PLAIN_SHARE: Final = 0.9  # of an alpha's values above 0 are the same
_MASK_BYTES: Final = MAX_FILE_MB * 1_000_000
_NOT_PLACED: Final = (
    ", which are not used: read as a picture without a place. Warp it onto a grid, for "
    "instance with gdalwarp, to give it one"
)


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
        used: The set that the bands are; None for grey or RGB.
        turned: How pixels are turned when they are read, 1 to 8 as in EXIF.
        beside: The mask beside the file that says where there is data, if it is used.
    """

    tiff: OpenTiff
    choice: Choice
    palette: NDArray[np.uint8] | None
    maximum: int | None
    nodata: float | None
    masked: bool
    notes: tuple[str, ...]
    georeference: Georeference | None
    used: BandSet | None = None
    turned: int = 1
    beside: OpenTiff | None = None

    @property
    def height(self) -> int:
        """Rows of the picture as it is read, px."""
        return self._sides((self.tiff.height, self.tiff.width))[0]

    @property
    def width(self) -> int:
        """Columns of the picture as it is read, px."""
        return self._sides((self.tiff.height, self.tiff.width))[1]

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of the picture that are decoded together."""
        return self._sides(self.tiff.block)

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
        window = stored_window(window, self.turned, (self.height, self.width))
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
            upright(pixels, self.turned),
            upright(valid, self.turned),
            self.maximum,
            palette=None if palette is None else palette[:, :3],
            notes=self.notes,
            georeference=self.georeference,
            file_bands=self.tiff.data.count - (self.choice.alpha is not None),
            used=self.used,
            nodata=self.nodata,
        )

    def _valid(self, pixels: NDArray[Any], window: Window) -> NDArray[np.bool_]:
        """Return where the file has data, by its mask, its no-data value and NaN."""
        nodata = self.nodata
        valid = np.ones(pixels.shape[:2], bool)
        if self.masked:
            valid = self.tiff.read_mask(window)
        elif self.beside is not None:
            valid = np.asarray(self.beside.read([1], window)[0] > 0)
        if nodata is not None and not np.isnan(nodata):
            valid &= (pixels != nodata).any(axis=2)
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(axis=2)
        return valid

    def _sides(self, stored: tuple[int, int]) -> tuple[int, int]:
        return stored[::-1] if self.turned in SIDEWAYS else stored


@contextmanager
def open_picture(
    source: OpenSource, bands: BandChoice = None, *, in_parts: bool = False
) -> Iterator[TiffPicture]:
    """Open a file and choose its bands.

    Raises:
        ImageError: If it is cut off or damaged, or has bands or numbers that make no
            picture.
    """
    with ExitStack() as stack:
        tiff = stack.enter_context(open_tiff(source, in_parts=in_parts))
        with faults(lambda: damaged(source.name)):
            data = tiff.data
            choice = choose(_marks(tiff), bands, source.name)
            placing = _placing(source, data)
            masked = _is_masked(data)
        beside, mask_notes = (None, ()) if masked else _open_beside(tiff, stack)
        with faults(lambda: damaged(source.name)):
            picture = TiffPicture(
                tiff,
                choice,
                _palette(data, choice),
                _maximum(data),
                data.nodata,
                masked,
                source.notes
                + _page_notes(data)
                + placing.notes
                + mask_notes
                + choice.notes,
                placing.place,
                bands if isinstance(bands, BandSet) else None,
                placing.turned,
                beside,
            )
        yield picture


class _Placing(NamedTuple):
    """Where the pixels of a file lie, how they are turned, and what is told of that."""

    place: Georeference | None
    turned: int
    notes: tuple[str, ...]


def _placing(source: OpenSource, data: Any) -> _Placing:
    place, notes = tiff_place(source, data)
    stored = read_stored(source.handle, source.size)
    turned, turned_notes = turning(place, stored.orientation, "orientation tag")
    if place is None:
        points = len(data.gcps[0])
        if points:
            notes += (f"{points} ground control points{_NOT_PLACED}",)
        if stored.rational:
            notes += (f"rational polynomials (RPC){_NOT_PLACED}",)
    return _Placing(place, turned, turned_notes + notes)


def _open_beside(
    tiff: OpenTiff, stack: ExitStack
) -> tuple[OpenTiff | None, tuple[str, ...]]:
    """Open the mask beside a file, `a.tif.msk`, and say what became of it."""
    image = tiff.source.path
    names = [] if image is None else [image.name + MASK_ENDING]
    path = sidecar(tiff.source, names, _MASK_BYTES)
    if path is None:
        return None, ()
    with ExitStack() as opening:
        try:
            source = opening.enter_context(open_source(path, in_parts=True))
            if source.kind != "TIFF":
                return None, (f"its mask {path.name} is not a TIFF and is not used",)
            mask = opening.enter_context(open_tiff(source, in_parts=True))
        except ImageError as error:
            return None, (f"its mask {path.name} is not used: {error.message}",)
        if (mask.height, mask.width) != (tiff.height, tiff.width):
            return None, (f"its mask {path.name} has another size and is not used",)
        stack.push(opening.pop_all())
    return mask, (f"no data where its mask {path.name} says so",)


@contextmanager
def open_reduced(picture: TiffPicture, height: int) -> Iterator[TiffPicture]:
    """Open the smallest overview inside the file that has so many rows, px.

    Without one, or with a mask beside the file, it is the picture itself.
    """
    tiff = picture.tiff
    usable = () if picture.beside else tiff.overviews
    rows = [picture.height // factor for factor in usable]
    large = [number for number, count in enumerate(rows) if count >= height]
    if not large:
        yield picture
        return
    with open_overview(tiff, min(large, key=lambda number: rows[number])) as reduced:
        yield replace(picture, tiff=reduced, masked=_is_masked(reduced.data))


def read_grid(source: OpenSource, *, in_parts: bool = False) -> Grid:
    """Return the size of a picture and where it lies, from the header alone."""
    with (
        open_tiff(source, in_parts=in_parts) as tiff,
        faults(lambda: damaged(source.name)),
    ):
        return _grid(tiff)


def _grid(tiff: OpenTiff) -> Grid:
    place, turned, _ = _placing(tiff.source, tiff.data)
    sides = (tiff.height, tiff.width)
    return Grid(*(sides[::-1] if turned in SIDEWAYS else sides), place)


def read_marks(source: OpenSource) -> tuple[list[Marks], str]:
    """Return what a file says about each band, and the type of their samples."""
    with open_tiff(source, in_parts=True) as tiff, faults(lambda: damaged(source.name)):
        return _marks(tiff), str(tiff.data.dtypes[0])


def read_bands(source: OpenSource) -> FileBands:
    """Return what bands a file has, of which no pixel is read."""
    with open_tiff(source, in_parts=True) as tiff, faults(lambda: damaged(source.name)):
        return _file_bands(tiff)


def _file_bands(tiff: OpenTiff) -> FileBands:
    return FileBands.of(_marks(tiff), str(tiff.data.dtypes[0]), _maximum(tiff.data))


def check_intact(source: OpenSource) -> tuple[Grid, FileBands]:
    """Read all blocks once.

    Returns:
        What `read_grid` does, and its bands.

    Raises:
        ImageError: If one is missing or damaged.
    """
    with open_tiff(source) as tiff:
        bands = list(tiff.data.indexes)
        for window in _strips(tiff, len(bands)):
            tiff.read(bands, window)
        with faults(lambda: damaged(source.name)):
            return _grid(tiff), _file_bands(tiff)


def decode(source: OpenSource, bands: BandChoice = None) -> Raster:
    """Return the pixels of the first page as stored, but upright.

    Raises:
        ImageError: If it is too large, cut off or damaged, or has bands or numbers
            that make no picture.
    """
    with open_picture(source, bands) as picture:
        return read_all(picture)


def read_all(picture: TiffPicture) -> Raster:
    """Return all pixels of an open file.

    Raises:
        ImageError: If a block is missing or damaged.
    """
    tiff, shape = picture.tiff, (picture.tiff.height, picture.tiff.width)
    pixels = np.empty((*shape, len(picture.choice.colors)), tiff.data.dtypes[0])
    valid = np.empty(shape, bool)
    stored = replace(picture, turned=1)
    for window in _strips(tiff, len(picture.read_bands)):
        part = stored.raster(window)
        pixels[window], valid[window] = part.pixels, part.valid
    turned = picture.turned
    return replace(part, pixels=upright(pixels, turned), valid=upright(valid, turned))


def _strips(tiff: OpenTiff, bands: int) -> Iterator[Window]:
    block = tiff.block[0]
    row_bytes = tiff.width * bands * np.dtype(tiff.data.dtypes[0]).itemsize
    rows = max(1, _STRIP_MB * 1_000_000 // (row_bytes * block)) * block
    _, columns = whole(tiff.height, tiff.width)
    for row in range(0, tiff.height, rows):
        yield slice(row, min(row + rows, tiff.height)), columns


def _marks(tiff: OpenTiff) -> list[Marks]:
    """Return what a file says about its bands; what is no alpha is not called so."""
    data = tiff.data
    try:
        names = data.descriptions
    except UnicodeDecodeError:  # names in an encoding that is not stated
        names = [None] * data.count
    colors = [color.name for color in data.colorinterp]
    for number in data.indexes if data.count > 1 else ():
        if colors[number - 1] == _ALPHA and not _is_alpha(tiff, number):
            colors[number - 1] = "undefined"
    return [Marks(*pair) for pair in zip(colors, names, strict=True)]


def _is_alpha(tiff: OpenTiff, number: int) -> bool:
    """Say whether a band that is marked alpha is one: all or nothing, hardly between.

    GDAL calls the fourth of four bands alpha unless it is told what it is; often it is
    near infrared, in which water is 0. Where it is 0 all over, the others decide.
    """
    windows = few_windows(tiff.height, tiff.width)
    values = [tiff.read([number], window) for window in windows]
    filled = np.concatenate([part[part > 0] for part in values])
    if filled.size:
        _, counts = np.unique(filled, return_counts=True)
        return bool(counts.max() >= _PLAIN_SHARE * filled.size)
    others = [band for band in tiff.data.indexes if band != number]
    return all(np.ptp(tiff.read(others, window)) == 0 for window in windows)


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
