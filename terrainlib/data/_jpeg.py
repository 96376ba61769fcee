"""The markers of a JPEG file, read without decoding anything."""

from typing import BinaryIO, Final

_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN: Final = 0xDA
_TAIL_BYTES: Final = 65_536
_MAX_MARKERS: Final = 10_000
_MAX_FILLER_BYTES: Final = 65_536
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xDA)})


def read_size(handle: BinaryIO) -> tuple[int, int] | None:
    """Return the (height, width) in px that the frame header declares.

    Where there are several before the first scan, the last counts, as for decoders.

    Returns:
        (0, 0) where there is none, None where the file ends before the first scan.
    """
    handle.seek(2)
    size = (0, 0)
    for _ in range(_MAX_MARKERS):
        marker = _next_marker(handle)
        if marker is None:
            return None
        if marker in _ALONE:
            continue
        length = int.from_bytes(handle.read(2))
        if length < 2:
            return None if length == 0 else (0, 0)
        if marker == _SCAN:
            return size
        content = handle.read(length - 2)
        if len(content) < length - 2:
            return None
        if marker in _FRAMES and len(content) >= 5:
            size = int.from_bytes(content[1:3]), int.from_bytes(content[3:5])
    return 0, 0


def has_end(handle: BinaryIO) -> bool:
    """Say whether the end marker stands near the end of the file."""
    size = handle.seek(0, 2)
    handle.seek(max(0, size - _TAIL_BYTES))
    return b"\xff\xd9" in handle.read()


def _next_marker(handle: BinaryIO) -> int | None:
    """Return the code of the next marker, None where the file or our patience ends."""
    previous = b""
    for _ in range(_MAX_FILLER_BYTES):
        byte = handle.read(1)
        if not byte:
            return None
        if previous == b"\xff" and byte != b"\xff":
            return byte[0]
        previous = byte
    return None
