"""An open TIFF file: GDAL's GTiff driver and nothing else, read by window.

Every TIFF file is opened here. GDAL looks at no file beside it (overviews, masks, world
files): they could name other files; a TIFF that names some itself is refused.
GDAL's data sets are not safe for threads, so that one lock guards each; its cache of
decoded blocks is bounded, for all files together.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.source import OpenSource, check_pixels, cut_off, damaged
from terrainlib.errors import ImageError, TerrainError, ignored_warnings
from terrainlib.gdal import CLOSED
from terrainlib.types import Size, Window

State = Literal["whole", "cut"]
Order = Literal["little", "big"]
Whole = NDArray[np.unsignedinteger[Any]]


class _Layout(NamedTuple):
    """Widths in bytes, which differ between TIFF and BigTIFF."""

    first_offset: int
    offset: int
    counter: int
    entry: int


_CLASSIC: Final = _Layout(first_offset=4, offset=4, counter=2, entry=12)
_BIG: Final = _Layout(first_offset=8, offset=8, counter=8, entry=20)
_WHOLE_BYTES: Final = {
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 13), 4),
    **dict.fromkeys((16, 17, 18), 8),
}
_TYPE_BYTES: Final = {**_WHOLE_BYTES, 5: 8, 10: 8, 11: 4, 12: 8}
_MAX_ENTRIES: Final = 4096
_MAX_DIRECTORIES: Final = 10_000
_MAX_SIDE_PX: Final = 5_000_000
_MAX_FILE_BANDS: Final = 2000
_KIND, _IS_MASK = 254, 4
_WIDTH, _HEIGHT, _BANDS, _STRIP_ROWS = 256, 257, 277, 278
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_MAX_VALUES_BYTES: Final = 64_000_000
_BLOCK_OFFSETS: Final = frozenset({273, 324})  # of strips and of tiles
_GEO_TEXTS: Final = frozenset({34737})
_ORIENTATION: Final = frozenset({274})
_RATIONAL: Final = 50844  # coefficients of rational polynomials
_GRID: Final = re.compile(
    rb"(extension|parameterfile)\s*[\[(]|proj-based", re.IGNORECASE
)


def read_state(handle: BinaryIO, size: int) -> tuple[State, float | None]:
    """Say whether the file reaches past its first directory and what that points to.

    Blocks of pixels must begin within the file; where they end is left to the decoder.

    Args:
        handle: The file, with a TIFF's first bytes.
        size: Its bytes.

    Returns:
        The state, and of a cut file the share that is there at most, if that is known.
    """
    head = _Head.of(handle, size)
    if head is None:
        return "cut", None
    if head.first >= size:
        return "cut", size / head.first
    entries, end, _ = head.directory(head.first)
    if entries is None:
        return "whole", None  # no sensible directory: left to the decoder to refuse
    if max([end, *head.value_ends(entries)]) > size:
        return "cut", None
    for offsets in head.values(entries, _BLOCK_OFFSETS):
        missing = np.flatnonzero(offsets >= size)
        if missing.size:
            return "cut", float(missing[0] / len(offsets))
    return "whole", None


def _check_pages(source: OpenSource) -> None:
    """Refuse what GDAL must not even open.

    That is a reference system whose text names a file, such as a grid: PROJ opens it
    while GDAL reads the text, whatever it is, also a pipe, on which it waits. What
    names files is `EXTENSION`, `PARAMETERFILE`, and PROJ's own language as the name of
    a method. And it is what costs much before a pixel is read.

    Raises:
        ImageError: If a page is such, or they are too many.
    """
    head = _Head.of(source.handle, source.size)
    for number, entries in enumerate(head.directories() if head else ()):
        if head is None or number >= _MAX_DIRECTORIES:
            raise ImageError(
                f"more than {_MAX_DIRECTORIES:,} pages; that is the limit. Save the "
                "page to use as a file of its own.",
                file=source.name,
            )
        for text in head.values(entries, _GEO_TEXTS):
            if _GRID.search(text.astype(np.uint8).tobytes()):
                raise ImageError(
                    "its coordinate reference system names a file, and other files are "
                    "not opened. Save it with a system from the EPSG register.",
                    file=source.name,
                )
        _check_page(head.numbers(entries), source.name)


def _check_page(facts: dict[int, int], name: str) -> None:
    """Refuse sides, bands, and blocks of a mask, that take too much to decode."""
    width, height = facts.get(_WIDTH, 1), facts.get(_HEIGHT, 1)
    if max(width, height) > _MAX_SIDE_PX:
        raise ImageError(
            f"{width} x {height} pixels; the limit is {_MAX_SIDE_PX:,} a side. Cut it.",
            file=name,
        )
    if (bands := facts.get(_BANDS, 1)) > _MAX_FILE_BANDS:
        raise ImageError(
            f"{bands:,} bands; the limit is {_MAX_FILE_BANDS:,}. Save those to use as "
            "a file of their own.",
            file=name,
        )
    if facts.get(_KIND, 0) & _IS_MASK:  # others are asked when they are opened
        rows = min(height, facts.get(_STRIP_ROWS, height))
        sides = facts.get(_TILE_WIDTH, width), facts.get(_TILE_HEIGHT, rows)
        _check_block(sides, 1, _MAX_BLOCK_MB, name)


def _check_block(size: Size, pixel_bytes: int, limit_mb: int, name: str) -> None:
    width, height = size
    if width * height * pixel_bytes > limit_mb * 1_000_000:
        raise ImageError(
            f"a block of {width} x {height} pixels; the limit is {limit_mb} MB a "
            "block. Save it with tiles of 512 x 512.",
            file=name,
        )


class Stored(NamedTuple):
    """What the first directory says of how the picture is stored.

    Attributes:
        orientation: 1 to 8, as in EXIF.
        rational: Whether rational polynomials (RPC) place it on the Earth.
    """

    orientation: int
    rational: bool


def read_stored(handle: BinaryIO, size: int) -> Stored:
    """Return how a picture is stored, by tags that GDAL does not tell of.

    Args:
        handle: The file, with a TIFF's first bytes.
        size: Its bytes.
    """
    head = _Head.of(handle, size)
    if head is None:
        return Stored(1, rational=False)
    entries = next(head.directories(), b"")
    found = [int(n[0]) for n in head.values(entries, _ORIENTATION) if n.size]
    orientation = found[0] if found and 1 <= found[0] <= 8 else 1
    return Stored(orientation, _RATIONAL in head.tags(entries))


@dataclass(frozen=True, slots=True)
class _Head:
    """How a file is laid out, and where its first directory begins."""

    handle: BinaryIO
    size: int
    order: Order
    layout: _Layout
    first: int

    @classmethod
    def of(cls, handle: BinaryIO, size: int) -> "_Head | None":
        """Read the first bytes; None where they are not all there."""
        handle.seek(0)
        start = handle.read(16)
        order: Order = "little" if start[:1] == b"I" else "big"
        layout = _BIG if int.from_bytes(start[2:4], order) == 43 else _CLASSIC
        where = start[layout.first_offset : layout.first_offset + layout.offset]
        if len(where) < layout.offset:
            return None
        return cls(handle, size, order, layout, int.from_bytes(where, order))

    def directories(self) -> Iterator[bytes]:
        """Yield the entries of each directory once, in the file's order."""
        seen: set[int] = set()
        offset = self.first
        while 0 < offset < self.size:
            if offset in seen:
                return
            seen.add(offset)
            entries, _, offset = self.directory(offset)
            yield entries or b""

    def directory(self, offset: int) -> tuple[bytes | None, int, int]:
        """Return a directory's entries, where they end, and where the next one begins.

        The entries are None where they are too many to be meant.
        """
        self.handle.seek(offset)
        count = int.from_bytes(self.handle.read(self.layout.counter), self.order)
        end = offset + self.layout.counter + self.layout.entry * count
        if count > _MAX_ENTRIES:
            return None, end, 0
        entries = self.handle.read(self.layout.entry * count)
        following = self.handle.read(self.layout.offset)
        return entries, end, int.from_bytes(following, self.order)

    def tags(self, entries: bytes) -> set[int]:
        """Return the numbers of the tags that a directory has."""
        return {tag for tag, *_ in self._split(entries, _TYPE_BYTES)}

    def numbers(self, entries: bytes) -> dict[int, int]:
        """Return the number under each tag that has it in its entry."""
        return {
            tag: int.from_bytes(stored[:width], self.order)
            for tag, width, count, stored in self._split(entries, _WHOLE_BYTES)
            if count == 1
        }

    def value_ends(self, entries: bytes) -> list[int]:
        """Return where the values end that are stored apart from their entries."""
        return [
            int.from_bytes(stored, self.order) + length
            for _, width, count, stored in self._split(entries, _TYPE_BYTES)
            if (length := width * count) > self.layout.offset
        ]

    def values(self, entries: bytes, tags: AbstractSet[int]) -> Iterator[Whole]:
        """Yield the whole numbers under some tags, as far as they are in the file."""
        for tag, width, count, stored in self._split(entries, _WHOLE_BYTES):
            if tag not in tags:
                continue
            data, length = stored, width * count
            if length > self.layout.offset:
                start = int.from_bytes(stored, self.order)
                self.handle.seek(min(start, self.size))
                data = self.handle.read(min(length, _MAX_VALUES_BYTES))
            data = data[: min(length, len(data)) // width * width]
            yield np.frombuffer(
                data, f"{'<' if self.order == 'little' else '>'}u{width}"
            )

    def _split(
        self, entries: bytes, widths: dict[int, int]
    ) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield tag, width of a value, number of values, and the field for them."""
        offset = self.layout.offset
        for place in range(0, len(entries) - self.layout.entry + 1, self.layout.entry):
            entry = entries[place : place + self.layout.entry]
            width = widths.get(int.from_bytes(entry[2:4], self.order))
            if width is not None:
                count = int.from_bytes(entry[4 : 4 + offset], self.order)
                yield (
                    int.from_bytes(entry[:2], self.order),
                    width,
                    count,
                    entry[-offset:],
                )


CACHE_MB: Final = 256  # holds 1,400 rows of 30,000 px with three 16-bit bands
_MAX_BLOCK_MB: Final = 64  # of one band
_MAX_TOGETHER_MB: Final = 128  # of all bands, where a block holds them together
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
        height, width = self.block
        rows, columns = window
        for y in range(rows.start // height, -(-rows.stop // height)):
            for x in range(columns.start // width, -(-columns.stop // width)):
                if any(self._is_cut(band, y, x) for band in bands):
                    return cut_off(self.source.name, y * height / self.height)
        return damaged(self.source.name)

    def _is_cut(self, band: int, y: int, x: int) -> bool:
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
    _check_pages(source)
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


def is_complete_jpeg(data: bytes) -> bool:
    """Say whether GDAL decodes a JPEG file to its last row without a warning."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    strict = {**_OPTIONS, "GDAL_ERROR_ON_LIBJPEG_WARNING": True}
    try:
        with (
            rasterio.Env(**strict),
            rasterio.MemoryFile(data) as memory,
            ignored_warnings(category=NotGeoreferencedWarning),
            memory.open(driver="JPEG") as picture,
        ):
            last = (slice(picture.height - 1, picture.height), slice(0, picture.width))
            picture.read(1, window=_rasterio_window(last))
    except RasterioError:
        return False
    return True


@contextmanager
def _opened(source: OpenSource, place: Any, **options: Any) -> Iterator[OpenTiff]:
    """Open a place by rasterio; the settings hold while it is opened and closed."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with ExitStack() as stack:
        with faults(lambda: damaged(source.name)):
            with ignored_warnings(category=NotGeoreferencedWarning):
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
    data, name = opened.data, opened.source.name
    check_pixels(data.width, data.height, name, "TIFF", in_parts=in_parts)
    if any(np.dtype(dtype).kind == "c" for dtype in data.dtypes):
        raise ImageError(
            "the pixels are complex numbers; real numbers are supported. Save their "
            "magnitude instead.",
            file=name,
        )
    sides, sample_bytes = opened.block[::-1], np.dtype(data.dtypes[0]).itemsize
    _check_block(sides, sample_bytes, _MAX_BLOCK_MB, name)
    if opened.together:
        _check_block(sides, sample_bytes * data.count, _MAX_TOGETHER_MB, name)


def _rasterio_window(window: Window) -> Any:
    from rasterio.windows import Window as RasterioWindow

    rows, columns = window
    return RasterioWindow(
        columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
    )
