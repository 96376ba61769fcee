"""The class masks that a scan has decoded, packed beside what it remembers of them.

A mask is decoded to count its classes; the indices are kept, so that preparing the
pairs for training decodes images alone. Losing the store costs time and nothing else:
writing gives up quietly on a full disk, reading what is damaged or missing gives None.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.errors import StorageError

MAX_MASK_PIXELS: Final = 1 << 22  # a larger mask is decoded again
MAX_STORE_MB: Final = 256  # held in memory until the scan is over
_LEVEL: Final = 1  # smooth masks shrink fiftyfold even so


class MaskCollector:
    """Packed masks of a scan, by the ids of their pairs, up to a total size."""

    def __init__(self) -> None:
        self.packed: dict[str, bytes] = {}
        self._bytes = 0

    def add(self, identifier: str, packed: bytes | None) -> None:
        """Keep a packed mask, if there is room."""
        if packed is None or self._bytes + len(packed) > MAX_STORE_MB * 1_000_000:
            return
        self.packed[identifier] = packed
        self._bytes += len(packed)


class MaskStore:
    """Masks kept by an earlier scan, for reading in a `with` block from any thread.

    Args:
        path: Where they were written; there need not be anything.
    """

    def __init__(self, path: Path) -> None:
        self._archive: zipfile.ZipFile | None = None
        with suppress(OSError, zipfile.BadZipFile):
            self._archive = zipfile.ZipFile(path)

    def read(self, identifier: str, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Return (H, W) class indices, None where they are not there or damaged."""
        if self._archive is None:
            return None
        try:
            data = zlib.decompress(self._archive.read(_member(identifier)))
            return np.frombuffer(data, np.uint8).reshape(size)
        except (KeyError, OSError, ValueError, zlib.error, zipfile.BadZipFile):
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._archive is not None:
            self._archive.close()


def pack(mask: NDArray[np.uint8]) -> bytes | None:
    """Return (H, W) class indices as compressed bytes, None where they are too many."""
    if mask.size > MAX_MASK_PIXELS:
        return None
    return zlib.compress(np.ascontiguousarray(mask).data, _LEVEL)


def write_masks(path: Path, packed: Mapping[str, bytes]) -> None:
    """Write packed masks, or nothing where the disk is full."""
    with (
        suppress(StorageError),
        files.atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for identifier, data in packed.items():
            archive.writestr(_member(identifier), data)


def _member(identifier: str) -> str:
    """Return a name that every archive can hold, whatever the id."""
    text = identifier.encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]
