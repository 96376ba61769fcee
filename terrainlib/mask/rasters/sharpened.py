"""The soft mask sharpened while it is written, in bands of any height."""

from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np

from terrainlib.mask.rasters.geotiff import SoftRasterSink
from terrainlib.mask.rasters.png import SoftPngSink
from terrainlib.mask.rasters.rasterfile import RasterSink
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.bands import Band, Plane

_HALO: Final = 1  # rows beside a row that the kernel reaches


class SharpenedPngSink:
    """Writes the soft mask sharpened, with the pixels of `sharpen` on the whole of it.

    Use it as a context, as `SoftPngSink`. A row is written when the one below is there.

    Args:
        path: The file to write.
        amount: Strength of the Laplacian, 0 to 10.
        height: Rows of the image.
        width: Columns of the image.
        options: What else the sink of the soft mask takes.

    Raises:
        ImageError: If the picture is larger than 500 megapixels.
        StorageError: If the disk is full, read-only or failing.
    """

    wants: ClassVar[tuple[Plane, ...]] = ("soft",)
    soft_sink: ClassVar[type[RasterSink]] = SoftPngSink

    def __init__(
        self, path: Path, *, amount: float, height: int, width: int, **options: Any
    ) -> None:
        self._file = self.soft_sink(path, height=height, width=width, **options)
        self._amount = amount
        self._height = height
        self._above = np.empty((0, width, 3), np.uint8)  # the last row is not written
        self._classes_above = np.empty((0, width), np.uint8)

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.__exit__(kind, *_)

    def write(self, band: Band) -> None:
        """Take the next rows.

        Raises:
            InputError: If the band does not follow the one before.
            StorageError: If the disk is full, read-only or failing.
        """
        soft = band.soft
        if soft is None:
            soft = np.zeros((*band.classes.shape, 3), np.uint8)
        lines = np.concatenate([self._above, soft])
        classes = np.concatenate([self._classes_above, band.classes])
        below = 0 if band.rows.stop == self._height else _HALO
        first = max(0, len(self._above) - _HALO)
        last = len(lines) - below
        if first < last:
            top = band.rows.stop - len(lines)
            part = slice(first, last)
            sharp = sharpen(lines, self._amount)[part]
            rows = slice(top + first, top + last)
            self._file.write(Band(rows, classes[part], soft=sharp))
        self._above = lines[-2 * _HALO :].copy()
        self._classes_above = classes[-2 * _HALO :].copy()

    def stopped_at(self, row: int) -> None:
        """Say that the rows from this one on were not predicted."""
        self._file.stopped_at(row)


class SharpenedRasterSink(SharpenedPngSink):
    """Writes it as GeoTIFF on the grid of the image, of any size."""

    soft_sink = SoftRasterSink
