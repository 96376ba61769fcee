"""The chunks of a PNG file, walked without decoding anything."""

import struct
import zlib
from typing import BinaryIO, Final, Literal, NamedTuple

State = Literal["whole", "cut", "damaged"]

_SIGNATURE_BYTES: Final = 8
_MAX_EXTRA_MB: Final = 16
_MAX_CHUNKS: Final = 500_000  # of 8 kB or so in files of the largest size
_STEP: Final = 1 << 20
_END: Final = b"\0\0\0\0IEND\xaeB`\x82"


class Header(NamedTuple):
    """What the first chunk declares."""

    width: int
    height: int
    bits: int
    color_type: int


def read_header(handle: BinaryIO) -> Header | None:
    """Return the header, or None where the file is too short to hold one."""
    handle.seek(_SIGNATURE_BYTES)
    start = handle.read(18)
    if len(start) < 18:
        return None
    _, _, width, height, bits, color_type = struct.unpack(">I4sIIBB", start)
    return Header(width, height, bits, color_type)


def walk(handle: BinaryIO, *, up_to_pixels: bool = False) -> State:
    """Tell a whole file from one that is cut off and one that contradicts itself.

    Args:
        handle: The file; read in steps, never whole.
        up_to_pixels: Stop at the first chunk of pixels and compare no checksums.
    """
    handle.seek(_SIGNATURE_BYTES)
    state: State | None = None
    for _ in range(_MAX_CHUNKS):
        state = _step(handle, up_to_pixels=up_to_pixels)
        if state is not None:
            break
    else:
        return "damaged"
    if state == "cut" and _ends_properly(handle):
        return "damaged"  # a wrong length leads out of a file that is all there
    return state


def _step(handle: BinaryIO, *, up_to_pixels: bool) -> State | None:
    """Read one chunk; None to go on."""
    start = handle.read(8)
    if len(start) < 8:
        return "cut"
    length, kind = struct.unpack(">I4s", start)
    if up_to_pixels and kind == b"IDAT":
        return "whole"
    too_long = length > _MAX_EXTRA_MB * 1_000_000 and kind != b"IDAT"
    if too_long or not (kind.isalpha() and kind.isascii()):
        return "damaged"
    found = zlib.crc32(kind)
    while length > 0:
        part = handle.read(min(length, _STEP))
        if not part:
            return "cut"
        length -= len(part)
        found = zlib.crc32(part, found)
    checksum = handle.read(4)
    if len(checksum) < 4:
        return "cut"
    if found != int.from_bytes(checksum):
        return "damaged"
    return "whole" if kind == b"IEND" else None


def _ends_properly(handle: BinaryIO) -> bool:
    """Say whether the last bytes of the file are the end chunk."""
    size = handle.seek(0, 2)
    handle.seek(max(0, size - len(_END)))
    return handle.read() == _END
