"""The first directory of a TIFF file, checked against the file's size."""

import io
from typing import BinaryIO, Final, Literal, NamedTuple

import numpy as np

State = Literal["whole", "cut"]
Order = Literal["little", "big"]


class _Layout(NamedTuple):
    """Widths in bytes, which differ between TIFF and BigTIFF."""

    first_offset: int
    offset: int
    counter: int
    entry: int


_CLASSIC: Final = _Layout(first_offset=4, offset=4, counter=2, entry=12)
_BIG: Final = _Layout(first_offset=8, offset=8, counter=8, entry=20)
_TYPE_BYTES: Final = {
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
_MAX_ENTRIES: Final = 4096
_BLOCK_OFFSETS: Final = frozenset({273, 324})  # of strips and of tiles
_OFFSET_TYPES: Final = {3: "u2", 4: "u4", 16: "u8"}
_MAX_OFFSETS_BYTES: Final = 64_000_000


def read_state(handle: BinaryIO, size: int) -> tuple[State, float | None]:
    """Say whether the file reaches past its first directory and what that points to.

    Blocks of pixels must begin within the file; where they end is left to the decoder.

    Args:
        handle: The file, with a TIFF's first bytes.
        size: Its bytes.

    Returns:
        The state, and of a cut file the share that is there at most, if that is known.
    """
    handle.seek(0)
    start = handle.read(16)
    order: Order = "little" if start[:1] == b"I" else "big"
    layout = _BIG if int.from_bytes(start[2:4], order) == 43 else _CLASSIC
    where = start[layout.first_offset : layout.first_offset + layout.offset]
    if len(where) < layout.offset:
        return "cut", None
    offset = int.from_bytes(where, order)
    if offset >= size:
        return "cut", size / offset
    handle.seek(offset)
    count = int.from_bytes(handle.read(layout.counter), order)
    end = offset + layout.counter + layout.entry * count
    if count > _MAX_ENTRIES:
        return "whole", None  # no sensible directory: left to the decoder to refuse
    entries = handle.read(layout.entry * count)
    ends = [end, *_value_ends(entries, layout, order)]
    if max(ends) > size:
        return "cut", None
    share = _missing_from(handle, entries, layout, order)
    return ("whole", None) if share is None else ("cut", share)


def _missing_from(
    handle: BinaryIO, entries: bytes, layout: _Layout, order: Order
) -> float | None:
    """Return the share of the blocks before the first that begins after the file."""
    size = handle.seek(0, io.SEEK_END)
    for position in range(0, len(entries) - layout.entry + 1, layout.entry):
        entry = entries[position : position + layout.entry]
        tag = int.from_bytes(entry[:2], order)
        code = _OFFSET_TYPES.get(int.from_bytes(entry[2:4], order))
        if tag not in _BLOCK_OFFSETS or code is None:
            continue
        dtype = np.dtype(code).newbyteorder("<" if order == "little" else ">")
        length = int.from_bytes(entry[4 : 4 + layout.offset], order) * dtype.itemsize
        values = entry[-layout.offset :]
        if length > layout.offset:
            handle.seek(int.from_bytes(values, order))
            values = handle.read(min(length, _MAX_OFFSETS_BYTES))
        offsets = np.frombuffer(values[: min(length, len(values))], dtype)
        missing = np.flatnonzero(offsets >= size)
        if missing.size:
            return float(missing[0] / len(offsets))
    return None


def _value_ends(entries: bytes, layout: _Layout, order: Order) -> list[int]:
    """Return where the values end that are stored apart from their entries."""
    ends = []
    for position in range(0, len(entries) - layout.entry + 1, layout.entry):
        entry = entries[position : position + layout.entry]
        kind = int.from_bytes(entry[2:4], order)
        count = int.from_bytes(entry[4 : 4 + layout.offset], order)
        length = count * _TYPE_BYTES.get(kind, 0)
        if length > layout.offset:
            ends.append(int.from_bytes(entry[-layout.offset :], order) + length)
    return ends
