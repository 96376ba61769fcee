"""The one door for pixels: PNG, JPEG and TIFF files to arrays the library works with.

Everything here takes a path or bytes and gives arrays; nothing else in the project
decodes a picture. Class masks are read by `masks`, which shares the decoders.
"""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats import geotiff, pngjpeg
from terrainlib.data.formats.bands import BandChoice, FileBands, pick
from terrainlib.data.formats.heights import read_height
from terrainlib.data.formats.raster import (
    MAX_BANDS,
    BandSet,
    Georeference,
    Grid,
    Raster,
    Triple,
    composite_of,
    to_unit,
)
from terrainlib.data.formats.source import (
    MAX_FILE_MB,
    MAX_MEGAPIXELS,
    ImageSource,
    open_source,
    source_name,
)
from terrainlib.errors import ImageError

__all__ = [
    "MAX_FILE_MB",
    "MAX_MEGAPIXELS",
    "BandChoice",
    "BandSet",
    "Georeference",
    "Grid",
    "Image",
    "ImageSource",
    "check_intact",
    "read_grid",
    "read_height",
    "read_image",
    "read_raster",
    "read_size",
]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A satellite image.

    Attributes:
        pixels: (H, W, B) float32 in [0, 1]; 0 where there is no data. B is 3 for red,
            green and blue, else up to 64.
        valid: (H, W) bool, False where there is no data.
        notes: What reading did to the pixels, one phrase each, for people.
        georeference: Where the pixels lie on the Earth, if the file says so.
        name: Name of the file, without folders.
        shown: Which of the bands, from 0, people see as red, green and blue; None for
            the first three.
    """

    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]
    notes: tuple[str, ...] = ()
    georeference: Georeference | None = None
    name: str = field(default="image")
    shown: Triple | None = None

    @property
    def height(self) -> int:
        """Rows, px."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns, px."""
        return int(self.pixels.shape[1])

    @property
    def bands(self) -> int:
        """Bands B."""
        return int(self.pixels.shape[2])

    @property
    def rgb(self) -> NDArray[np.float32]:
        """(H, W, 3) float32 in [0, 1], what people see."""
        shown = self.shown or composite_of(self.bands)
        plain = self.bands == 3 and shown == (0, 1, 2)
        return self.pixels if plain else self.pixels[..., shown]

    @classmethod
    def from_array(cls, pixels: NDArray[Any], name: str = "image") -> Self:
        """Return an image of an array.

        Args:
            pixels: (H, W, B), float in [0, 1] or uint8; NaN is no data. Not modified.
            name: Name for messages.

        Raises:
            ImageError: If shape, type or range differ.
        """
        pixels = np.asarray(pixels)
        shape = pixels.shape
        if pixels.ndim != 3 or not 1 <= shape[2] <= MAX_BANDS or 0 in shape:
            raise ImageError(
                f"an image array must be (height, width, 3), not {shape}; in place of "
                f"3 there may be 1 to {MAX_BANDS} bands. Stack red, green and blue "
                "last.",
                file=name,
            )
        if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
            raise ImageError(
                f"an image array must be float in [0, 1] or uint8, not {pixels.dtype}. "
                "Convert it.",
                file=name,
            )
        scale = np.float32(255 if pixels.dtype == np.uint8 else 1)
        values = pixels.astype(np.float32) / scale
        valid = np.isfinite(values).all(axis=2)
        values[~valid] = 0.0
        if values.min() < 0 or values.max() > 1:
            raise ImageError(
                f"image values must lie in [0, 1], not {values.min():g} to "
                f"{values.max():g}. Scale them.",
                file=name,
            )
        return cls(values, valid, name=name)


def read_image(
    source: ImageSource, *, name: str | None = None, bands: BandChoice = None
) -> Image:
    """Read a whole picture; `scene.open_scene` reads one in parts.

    Args:
        source: Path or bytes of a PNG, JPEG or TIFF file, decided by its content.
        name: Name for messages; without it the file's.
        bands: Numbers, from 1, or names of the bands to use as red, green and blue, or
            a set of bands; without them those that the file itself says are, else the
            first three.

    Returns:
        The image, upright; `notes` say what was done to its pixels.

    Raises:
        ImageError: If the file is missing, no picture, too large, cut off or damaged,
            or has no such bands.
    """
    raster = read_raster(source, name=name, bands=bands)
    pixels, notes = to_unit(raster)
    return Image(
        pixels,
        raster.valid,
        notes,
        raster.georeference,
        source_name(source, name),
        None if raster.used is None else raster.used.shown,
    )


def read_size(
    source: ImageSource, *, name: str | None = None, in_parts: bool = False
) -> tuple[int, int]:
    """Return (height, width) in px from the header, without decoding pixels.

    Args:
        source: Path or bytes of a PNG, JPEG or TIFF file, decided by its content.
        name: Name for messages; without it the file's.
        in_parts: Whether it is to be read with `scene.open_scene`, so that a TIFF file
            may be larger.

    Raises:
        ImageError: If the file is missing, no picture or too large.
    """
    grid = read_grid(source, name=name, in_parts=in_parts)
    return grid.height, grid.width


def read_grid(
    source: ImageSource, *, name: str | None = None, in_parts: bool = False
) -> Grid:
    """Return the size of a picture and where it lies, without decoding pixels.

    Args:
        source: As for `read_size`.
        name: Name for messages; without it the file's.
        in_parts: As for `read_size`.

    Raises:
        ImageError: If the file is missing, no picture or too large.
    """
    with open_source(source, name, in_parts=in_parts) as opened:
        if opened.kind == "TIFF":
            return geotiff.read_grid(opened, in_parts=in_parts)
        return pngjpeg.read_grid(opened)


def check_intact(
    source: ImageSource, *, name: str | None = None
) -> tuple[Grid, FileBands]:
    """Check that a file is complete, as cheaply as that can be told.

    Returns:
        What `read_grid` does, and its bands.

    Raises:
        ImageError: If the file is missing, no picture, too large, cut off or damaged.
    """
    with open_source(source, name) as opened:
        if opened.kind == "TIFF":
            return geotiff.check_intact(opened)
        return pngjpeg.check_intact(opened)


def read_raster(
    source: ImageSource, *, name: str | None = None, bands: BandChoice = None
) -> Raster:
    """Return a file's pixels as stored, for readers that choose the range themselves.

    Raises:
        ImageError: If the file is missing, no picture, too large, cut off or damaged,
            or has no such bands.
    """
    with open_source(source, name) as opened:
        if opened.kind == "TIFF":
            return geotiff.decode(opened, bands)
        return pick(pngjpeg.decode(opened), bands, opened.name)
