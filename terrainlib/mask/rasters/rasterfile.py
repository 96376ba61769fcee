"""Rasters of any size as files, written row by row and read back before they count.

The rows go into a scratch GeoTIFF in a hidden folder beside the target. At the end GDAL
copies it into its final form there, every pixel is compared with what was written, and
only then does the file take its name.
"""

import zlib
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import InputError
from terrainlib.files import atomic_path, require_free_space, scratch_folder
from terrainlib.mask.rasters.gdalwork import (
    create_raster,
    gdal_work,
    grid_options,
    reopened,
    write_failure,
)
from terrainlib.mask.tiles.bands import Band, Plane
from terrainlib.types import ByteArray

STEP_ROWS: Final = 128  # rows that are kept until they are written together
_SCRATCH: Final = {
    "driver": "GTiff",
    "tiled": True,
    "blockxsize": 512,
    "blockysize": STEP_ROWS,
    "compress": "deflate",
    "zlevel": 1,
    "interleave": "pixel",
    "bigtiff": "IF_SAFER",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What a raster holds and how GDAL is to write it.

    Attributes:
        height: Rows.
        width: Columns.
        count: Bands of uint8.
        driver: GDAL's name of the final format.
        options: GDAL's creation options of the final format.
        profile: Further properties of the scratch file, for `rasterio.open`.
        masked: Whether a mask inside the file says where there is data.
    """

    height: int
    width: int
    count: int
    driver: str
    options: dict[str, Any]
    profile: dict[str, Any]
    masked: bool = False


class RasterFile:
    """A raster that is being written, from the top to the bottom.

    Use it as a context, which leaves nothing behind but what `finish` made; whatever
    had the name before is kept until then.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """

    def __init__(
        self, path: Path, layout: Layout, georeference: Georeference | None
    ) -> None:
        self.path = Path(path)
        self.layout = layout
        self.georeference = georeference
        self.rows = 0
        self.data: Any = None
        self._waiting = np.zeros((STEP_ROWS, layout.width, layout.count), np.uint8)
        self._valid = np.zeros((STEP_ROWS, layout.width), np.uint8)
        self._sums: list[int] = []
        self._stack = ExitStack()
        self._folder = self.path.parent

    def __enter__(self) -> Self:
        layout = self.layout
        needed = layout.height * layout.width * layout.count
        require_free_space(self.path.parent, needed)
        with ExitStack() as stack:
            self._folder = stack.enter_context(scratch_folder(self.path.parent))
            with gdal_work(self.path, self._folder):
                self.data = self._create()
            stack.callback(self._close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def append(self, pixels: ByteArray, valid: NDArray[np.bool_] | None = None) -> None:
        """Write the next rows.

        Args:
            pixels: (h, W, B) uint8.
            valid: (h, W) bool, where there is data; read where the layout is masked.

        Raises:
            InputError: If they are wider or more than the raster has.
            StorageError: If the disk is full, read-only or failing.
        """
        self._check(pixels.shape)
        done = 0
        while done < len(pixels):
            start = self.rows % STEP_ROWS
            taken = slice(done, done + min(STEP_ROWS - start, len(pixels) - done))
            stop = start + taken.stop - done
            self._waiting[start:stop] = pixels[taken]
            if valid is not None:
                self._valid[start:stop] = 255 * valid[taken]
            self.rows += taken.stop - done
            done = taken.stop
            if stop == STEP_ROWS or self.rows == self.layout.height:
                self._flush(stop)

    def fill(self, pixel: int) -> None:
        """Write one value, without data, into the rows that are still missing."""
        layout = self.layout
        while self.rows < layout.height:
            rows = min(STEP_ROWS, layout.height - self.rows)
            empty = np.full((rows, layout.width, layout.count), pixel, np.uint8)
            self.append(empty, np.zeros((rows, layout.width), bool))

    def finish(self) -> None:
        """Bring all into its final form, read it back, and give it its name.

        Raises:
            StorageError: If the disk is full, read-only or failing.
        """
        import rasterio.shutil

        final = self._folder / "final"
        with gdal_work(self.path, self._folder):
            self._close()
            with reopened(self._folder / "scratch.tif", "GTiff") as data:
                rasterio.shutil.copy(
                    data, final, driver=self.layout.driver, **self.layout.options
                )
            self._compare(final)
        with atomic_path(self.path) as temporary:
            final.replace(temporary)

    def _check(self, shape: tuple[int, ...]) -> None:
        layout = self.layout
        left = layout.height - self.rows
        if shape[1:] != (layout.width, layout.count) or shape[0] > left:
            raise InputError(
                f"{shape[0]} rows of {shape[1:]}; the raster takes {left} more of "
                f"{(layout.width, layout.count)}. Give one image's bands in order.",
                file=self.path.name,
            )

    def _create(self) -> Any:
        return create_raster(
            self._folder / "scratch.tif",
            width=self.layout.width,
            height=self.layout.height,
            count=self.layout.count,
            dtype="uint8",
            **grid_options(self.georeference),
            **{**_SCRATCH, **self.layout.profile},
        )

    def _flush(self, rows: int) -> None:
        from rasterio.windows import Window

        pixels = self._waiting[:rows]
        window = Window(0, self.rows - rows, self.layout.width, rows)
        self._sums.append(zlib.crc32(pixels.data))
        with gdal_work(self.path, self._folder):
            self.data.write(np.moveaxis(pixels, -1, 0), window=window)
            if self.layout.masked:
                self.data.write_mask(self._valid[:rows], window=window)

    def _compare(self, final: Path) -> None:
        """Read everything back: GDAL does not report each failure of a disk."""
        from rasterio.windows import Window

        height, width = self.layout.height, self.layout.width
        with reopened(final, self.layout.driver) as data:
            for number, expected in enumerate(self._sums):
                row = number * STEP_ROWS
                window = Window(0, row, width, min(STEP_ROWS, height - row))
                pixels = np.moveaxis(data.read(window=window), 0, -1)
                if zlib.crc32(np.ascontiguousarray(pixels).data) != expected:
                    raise write_failure(self.path)

    def _close(self) -> None:
        if self.data is not None:
            data, self.data = self.data, None
            data.close()


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
        self._file.append(self.pixels(band), band.classes != NO_DATA)

    def stopped_at(self, row: int) -> None:
        """Say that the rows from this one on were not predicted."""
        self._rows_done = row

    @property
    def clear(self) -> int | None:
        """The grey that is transparent in a picture, for no data; None for none."""
        return None

    def pixels(self, band: Band) -> ByteArray:
        """Return the pixels of a band as the file holds them, (h, W, B) uint8."""
        return self._pixels(band)

    def _finish(self) -> None:
        done = min(self._rows_done, self._file.rows)
        self._file.fill(self.empty if self.clear is None else self.clear)
        if done < self._file.layout.height:
            self._file.data.update_tags(**{ROWS_DONE: str(done)})
        self._file.finish()

    def _plane(self, name: Plane, band: Band) -> ByteArray:
        """Return a plane of a band, zeros for a band without any data."""
        plane: ByteArray | None = getattr(band, name)
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
    def _pixels(self, band: Band) -> ByteArray:
        """Return the pixels of a band, (h, W, B) uint8."""
