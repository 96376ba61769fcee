"""How a file or an array becomes a scene: pixels by window, one scale, an overview."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from terrainlib.data._geotiff import TiffPicture, open_reduced
from terrainlib.data._overview import Layer, fitted, overview
from terrainlib.data._raster import Georeference, Raster
from terrainlib.data._scaling import Scale, apply_scale, find_scale, missing_note
from terrainlib.data._windows import Window, check_window, sample_windows
from terrainlib.data.imagery import Image


@dataclass(frozen=True, slots=True, eq=False)
class RasterScene:
    """A scene of rasters; `scene.Scene` says what each attribute and method is."""

    name: str
    height: int
    width: int
    notes: tuple[str, ...]
    georeference: Georeference | None
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
    tiff = picture.tiff
    sample = (picture.raster(w) for w in sample_windows(tiff.height, tiff.width))
    scale = find_scale(picture.raster((slice(0, 1), slice(0, 1))), sample)

    scaled = partial(apply_scale, scale=scale)

    @contextmanager
    def layer(height: int) -> Iterator[Layer]:
        with open_reduced(picture, height) as reduced:
            shape = (reduced.tiff.height, reduced.tiff.width)
            block = reduced.tiff.block
            yield Layer(shape, block, reduced.pixel_bytes, reduced.raster, scaled)

    return RasterScene(
        tiff.source.name,
        tiff.height,
        tiff.width,
        picture.notes + scale.notes,
        picture.georeference,
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
    return _in_memory(replace(raster, notes=notes), scale, name)


def image_scene(image: Image) -> RasterScene:
    """Return the scene of an image."""
    raster = Raster(
        image.rgb,
        image.valid,
        None,
        notes=image.notes,
        georeference=image.georeference,
    )
    return _in_memory(raster, Scale(0.0, 1.0), image.name)


def _in_memory(raster: Raster, scale: Scale, name: str) -> RasterScene:
    height, width = raster.valid.shape
    scaled = partial(apply_scale, scale=scale)
    layer = Layer((height, width), (height, width), 0, raster.part, scaled)
    return RasterScene(
        name,
        height,
        width,
        raster.notes,
        raster.georeference,
        scale,
        raster.part,
        lambda _: nullcontext(layer),
    )
