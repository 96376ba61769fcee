"""The first directory of a TIFF file, checked against the file's size."""

from typing import BinaryIO, Final, Literal, NamedTuple

State = Literal["whole", "cut"]


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


def read_state(handle: BinaryIO, size: int) -> tuple[State, float | None]:
    """Say whether the file reaches past its first directory and what that points to.

    Args:
        handle: The file, with a TIFF's first bytes.
        size: Its bytes.

    Returns:
        The state, and of a cut file the share that is there at most, if that is known.
    """
    handle.seek(0)
    start = handle.read(16)
    order: Literal["little", "big"] = "little" if start[:1] == b"I" else "big"
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
    return ("cut" if max(ends) > size else "whole"), None


def _value_ends(
    entries: bytes, layout: _Layout, order: Literal["little", "big"]
) -> list[int]:
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
