"""An open TIFF file: GDAL's GTiff driver and nothing else, read by window.

Every TIFF file is opened here. Files beside it (world files, overviews, masks) are not
looked at: they could name other files; a TIFF that names some itself is refused.
GDAL's data sets are not safe for threads, so that one lock guards each; its cache of
decoded blocks is bounded, for all files together.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib._gdal import CLOSED
from terrainlib.data._quiet import unsaid
from terrainlib.data._source import OpenSource, check_pixels, cut_off, damaged
from terrainlib.data._tiff import names_a_grid, read_state
from terrainlib.data._windows import Window
from terrainlib.errors import ImageError, TerrainError

CACHE_MB: Final = 256  # holds 1,400 rows of 30,000 px with three 16-bit bands
_MAX_BLOCK_MB: Final = 1024
_OPTIONS: Final = {**CLOSED, "GDAL_CACHEMAX": CACHE_MB * 1_000_000}


@dataclass(frozen=True, slots=True, eq=False)
class OpenTiff:
    """The first page of an open TIFF file, or an overview inside it.

    Attributes:
        source: The file.
        data: Rasterio's data set.
        place: What rasterio opened.
        overviews: How many times smaller each of the overviews inside the file is.
        together: Whether a block holds all bands.
    """

    source: OpenSource
    data: Any
    place: Any
    overviews: tuple[int, ...]
    together: bool
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def height(self) -> int:
        """Rows, px."""
        return int(self.data.height)

    @property
    def width(self) -> int:
        """Columns, px."""
        return int(self.data.width)

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of the blocks that the file is decoded by."""
        height, width = self.data.block_shapes[0]
        return int(height), int(width)

    def read(self, bands: Sequence[int], window: Window) -> NDArray[Any]:
        """Return samples as stored, (B, h, w).

        Raises:
            ImageError: If a block is missing or damaged.
        """
        with faults(lambda: self._fault(bands, window)), self._lock:
            place = _rasterio_window(window)
            samples: NDArray[Any] = self.data.read(list(bands), window=place)
        return samples

    def read_mask(self, window: Window) -> NDArray[np.bool_]:
        """Return where the mask inside the file says that there is data, (h, w).

        Raises:
            ImageError: If a block is missing or damaged.
        """
        with faults(lambda: damaged(self.source.name)), self._lock:
            mask = self.data.read_masks(1, window=_rasterio_window(window))
        return np.asarray(mask > 0)

    def _fault(self, bands: Sequence[int], window: Window) -> ImageError:
        """Say whether blocks under an unreadable window are missing or damaged."""
        height, width = self.block
        rows, columns = window
        for y in range(rows.start // height, -(-rows.stop // height)):
            for x in range(columns.start // width, -(-columns.stop // width)):
                if any(self._is_cut(band, y, x) for band in bands):
                    return cut_off(self.source.name, y * height / self.height)
        return damaged(self.source.name)

    def _is_cut(self, band: int, y: int, x: int) -> bool:
        """Say whether a block should end after the file does."""
        with self._lock:
            offset, size = (
                self.data.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=band)
                for what in ("OFFSET", "SIZE")
            )
        return bool(offset and size) and int(offset) + int(size) > self.source.size


@contextmanager
def open_tiff(source: OpenSource, *, in_parts: bool = False) -> Iterator[OpenTiff]:
    """Open the first page, with everything but the file itself out of reach.

    Args:
        source: The file.
        in_parts: Whether it may have more pixels than are read at once.

    Raises:
        ImageError: If it is cut off or damaged, names other files, or has pixels or
            blocks that cannot be read.
    """
    from rasterio.io import MemoryFile

    state, share = read_state(source.handle, source.size)
    if state == "cut":
        raise cut_off(source.name, share)
    if names_a_grid(source.handle, source.size):
        raise ImageError(
            "its coordinate reference system names a file, and other files are not "
            "opened. Save it with a system from the EPSG register.",
            file=source.name,
        )
    with ExitStack() as stack:
        place: Any = source.path
        if place is None:
            source.handle.seek(0)
            memory = stack.enter_context(MemoryFile(source.handle.read()))
            place = memory.name
        opened = stack.enter_context(_opened(source, place))
        _check(opened, in_parts)
        yield opened


@contextmanager
def open_overview(tiff: OpenTiff, number: int) -> Iterator[OpenTiff]:
    """Open one of the overviews inside the file, numbered from 0.

    Raises:
        ImageError: If it is damaged, or its blocks are too large.
    """
    with _opened(tiff.source, tiff.place, overview_level=number) as opened:
        _check(opened, in_parts=True)
        yield opened


@contextmanager
def faults(told: Callable[[], ImageError]) -> Iterator[None]:
    """Run what GDAL does with its settings, nothing beside the file being looked at.

    Args:
        told: Makes the error to raise where GDAL says that something is wrong.
    """
    import rasterio
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    # The last three come from what headers and the texts in them say.
    wrong = (RasterioError, CPLE_BaseError, KeyError, TypeError, ValueError)
    try:
        with rasterio.Env(**_OPTIONS):
            yield
    except TerrainError:
        raise
    except wrong as error:
        raise told() from error


@contextmanager
def _opened(source: OpenSource, place: Any, **options: Any) -> Iterator[OpenTiff]:
    """Open a place by rasterio; the settings hold while it is opened and closed."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with ExitStack() as stack:
        with faults(lambda: damaged(source.name)):
            with unsaid(category=NotGeoreferencedWarning):
                data = rasterio.open(place, driver="GTiff", **options)
            stack.enter_context(data)
            if data.get_tag_item("OVERVIEW_FILE", "OVERVIEWS") is not None:
                raise ImageError(
                    "it names another file for its overviews, and other files are not "
                    "opened. Save it with its overviews inside.",
                    file=source.name,
                )
            together = data.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL"
            overviews = tuple(data.overviews(1))
        yield OpenTiff(source, data, place, overviews, together)


def _check(opened: OpenTiff, in_parts: bool) -> None:
    """Judge what the header declares."""
    data, name = opened.data, opened.source.name
    if not in_parts:
        check_pixels(data.width, data.height, name, "TIFF")
    elif data.width < 1 or data.height < 1:
        raise damaged(name)
    if any(np.dtype(dtype).kind == "c" for dtype in data.dtypes):
        raise ImageError(
            "the pixels are complex numbers; real numbers are supported. Save their "
            "magnitude instead.",
            file=name,
        )
    height, width = opened.block
    if height * width * np.dtype(data.dtypes[0]).itemsize > _MAX_BLOCK_MB * 1e6:
        raise ImageError(
            f"a block of {width} x {height} pixels; the limit is {_MAX_BLOCK_MB} MB a "
            "block. Save it with tiles of 512 x 512.",
            file=name,
        )


def _rasterio_window(window: Window) -> Any:
    """Return a window as rasterio spells it."""
    from rasterio.windows import Window as RasterioWindow

    rows, columns = window
    return RasterioWindow(
        columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
    )
