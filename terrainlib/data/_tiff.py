"""The directories of a TIFF file, read before any library is let near it."""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
_MAX_VALUES_BYTES: Final = 64_000_000
_BLOCK_OFFSETS: Final = frozenset({273, 324})  # of strips and of tiles
_GEO_TEXTS: Final = frozenset({34737})
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


def names_a_grid(handle: BinaryIO, size: int) -> bool:
    """Say whether the text of a reference system names a file, such as a grid.

    PROJ opens it while GDAL reads the text, whatever it is: also a pipe, on which it
    waits. What names files is `EXTENSION`, `PARAMETERFILE`, and PROJ's own language as
    the name of a method.

    Args:
        handle: The file, with a TIFF's first bytes.
        size: Its bytes.
    """
    head = _Head.of(handle, size)
    return head is not None and any(
        _GRID.search(text.astype(np.uint8).tobytes())
        for entries in head.directories()
        for text in head.values(entries, _GEO_TEXTS)
    )


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
        while 0 < offset < self.size and len(seen) < _MAX_DIRECTORIES:
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

    def value_ends(self, entries: bytes) -> list[int]:
        """Return where the values end that are stored apart from their entries."""
        return [
            int.from_bytes(field, self.order) + length
            for _, width, count, field in self._split(entries, _TYPE_BYTES)
            if (length := width * count) > self.layout.offset
        ]

    def values(self, entries: bytes, tags: AbstractSet[int]) -> Iterator[Whole]:
        """Yield the whole numbers under some tags, as far as they are in the file."""
        for tag, width, count, field in self._split(entries, _WHOLE_BYTES):
            if tag not in tags:
                continue
            data, length = field, width * count
            if length > self.layout.offset:
                start = int.from_bytes(field, self.order)
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
