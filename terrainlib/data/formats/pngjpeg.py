"""PNG and JPEG files, decoded by Pillow alone.

The declared size is read from the header and judged before Pillow sees the file; a
PNG's checksums are compared before it is decoded. Errors are told apart into files that
are cut off and files that are damaged.
"""

import struct
import zlib
from dataclasses import replace
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terrainlib.data.formats.bands import FileBands, Marks, picture_marks
from terrainlib.data.formats.place import turning, world_place
from terrainlib.data.formats.raster import (
    ALPHA_NOTE,
    SIDEWAYS,
    Grid,
    Raster,
    upright,
)
from terrainlib.data.formats.source import OpenSource, check_pixels, cut_off, damaged
from terrainlib.data.formats.tiff import is_complete_jpeg
from terrainlib.errors import ImageError

State = Literal["whole", "cut", "damaged"]

_SIGNATURE_BYTES: Final = 8
_MAX_EXTRA_MB: Final = 16
_MAX_CHUNKS: Final = 500_000  # of 8 kB or so in files of the largest size
_STEP: Final = 1 << 20
_END: Final = b"\0\0\0\0IEND\xaeB`\x82"


_SAMPLES: Final = {2: 3, 4: 2, 6: 4}  # of a pixel, by the type of colour; else 1
_MAX_DECODED_MB: Final = 320  # 80 megapixels of four bytes, which nearly all files have


class Header(NamedTuple):
    """What the first chunk declares."""

    width: int
    height: int
    bits: int
    color_type: int
    interlaced: bool

    @property
    def decoded_bytes(self) -> int:
        """What decoding takes; interlaced rows are put together from a second copy."""
        samples = _SAMPLES.get(self.color_type, 1)
        whole = self.width * self.height * samples * max(1, self.bits // 8)
        return 2 * whole if self.interlaced else whole


def read_header(handle: BinaryIO) -> Header | None:
    """Return the header, or None where the file is too short to hold one."""
    handle.seek(_SIGNATURE_BYTES)
    start = handle.read(21)
    if len(start) < 21:
        return None
    width, height, bits, color_type, interlaced = struct.unpack(">8xIIBBxxB", start)
    return Header(width, height, bits, color_type, bool(interlaced))


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
    size = handle.seek(0, 2)
    handle.seek(max(0, size - len(_END)))
    return handle.read() == _END


_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN: Final = 0xDA
_START_OF_SCAN: Final = b"\xff\xda"
_END_OF_IMAGE: Final = b"\xff\xd9"
_MIDDLE_GREY: Final = 128
_SAVE_COLORS: Final = "Save it again, with its colours."
_MAX_SCANS: Final = 100  # as GDAL; encoders make about ten
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


def count_scans(handle: BinaryIO) -> int:
    """Return how many scans a JPEG has behind what `read_size` has read, and one."""
    scans, tail = 1, b""
    while part := handle.read(_STEP):
        data = tail + part
        end = data.find(_END_OF_IMAGE)
        scans += data.count(_START_OF_SCAN, 0, None if end < 0 else end)
        if end >= 0:
            break
        tail = data[-1:]
    return scans


def has_end(handle: BinaryIO) -> bool:
    """Say whether the end marker stands near the end of the file."""
    size = handle.seek(0, 2)
    handle.seek(max(0, size - _TAIL_BYTES))
    return _END_OF_IMAGE in handle.read()


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


# What Pillow raises for files that are not what they claim to be.
_PILLOW_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,
)
_EXIF_ORIENTATION: Final = 0x0112
_EXIF: Final = "EXIF orientation"
_PALETTES: Final = frozenset({"P", "PA"})
_ONE_BAND: Final = frozenset({"1", "L", "LA", "P", "PA", "I", "I;16", "I;16B", "F"})
# For 16-bit samples that Pillow would cut to 8: the decoder's modes that let the high
# bytes through and the low bytes; for grey with alpha, all four bytes at once.
_WIDE_MODES: Final = {
    2: ("RGB;16B", "RGB;16L"),
    4: ("RGBA",),
    6: ("RGBA;16B", "RGBA;16L"),
}


def read_grid(source: OpenSource) -> Grid:
    """Return the size of a picture and where it lies, from the header alone."""
    return _grid(_open(source), source)


def _grid(image: Image.Image, source: OpenSource) -> Grid:
    place, _ = world_place(source, image.height, image.width)
    turned, _ = turning(place, _orientation(image), _EXIF)
    sides = image.size if turned in SIDEWAYS else image.size[::-1]
    return Grid(*sides, place)


def read_marks(source: OpenSource) -> tuple[list[Marks], str]:
    """Return from the header what the bands are, and their samples' type."""
    return _marks(_open(source), source)


def _marks(image: Image.Image, source: OpenSource) -> tuple[list[Marks], str]:
    header = read_header(source.handle) if source.kind == "PNG" else None
    wide = header is not None and header.bits == 16
    marks = picture_marks(1 if image.mode in _ONE_BAND else 3)
    if image.mode in _PALETTES:
        marks = [Marks("palette")]
    return marks, "uint16" if wide else "uint8"


def check_intact(source: OpenSource) -> tuple[Grid, FileBands]:
    """Refuse a file that is cut off or damaged, as cheaply as that can be told.

    Returns:
        What `read_grid` does, and its bands.

    Raises:
        ImageError: If it is.
    """
    image = _open(source)
    grid, (marks, dtype) = _grid(image, source), _marks(image, source)
    if source.kind == "JPEG":
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        _load(image, source)
    else:
        _require_whole(image, source)
    return grid, FileBands.of(marks, dtype, int(np.iinfo(dtype).max))


def decode(source: OpenSource) -> Raster:
    """Return the picture as stored, but upright where it has no place.

    Raises:
        ImageError: If it is too large, cut off or damaged.
    """
    image = _open(source)
    place, place_notes = world_place(source, image.height, image.width)
    turned, turned_notes = turning(place, _orientation(image), _EXIF)
    raster = (_decode_png if source.kind == "PNG" else _decode_jpeg)(image, source)
    return replace(
        raster,
        pixels=upright(raster.pixels, turned),
        valid=upright(raster.valid, turned),
        notes=source.notes + raster.notes + turned_notes + place_notes,
        georeference=place,
    )


def _decode_jpeg(image: Image.Image, source: OpenSource) -> Raster:
    _load(image, source)
    if image.mode in ("L", "RGB"):
        return _raster(_samples(image), 255)
    notes = (f"{image.mode} colours converted to RGB",)
    return replace(_raster(_samples(image.convert("RGB")), 255), notes=notes)


def _decode_png(image: Image.Image, source: OpenSource) -> Raster:
    header = read_header(source.handle)
    if header is None:
        raise cut_off(source.name, None)
    _require_whole(image, source)
    transparent = image.info.get("transparency")
    maximum = 2**header.bits - 1
    if header.bits == 16 and header.color_type in _WIDE_MODES:
        modes = _WIDE_MODES[header.color_type]
        return _raster(_wide_samples(source, modes), maximum, transparent)
    _load(image, source)
    samples = _samples(image)
    if image.mode == "P":
        return _palette_raster(image, samples, source.name)
    if image.mode == "1":
        samples = samples.astype(np.uint8)
        transparent = None if transparent is None else int(transparent > 0)
    elif image.mode == "L" and maximum < 255:  # Pillow spreads 2 and 4 bits over 0..255
        samples = samples // np.uint8(255 // maximum)
    return _raster(samples, maximum, transparent)


def _wide_samples(source: OpenSource, modes: tuple[str, ...]) -> NDArray[np.uint16]:
    """Return 16-bit samples, (H, W, B), put together from their bytes."""
    parts = []
    for mode in modes:
        source.handle.seek(0)
        image: Any = Image.open(source.handle, formats=["PNG"])
        image.tile = [image.tile[0]._replace(args=mode)]
        _load(image, source)
        parts.append(_samples(image))
    high, low = (parts[0][..., 0::2], parts[0][..., 1::2]) if len(parts) == 1 else parts
    wide: NDArray[np.uint16] = high.astype(np.uint16)
    wide <<= 8
    wide |= low
    return wide


def _samples(image: Image.Image) -> NDArray[Any]:
    """Return the pixels of a decoded picture; at once they would take twice as much."""
    step = max(1, _STEP // image.width)
    boxes = (
        (0, top, image.width, min(top + step, image.height))
        for top in range(0, image.height, step)
    )
    parts = (np.asarray(image.crop(box)) for box in boxes)
    first = next(parts)
    samples = np.empty((image.height, *first.shape[1:]), first.dtype)
    samples[: len(first)] = first
    for number, part in enumerate(parts, start=1):
        samples[number * step : number * step + len(part)] = part
    return samples


def _palette_raster(
    image: Image.Image, samples: NDArray[np.uint8], name: str
) -> Raster:
    transparent = image.info.get("transparency")
    colors = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    if len(colors) < 256 and (highest := int(samples.max())) >= len(colors):
        raise ImageError(
            f"its pixels use colour {highest} of a palette with {len(colors)} colours, "
            f"numbered from 0. {_SAVE_COLORS}",
            file=name,
        )
    alpha = np.full(256, 255, np.uint8)
    if isinstance(transparent, int):
        alpha[transparent] = 0
    elif transparent:
        values = np.frombuffer(transparent, np.uint8)[:256]
        alpha[: len(values)] = values
    notes = () if transparent is None else (ALPHA_NOTE,)
    valid = alpha[samples] > 0
    return Raster(samples[..., None], valid, 255, palette=colors, notes=notes)


def _raster(
    samples: NDArray[Any],
    maximum: int,
    transparent: int | tuple[int, ...] | None = None,
) -> Raster:
    """Return 1 to 4 bands as a raster; alpha 0 or the transparent colour is no data."""
    samples = samples[..., None] if samples.ndim == 2 else samples
    bands = samples.shape[2]
    if bands in (2, 4):
        valid = samples[..., -1] > 0
        return Raster(samples[..., :-1], valid, maximum, notes=(ALPHA_NOTE,))
    if transparent is None:
        return Raster(samples, np.ones(samples.shape[:2], bool), maximum)
    valid = (samples != np.array(transparent)).any(axis=2)
    return Raster(samples, valid, maximum, notes=("transparent colour: no data",))


def _open(source: OpenSource) -> Image.Image:
    name = source.name
    header = None
    if source.kind == "PNG":
        header = read_header(source.handle)
        size = header and (header.height, header.width)
    else:
        size = read_size(source.handle)
    if size is None:
        raise cut_off(name, None)
    check_pixels(size[1], size[0], name, source.kind)
    if source.kind == "PNG":
        state = walk(source.handle, up_to_pixels=True)
        if state != "whole":
            raise cut_off(name, None) if state == "cut" else damaged(name)
        _check_header(header, name)
    source.handle.seek(0)
    try:
        image = Image.open(source.handle, formats=[source.kind])
    except _PILLOW_ERRORS as error:
        raise (cut_off(name, None) if _ends_early(source) else damaged(name)) from error
    check_pixels(*image.size, name, source.kind)
    if image.mode == "P" and image.palette is None:
        raise ImageError(
            f"a palette image without its palette. {_SAVE_COLORS}", file=name
        )
    return image


def _check_header(header: Header | None, name: str) -> None:
    """Refuse a PNG that takes too much to decode."""
    size = header.decoded_bytes / 1e6 if header else 0
    if header and size > _MAX_DECODED_MB:
        interlaced = ", interlaced," if header.interlaced else ""
        raise ImageError(
            f"{header.width} x {header.height} pixels of {header.bits} bits a sample"
            f"{interlaced} take {size:.0f} MB to decode; the limit is "
            f"{_MAX_DECODED_MB} MB for PNG files. Crop it, or save it as GeoTIFF: "
            "prediction reads that in parts.",
            file=name,
        )


def _require_whole(image: Image.Image, source: OpenSource) -> None:
    state = walk(source.handle)
    if state == "damaged":
        raise damaged(source.name)
    if state == "cut":
        _load(image, source)
        raise cut_off(source.name, 1.0)  # all pixels are there, the end is missing


def _load(image: Image.Image, source: OpenSource) -> None:
    if source.kind == "JPEG":
        _check_scans(source)
    try:
        image.load()
    except _PILLOW_ERRORS as error:
        if _ends_early(source) or "truncated" in str(error):
            raise cut_off(source.name, _decoded_share(image)) from error
        raise damaged(source.name) from error
    if source.kind == "JPEG" and _is_filled_up(image, source):
        raise ImageError(
            f"the pixels end before the {image.width} x {image.height} that its header "
            "names, and the rest would be grey. Copy or download it again.",
            file=source.name,
        )


def _check_scans(source: OpenSource) -> None:
    read_size(source.handle)
    scans = count_scans(source.handle)
    if scans > _MAX_SCANS:
        raise ImageError(
            f"{scans} scans, each of which is decoded over the whole picture; the "
            f"limit is {_MAX_SCANS}. Save it again, as a JPEG that is not progressive.",
            file=source.name,
        )


def _is_filled_up(image: Image.Image, source: OpenSource) -> bool:
    """Say whether the data of a JPEG end before its size.

    Decoders fill up with the middle grey and go on. Where the last pixel has it, GDAL
    is asked, which can be told to fail then.
    """
    last = np.asarray(image.getpixel((image.width - 1, image.height - 1)))
    if np.abs(last - _MIDDLE_GREY).max() > 1:
        return False
    source.handle.seek(0)
    return not is_complete_jpeg(source.handle.read())


def _ends_early(source: OpenSource) -> bool:
    """Say whether a JPEG file, which has no checksums, lacks its end marker."""
    return source.kind == "JPEG" and not has_end(source.handle)


def _decoded_share(image: Image.Image) -> float | None:
    """Return the share of rows that were decoded before an error, None for none."""
    box = image.im.getbbox()
    return box[3] / image.height if box else None


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, without decoding pixels."""
    if image.format == "PNG" and not (
        {"exif", "Raw profile type exif"} & image.info.keys()
    ):
        return 1
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except _PILLOW_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
