"""Images of any size, read by window.

A GeoTIFF stays on the disk: windows of it are decoded when they are asked for, and it
may have more pixels than fit into memory. PNG and JPEG files can only be decoded whole,
and are. Either way a window holds exactly what `imagery.read_image` gives there: values
that need a range are scaled by that of the whole image, found once from about a million
evenly spread pixels, never by that of a window.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats import geotiff, pngjpeg
from terrainlib.data.formats.bands import (
    BandChoice,
    Bands,
    describe,
    pick,
)
from terrainlib.data.formats.geotiff import TiffPicture, open_reduced
from terrainlib.data.formats.overview import Layer, fitted, overview
from terrainlib.data.formats.raster import (
    Georeference,
    Raster,
    Scale,
    Triple,
    apply_scale,
    check_window,
    composite_of,
    find_scale,
    missing_note,
    sample_windows,
)
from terrainlib.data.formats.source import ImageSource, open_source
from terrainlib.data.imagery import Image
from terrainlib.types import FloatArray, Window


@dataclass(frozen=True, slots=True, eq=False)
class RasterScene:
    """A scene of rasters; `scene.Scene` says what each attribute and method is."""

    name: str
    height: int
    width: int
    notes: tuple[str, ...]
    georeference: Georeference | None
    bands: int
    _scale: Scale = field(repr=False)
    _part: Callable[[Window], Raster] = field(repr=False)
    _layer: Callable[[int], AbstractContextManager[Layer]] = field(repr=False)

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a window of the image."""
        check_window(window, self.height, self.width)
        part = self._part(window)
        return apply_scale(part, self._scale), np.array(part.valid)

    def overview(self, size: int) -> Image:
        """Return a small picture of all of it."""
        small = fitted(self.height, self.width, size)
        with self._layer(small[0]) as layer:
            made = overview(layer, small)
        notes = self.notes
        if made.blurred:
            notes += ("the overview is blurred: made of evenly spread parts",)
        place = self._reduced(small)
        return Image(made.rgb, made.valid, notes, place, self.name)

    def _reduced(self, small: tuple[int, int]) -> Georeference | None:
        """Return where the pixels of a small picture lie."""
        if self.georeference is None:
            return None
        y, x = self.height / small[0], self.width / small[1]
        a, b, c, d, e, f = self.georeference.transform
        return replace(self.georeference, transform=(a * x, b * y, c, d * x, e * y, f))


def tiff_scene(picture: TiffPicture) -> RasterScene:
    """Return the scene of an open TIFF file.

    Raises:
        ImageError: If the pixels that its scale is found from are damaged.
    """
    sample = (picture.raster(w) for w in sample_windows(picture.height, picture.width))
    scale = find_scale(picture.raster((slice(0, 1), slice(0, 1))), sample)

    used = picture.used
    shown = composite_of(scale.bands) if used is None else used.shown
    scaled = partial(_composite, scale=scale, shown=shown)

    @contextmanager
    def layer(height: int) -> Iterator[Layer]:
        with open_reduced(picture, height) as reduced:
            shape = (reduced.height, reduced.width)
            yield Layer(
                shape, reduced.block, reduced.pixel_bytes, reduced.raster, scaled
            )

    return RasterScene(
        picture.tiff.source.name,
        picture.height,
        picture.width,
        picture.notes + scale.notes,
        picture.georeference,
        scale.bands,
        scale,
        picture.raster,
        layer,
    )


def raster_scene(raster: Raster, name: str) -> RasterScene:
    """Return the scene of a decoded picture."""
    height, width = raster.valid.shape
    sample = (raster.part(window) for window in sample_windows(height, width))
    scale = find_scale(raster, sample)
    notes = raster.notes + scale.notes + missing_note(raster.valid)
    shown = None if raster.used is None else raster.used.shown
    return _in_memory(replace(raster, notes=notes), scale, name, shown)


def image_scene(image: Image) -> RasterScene:
    """Return the scene of an image."""
    raster = Raster(
        image.pixels,
        image.valid,
        None,
        notes=image.notes,
        georeference=image.georeference,
    )
    scale = Scale(0.0, 1.0, bands=image.bands)
    return _in_memory(raster, scale, image.name, image.shown)


def _in_memory(
    raster: Raster, scale: Scale, name: str, shown: Triple | None
) -> RasterScene:
    height, width = raster.valid.shape
    chosen = shown or composite_of(scale.bands)
    scaled = partial(_composite, scale=scale, shown=chosen)
    layer = Layer((height, width), (height, width), 0, raster.part, scaled)
    return RasterScene(
        name,
        height,
        width,
        raster.notes,
        raster.georeference,
        scale.bands,
        scale,
        raster.part,
        lambda _: nullcontext(layer),
    )


def _composite(raster: Raster, scale: Scale, shown: Triple) -> FloatArray:
    """Return what people see of pixels, (h, w, 3) float32 RGB in [0, 1]."""
    values = apply_scale(raster, scale)
    return (
        values if shown == (0, 1, 2) == (*range(scale.bands),) else values[..., shown]
    )


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
        """Where the pixels lie on the Earth, if the file says so."""

    @property
    def bands(self) -> int:
        """Bands B that are read: 3 for red, green and blue."""

    def read(self, window: Window) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return a window of the image.

        Args:
            window: Rows and columns, within the image.

        Returns:
            (h, w, B) float32 in [0, 1], 0 where there is no data; and (h, w) bool,
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


@contextmanager
def open_scene(
    source: ImageSource, *, name: str | None = None, bands: BandChoice = None
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
            with geotiff.open_picture(opened, bands, in_parts=True) as picture:
                yield tiff_scene(picture)
        else:
            raster = pick(pngjpeg.decode(opened), bands, opened.name)
            yield raster_scene(raster, opened.name)


def scene_of(image: Image) -> Scene:
    """Return an image in memory as a scene. The image is not copied."""
    return image_scene(image)


def list_bands(source: ImageSource, *, name: str | None = None) -> Bands:
    """Return the bands of a file and which of them are shown.

    Raises:
        ImageError: If the file is missing, no picture, cut off or damaged.
    """
    with open_source(source, name, in_parts=True) as opened:
        if opened.kind == "TIFF":
            marks, dtype = geotiff.read_marks(opened)
        else:
            marks, dtype = pngjpeg.read_marks(opened)
        return describe(marks, dtype, opened.name)
