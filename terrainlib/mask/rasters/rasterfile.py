"""Rasters of any size as files, written row by row and read back before they count.

The rows go into a scratch GeoTIFF in a hidden folder beside the target. At the end GDAL
copies it into its final form there, every pixel is compared with what was written, and
only then does the file take its name.
"""

import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Georeference
from terrainlib.errors import InputError
from terrainlib.files import atomic_path, require_free_space, scratch_folder
from terrainlib.mask.rasters.gdalwork import (
    create_raster,
    gdal_work,
    grid_options,
    reopened,
    write_failure,
)

Bytes = NDArray[np.uint8]

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

    Args:
        path: The final file.
        layout: What it holds.
        georeference: Where the pixels lie, if they lie anywhere.

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

    def append(self, pixels: Bytes, valid: NDArray[np.bool_] | None = None) -> None:
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
        """Open the scratch file."""
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
        """Hand the rows that wait to GDAL, and remember their sum."""
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
