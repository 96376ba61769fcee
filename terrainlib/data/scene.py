"""Images and heights of any size, read by window.

A GeoTIFF stays on the disk: windows of it are decoded when they are asked for, and it
may have more pixels than fit into memory. PNG and JPEG files can only be decoded whole,
and are. Either way a window holds exactly what `imagery.read_image` gives there: values
that need a range are scaled by that of the whole image, found once from about a million
evenly spread pixels, never by that of a window.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from terrainlib.data import _geotiff, _picture
from terrainlib.data._bands import BandInfo, Bands, Marks, describe, pick
from terrainlib.data._raster import Georeference
from terrainlib.data._scaling import to_height
from terrainlib.data._scenes import image_scene, raster_scene, tiff_scene
from terrainlib.data._source import ImageSource, open_source
from terrainlib.data._windows import Triple, Window, check_window
from terrainlib.data.imagery import Image, check_height

__all__ = [
    "BandInfo",
    "Bands",
    "Heights",
    "Scene",
    "Window",
    "heights_of",
    "list_bands",
    "open_heights",
    "open_scene",
    "scene_of",
]

FloatArray = NDArray[np.float32]


class Scene(Protocol):
    """An image that is read by window.

    One thread at a time decodes; others that read the same scene wait.
    """

    @property
    def name(self) -> str:
        """Name of the file, without folders."""

    @property
    def height(self) -> int:
        """Rows, px."""

    @property
    def width(self) -> int:
        """Columns, px."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading does to the pixels, one phrase each, for people."""

    @property
    def georeference(self) -> Georeference | None:
        """Where the pixels lie on the Earth, for GeoTIFF."""

    def read(self, window: Window) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return a window of the image.

        Args:
            window: Rows and columns, within the image.

        Returns:
            (h, w, 3) float32 RGB in [0, 1], 0 where there is no data; and (h, w) bool,
            False there. Both are the caller's own.

        Raises:
            ImageError: If the file turns out to be cut off or damaged there.
            ConfigError: If the window is empty or reaches over the edge.
        """

    def overview(self, size: int) -> Image:
        """Return a small picture of all of it, quickly.

        Overviews inside the file are used. Where there are none and the file is large,
        evenly spread blocks stand for all of it; a note says so.

        Args:
            size: Greatest height and width, px.

        Raises:
            ImageError: If the file turns out to be cut off or damaged.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Heights:
    """Heights that are read by window.

    Attributes:
        name: Name of the file, without folders.
        height: Rows, px.
        width: Columns, px.
    """

    name: str
    height: int
    width: int
    _read: Callable[[Window], FloatArray] = field(repr=False)

    def read(self, window: Window) -> FloatArray:
        """Return a window of the heights.

        Args:
            window: Rows and columns, within the image.

        Returns:
            (h, w) float32 metres, NaN where there are none; the caller's own.

        Raises:
            ImageError: If the file turns out to be cut off or damaged there.
            ConfigError: If the window is empty or reaches over the edge.
        """
        check_window(window, self.height, self.width)
        return self._read(window)


@contextmanager
def open_scene(
    source: ImageSource, *, name: str | None = None, bands: Triple | None = None
) -> Iterator[Scene]:
    """Open an image to read it by window, and close it afterwards.

    Args:
        source: Path or bytes of a PNG, JPEG or TIFF file, decided by its content.
        name: Name for messages; without it the file's.
        bands: As for `imagery.read_image`.

    Raises:
        ImageError: If the file is missing, no picture, too large (PNG and JPEG only),
            cut off or damaged, or has no such bands.
    """
    with open_source(source, name, in_parts=True) as opened:
        if opened.kind == "TIFF":
            with _geotiff.open_picture(opened, bands, in_parts=True) as picture:
                yield tiff_scene(picture)
        else:
            raster = pick(_picture.decode(opened), bands, opened.name)
            yield raster_scene(raster, opened.name)


def scene_of(image: Image) -> Scene:
    """Return an image in memory as a scene. The image is not copied."""
    return image_scene(image)


@contextmanager
def open_heights(source: ImageSource, *, name: str | None = None) -> Iterator[Heights]:
    """Open heights to read them by window, and close them afterwards.

    Args:
        source: Path or bytes of a single-band file whose values are metres.
        name: Name for messages; without it the file's.

    Raises:
        ImageError: If the file cannot be read or has colours.
    """
    with open_source(source, name, in_parts=True) as opened:
        if opened.kind != "TIFF":
            raster = _picture.decode(opened)
            check_height(raster.bands, raster.palette is not None, opened.name)
            yield heights_of(to_height(raster), name=opened.name)
            return
        marks, _ = _geotiff.read_marks(opened)
        alpha = len(marks) > 1 and marks[-1].color == "alpha"
        check_height(len(marks) - alpha, marks[0].color == "palette", opened.name)
        with _geotiff.open_picture(opened, in_parts=True) as picture:
            yield Heights(
                opened.name,
                picture.tiff.height,
                picture.tiff.width,
                lambda window: to_height(picture.raster(window)),
            )


def heights_of(height: FloatArray, *, name: str = "heights") -> Heights:
    """Return heights in memory, (H, W) float32 metres, to read by window."""
    rows, columns = height.shape
    return Heights(name, rows, columns, lambda window: height[window].copy())


def list_bands(source: ImageSource, *, name: str | None = None) -> Bands:
    """Return the bands of a file and which of them are shown, from its header.

    Raises:
        ImageError: If the file is missing, no picture, cut off or damaged, or has two
            bands of which neither is alpha.
    """
    with open_source(source, name, in_parts=True) as opened:
        if opened.kind == "TIFF":
            marks, dtype = _geotiff.read_marks(opened)
        else:
            grey, dtype = _picture.read_colors(opened)
            names = ("grey",) if grey else ("red", "green", "blue")
            marks = [Marks(color) for color in names]
        return describe(marks, dtype, opened.name)
