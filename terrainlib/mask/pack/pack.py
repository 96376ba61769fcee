"""The world-builder's pack: a mask as weights, splat maps and heights, in one zip.

For Unity, Unreal, Godot and Blender: 8-bit weights of each class that sum to 255 in
every pixel, RGBA splat maps of four classes each, the class mask, the palette, the
heights with 16 bits, and a text that says how to import them. The same input gives the
same bytes.
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from terrainlib import files
from terrainlib.mask.pack._content import PackContent
from terrainlib.mask.pack._files import entries, facts_of, heights_of
from terrainlib.mask.pack._planes import make_planes
from terrainlib.mask.pack.target import (
    ENGINES,
    FITS,
    MAX_SOURCE_MEGAPIXELS,
    SIZES,
    Frame,
    PackTarget,
    frame_of,
)

__all__ = [
    "ENGINES",
    "FITS",
    "MAX_SOURCE_MEGAPIXELS",
    "SIZES",
    "PackContent",
    "PackTarget",
    "pack_bytes",
    "write_pack",
]

Progress = Callable[[int, int], None]

_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o644 << 16


def write_pack(
    path: Path,
    content: PackContent,
    target: PackTarget | None = None,
    *,
    progress: Progress | None = None,
) -> None:
    """Write a pack as a zip file, atomically.

    Args:
        path: The zip file.
        content: What goes in.
        target: Engine and size; None keeps the image's size.
        progress: Called with the numbers of files done and in all.

    Raises:
        ImageError: If the image is too large for its own size, or has no data.
        StorageError: If the disk is full, read-only or failing; the old file is intact.
    """
    path = Path(path)
    target = target or PackTarget()
    frame = frame_of(target, content.size, content.name)
    files.require_free_space(path.parent, _most_bytes(frame, len(content.classes)))
    with files.atomic_path(path) as temporary, temporary.open("wb") as stream:
        _write(stream, content, target, frame, progress)


def pack_bytes(content: PackContent, target: PackTarget | None = None) -> bytes:
    """Return a pack as the bytes of a zip file, for small ones.

    Args:
        content: What goes in.
        target: Engine and size; None keeps the image's size.

    Raises:
        ImageError: If the image is too large for its own size, or has no data.
    """
    target = target or PackTarget()
    frame = frame_of(target, content.size, content.name)
    stream = io.BytesIO()
    _write(stream, content, target, frame, None)
    return stream.getvalue()


def _write(
    stream: Any,
    content: PackContent,
    target: PackTarget,
    frame: Frame,
    progress: Progress | None,
) -> None:
    """Make everything and put it into a zip, one file after the other."""
    planes = make_planes(content.weights, content.valid, content.mask, frame)
    values, heights = heights_of(content, frame)
    facts = facts_of(content, target, frame, planes, heights)
    with zipfile.ZipFile(stream, "w") as archive:
        made = entries(content, facts, planes, values)
        for done, (file, data) in enumerate(made, start=1):
            info = zipfile.ZipInfo(file, _DATE)
            info.create_system = 3
            info.external_attr = _MODE
            packed = file.endswith(".png")  # compressed by itself
            info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
            if progress is not None:
                progress(done, len(facts.files))


def _most_bytes(frame: Frame, count: int) -> int:
    """Return what the files need at most, uncompressed."""
    pixels = frame.size[0] * frame.size[1]
    heights = frame.height_size[0] * frame.height_size[1]
    return pixels * (count + 4 * ((count + 3) // 4) + 5) + 4 * heights
