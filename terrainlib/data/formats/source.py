"""Opening an image file: what is touched at all, what it is, what is said of bad ones.

A source is a path or the bytes of an upload. Only regular files of a sensible size are
opened; pipes, devices and links are refused before a byte of them is read. The kind is
decided by the first bytes, never by the name.
"""

import io
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, Final, Literal

from terrainlib import rights
from terrainlib.errors import ImageError
from terrainlib.places import require_readable

Kind = Literal["PNG", "JPEG", "TIFF"]
ImageSource = Path | str | bytes

MAX_MEGAPIXELS: Final = 80
MAX_FILE_MB: Final = 2000
MAX_PARTS_GB: Final = 200  # of a TIFF file on disk that is read in parts
MAX_NAME_CHARACTERS: Final = 80

_TOO_LARGE: Final = {
    False: ". Crop it, or save it as GeoTIFF: prediction reads that in parts.",
    True: " for files read whole. Crop it; prediction reads larger GeoTIFFs in parts.",
}
_MAGIC: Final[tuple[tuple[bytes, Kind], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_SUFFIXES: Final[dict[str, Kind]] = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}


@dataclass(frozen=True, slots=True)
class OpenSource:
    """An open image file.

    Attributes:
        name: Name for messages, without folders.
        kind: Format by content.
        size: Bytes.
        handle: Open at the first byte.
        path: Absolute path; None for bytes.
    """

    name: str
    kind: Kind
    size: int
    handle: BinaryIO
    path: Path | None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know about the file's name."""
        suffix = PurePath(self.name).suffix.lower()
        if _SUFFIXES.get(suffix, self.kind) == self.kind:
            return ()
        return (f"the file is a {self.kind} image, although it is named {suffix}",)


@contextmanager
def open_source(
    source: ImageSource, name: str | None = None, *, in_parts: bool = False
) -> Iterator[OpenSource]:
    """Open a path or bytes as an image file and close it afterwards.

    Args:
        source: A file's path or its bytes.
        name: Name for messages; without it the file's, or `image`.
        in_parts: Whether a TIFF file on disk will be read in parts, so that it may be
            far larger.

    Raises:
        ImageError: If there is no such regular file, or it is empty, too large, or of
            another format.
    """
    name = source_name(source, name)
    source = Path(source) if isinstance(source, str) else source
    with _open(source, name) as handle:
        size = handle.seek(0, io.SEEK_END)
        handle.seek(0)
        if size == 0:
            raise ImageError("the file is empty. Copy or download it again.", file=name)
        kind = _kind(handle.read(8), name)
        handle.seek(0)
        path = None if isinstance(source, bytes) else source.absolute()
        large = in_parts and kind == "TIFF" and path is not None
        limit = MAX_PARTS_GB * 1000 if large else MAX_FILE_MB
        if size > limit * 1_000_000:
            raise ImageError(
                f"the file has {math.ceil(size / 1e6)} MB; the limit is {limit} MB. "
                "Crop it or save it compressed.",
                file=name,
            )
        yield OpenSource(name, kind, size, handle, path)


def source_name(source: ImageSource, name: str | None) -> str:
    """Return the name to use in messages, without folders."""
    named = name or ("image" if isinstance(source, bytes) else source)
    text = (PurePath(named) if isinstance(named, str) else named).name
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "?" for c in text)
    if len(text) > MAX_NAME_CHARACTERS:
        text = text[: MAX_NAME_CHARACTERS - 1] + "…"
    return text or "image"


def check_pixels(
    width: int, height: int, name: str, kind: Kind, *, in_parts: bool = False
) -> None:
    """Refuse to read an image by the size that its header declares.

    Args:
        width: In px.
        height: In px.
        name: Name for messages.
        kind: Format of the file.
        in_parts: Whether it is read in parts, so that it may be far larger.

    Raises:
        ImageError: If it has no pixels or more than the limit.
    """
    if width < 1 or height < 1:
        raise damaged(name)
    pixels, visitors = width * height, rights.limits().megapixels
    limit = MAX_MEGAPIXELS if visitors is None else visitors
    if pixels > limit * 1_000_000 and not (in_parts and visitors is None):
        advice = _TOO_LARGE[kind == "TIFF"] if visitors is None else " here. Crop it."
        raise ImageError(
            f"{width} x {height} = {-(-pixels // 1_000_000)} megapixels; the limit is "
            f"{limit}{advice}",
            file=name,
        )


def cut_off(name: str, share: float | None) -> ImageError:
    """Return the error for a file that ends early.

    Args:
        name: Name for the message.
        share: How much of the image is there, 0 to 1; None where that is unknown.
    """
    after = "" if share is None else f" after {min(99, math.floor(share * 100))} %"
    return ImageError(
        f"the image is cut off{after}. Copy or download it again.", file=name
    )


def damaged(name: str) -> ImageError:
    """Return the error for a file whose content contradicts itself."""
    return ImageError("damaged. Copy or download it again.", file=name)


@contextmanager
def _open(source: ImageSource, name: str) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    with open_regular(source, name) as handle:
        yield handle


@contextmanager
def open_regular(path: Path | str, name: str) -> Iterator[BinaryIO]:
    """Open a regular file to read it, never a link, a pipe or a device.

    Args:
        path: The file.
        name: Name for messages.

    Raises:
        ImageError: If there is no such file, or it is none of that kind.
        RightsError: If whoever acts now may not open it.
    """
    require_readable(path)
    try:
        mode = os.lstat(path).st_mode
        regular = stat.S_ISREG(mode)
        handle = os.fdopen(os.open(path, _OPEN_FLAGS), "rb") if regular else None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise ImageError(_not_opened(error), file=name) from error
    if handle is None:
        raise ImageError(_not_regular(mode), file=name)
    with handle:
        mode = os.fstat(handle.fileno()).st_mode  # it may have been replaced meanwhile
        if not stat.S_ISREG(mode):
            raise ImageError(_not_regular(mode), file=name)
        yield handle


_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


def _not_opened(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file. Check the path."
    if isinstance(error, PermissionError):
        return "no permission to read it. Change its permissions or copy it."
    return "the file cannot be opened. Check the path."


def _not_regular(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "this is a folder, not an image. Give the path of a file."
    if stat.S_ISLNK(mode):
        return "this is a link; links are not followed. Give the file it points to."
    return "this is a device or a pipe, not a regular file. Give an image file."


def _kind(start: bytes, name: str) -> Kind:
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    raise ImageError(
        "not a PNG, JPEG or TIFF image. Save it as one of these.", file=name
    )
