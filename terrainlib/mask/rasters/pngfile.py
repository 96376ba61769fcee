"""Masks as PNG pictures written row by row, for images without a place on the Earth."""

from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Georeference
from terrainlib.data.palette import Classes, colorize
from terrainlib.errors import ImageError
from terrainlib.mask.rasters.rasterfile import Layout
from terrainlib.mask.rasters.rastersink import RasterSink
from terrainlib.mask.tiles.bands import Band, Plane

Bytes = NDArray[np.uint8]

MAX_PNG_MEGAPIXELS: Final = 500
_PNG: Final = {"zlevel": 4}


class _PngSink(RasterSink):
    """Writes an RGB picture.

    Raises:
        ImageError: If the picture is larger than 500 megapixels: few programs open it.
    """

    def __init__(
        self,
        path: Path,
        *,
        height: int,
        width: int,
        classes: Classes,
        georeference: Georeference | None = None,
    ) -> None:
        if height * width > MAX_PNG_MEGAPIXELS * 1e6:
            raise ImageError(
                f"{width} x {height} pixels; the limit for PNG is {MAX_PNG_MEGAPIXELS} "
                "megapixels. Write a GeoTIFF instead.",
                file=Path(path).name,
            )
        super().__init__(
            path,
            height=height,
            width=width,
            classes=classes,
            georeference=georeference,
        )

    def _layout(self, height: int, width: int) -> Layout:
        return Layout(height, width, 3, "PNG", _PNG, {"photometric": "RGB"})

    def _describe(self, data: Any) -> None:
        """A picture shows no more than its pixels."""


class ClassPngSink(_PngSink):
    """Writes the classes in their colours, no data black, as `export.mask_png` does."""

    def _pixels(self, band: Band) -> Bytes:
        return colorize(band.classes, self.classes)


class SoftPngSink(_PngSink):
    """Writes the soft mask, no data black."""

    wants: ClassVar[tuple[Plane, ...]] = ("soft",)

    def _pixels(self, band: Band) -> Bytes:
        return self._plane("soft", band)
