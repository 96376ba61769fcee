"""What else takes the bands of a mask: a sharpened picture, names, scratch."""

from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import numpy as np

from terrainlib.data.palette import Classes
from terrainlib.files import require_free_space, storage_error, write_bytes
from terrainlib.mask.rasters.pngfile import SoftPngSink
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.bands import Band, Bytes, Plane
from terrainlib.mask.vectors.qgis import raster_names

_HALO: Final = 1  # rows beside a row that the kernel reaches


class SharpenedPngSink:
    """Writes the soft mask sharpened, with the pixels of `sharpen` on the whole of it.

    Use it as a context, as `SoftPngSink`. A row is written when the one below is there.

    Args:
        path: The file to write.
        amount: Strength of the Laplacian, 0 to 10.
        height: Rows of the image.
        width: Columns of the image.
        classes: The K classes.

    Raises:
        ImageError: If the picture is larger than 500 megapixels.
        StorageError: If the disk is full, read-only or failing.
    """

    wants: ClassVar[tuple[Plane, ...]] = ("soft",)

    def __init__(
        self, path: Path, *, amount: float, height: int, width: int, classes: Classes
    ) -> None:
        self._file = SoftPngSink(path, height=height, width=width, classes=classes)
        self._amount = amount
        self._height = height
        self._above = np.empty((0, width, 3), np.uint8)  # the last row is not written
        self._classes_above = np.empty((0, width), np.uint8)

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.__exit__(kind, error, trace)

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


class NamesSink:
    """Writes the names of the classes beside their GeoTIFF, where QGIS looks for them.

    Use it as a context; the file is written in the end.

    Args:
        path: The file to write: the GeoTIFF's name with `.aux.xml` behind.
        classes: The K classes.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """

    wants: ClassVar[tuple[Plane, ...]] = ()

    def __init__(self, path: Path, *, classes: Classes) -> None:
        self._path = path
        self._classes = classes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            write_bytes(self._path, raster_names(self._classes))

    def write(self, band: Band) -> None:
        """Take the next rows, which say nothing about names."""

    def stopped_at(self, row: int) -> None:
        """Nothing to say: the names are the same in a part of the mask."""


class PlaneFile:
    """Keeps a plane of the bands in a scratch file, to be mapped into memory.

    Use it as a context; the file is the caller's to remove.

    Args:
        path: The scratch file.
        plane: `classes`, or `weights`.
        shape: (H, W) or (H, W, K) of the whole plane.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """

    def __init__(self, path: Path, plane: str, shape: tuple[int, ...]) -> None:
        self.wants: tuple[Plane, ...] = ("weights",) if plane == "weights" else ()
        self._path = path
        self._plane = plane
        self._shape = shape
        self._file: Any = None

    def __enter__(self) -> Self:
        require_free_space(self._path.parent, int(np.prod(self._shape)))
        try:
            self._file = self._path.open("wb")
        except OSError as error:
            raise storage_error(self._path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise storage_error(self._path, error) from error

    def write(self, band: Band) -> None:
        """Take the next rows.

        Raises:
            StorageError: If the disk is full, read-only or failing.
        """
        values: Bytes | None = getattr(band, self._plane)
        if values is None:
            values = np.zeros((len(band.classes), *self._shape[1:]), np.uint8)
        try:
            self._file.write(np.ascontiguousarray(values).data)
        except OSError as error:
            raise storage_error(self._path, error) from error

    def stopped_at(self, row: int) -> None:
        """Nothing to say: nobody reads the file of a stopped prediction."""

    def mapped(self) -> Bytes:
        """Return the whole plane, uint8, mapped from the closed file, read-only."""
        return np.memmap(self._path, np.uint8, mode="r", shape=self._shape)
