"""What all sinks have in common that write a mask into a raster file as it comes."""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Georeference
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import InputError
from terrainlib.mask.rasters.rasterfile import Layout, RasterFile
from terrainlib.mask.tiles.bands import Band, Plane

Bytes = NDArray[np.uint8]

ROWS_DONE: Final = "ROWS_DONE"


class RasterSink(ABC):
    """Writes the bands of a mask into a raster file.

    Use it as a context. The file takes its name when the block ends well; after an
    exception nothing is left behind and an older file of that name is as it was. Rows
    that never came, or that `stopped_at` tells of, have no data, and the metadata then
    say under `ROWS_DONE` how many rows from the top are there. Memory does not grow
    with the height. Every pixel is read back before the file counts.

    Args:
        path: The file to write.
        height: Rows of the image.
        width: Columns of the image.
        classes: The K classes.
        georeference: Where the image's pixels lie; None for pixels without a place.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """

    wants: ClassVar[tuple[Plane, ...]] = ()
    empty: ClassVar[int] = 0

    def __init__(
        self,
        path: Path,
        *,
        height: int,
        width: int,
        classes: Classes,
        georeference: Georeference | None = None,
    ) -> None:
        self.classes = classes
        self._rows_done = height
        self._file = RasterFile(path, self._layout(height, width), georeference)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._file)
            self._describe(self._file.data)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._stack:
            if kind is None:
                self._finish()

    def write(self, band: Band) -> None:
        """Write the next rows.

        Raises:
            InputError: If the band does not follow the one before, has another width,
                or lacks what the file is made of.
            StorageError: If the disk is full, read-only or failing.
        """
        if band.rows.start != self._file.rows:
            raise InputError(
                f"the band begins at row {band.rows.start}; row {self._file.rows} is "
                "next. Give the bands in their order.",
                file=self._file.path.name,
            )
        self._file.append(self._pixels(band), band.classes != NO_DATA)

    def stopped_at(self, row: int) -> None:
        """Say that the rows from this one on were not predicted."""
        self._rows_done = row

    def _finish(self) -> None:
        """Fill what is missing, say so, and give the file its name."""
        done = min(self._rows_done, self._file.rows)
        self._file.fill(self.empty)
        if done < self._file.layout.height:
            self._file.data.update_tags(**{ROWS_DONE: str(done)})
        self._file.finish()

    def _plane(self, name: Plane, band: Band) -> Bytes:
        """Return a plane of a band, zeros for a band without any data."""
        plane: Bytes | None = getattr(band, name)
        if plane is not None:
            return plane
        if (band.classes != NO_DATA).any():
            raise InputError(
                f"the band has no {name} plane, which this file is made of. Predict "
                "what the sink wants.",
                file=self._file.path.name,
            )
        return np.zeros((*band.classes.shape, self._file.layout.count), np.uint8)

    @abstractmethod
    def _layout(self, height: int, width: int) -> Layout:
        """Return what the file holds."""

    @abstractmethod
    def _describe(self, data: Any) -> None:
        """Write colours, names and metadata into an open file."""

    @abstractmethod
    def _pixels(self, band: Band) -> Bytes:
        """Return the pixels of a band, (h, W, B) uint8."""
