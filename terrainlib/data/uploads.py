"""Uploaded archives as folders of the cache, the oldest out when they are too large.

Each lies under the digest of its archive. The date of that folder tells when it was
used last; what was used just now stays, and what is taken out has another name first,
so that two can do it at once.
"""

import hashlib
import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from terrainlib import files
from terrainlib.data.archive import extract_zip
from terrainlib.errors import DatasetError, StorageError

MAX_KEPT_MB: Final = 10_000
FRESH_SECONDS: Final = 600.0  # so long after its last use an upload is in use

_FOLDER: Final = "uploads"
_DIGEST: Final = re.compile(r"[0-9a-f]{32}")


def unpack_upload(data: bytes, name: str, in_use: Collection[Path] = ()) -> Path:
    """Return the folder of an uploaded zip archive, unpacked on its first use.

    Args:
        data: The archive.
        name: The file's name, which the data set gets.
        in_use: Folders that are needed as well, however old they are.

    Raises:
        DatasetError: If it is no archive, damaged, or beyond a limit of `archive`.
        StorageError: If the disk is full, read-only or failing.
    """
    digest = hashlib.sha256(data).hexdigest()[:32]
    stem = re.sub(r"[^\w. -]+", "_", Path(name).stem).strip(". ")[:60]
    target = files.cache_dir() / _FOLDER / digest / (stem or "upload")
    _clear(in_use)
    try:
        folder = extract_zip(data, target)
    except DatasetError as error:
        raise DatasetError(error.message, file=name) from error
    mark_used(folder)
    _clear([folder, *in_use])
    return folder


def mark_used(folder: Path) -> bool:
    """Note that an unpacked upload is in use; return whether it is still there."""
    upload = _upload_of(folder)
    with suppress(OSError):
        if upload is not None:
            os.utime(upload)
    return folder.is_dir()


def _clear(in_use: Collection[Path]) -> None:
    """Take out the uploads used longest ago, until the others fit in the limit."""
    kept = {_upload_of(folder) for folder in in_use}
    room = MAX_KEPT_MB * 1e6
    for upload in sorted(_uploads(), key=_used, reverse=True):
        room -= _size(upload)
        fresh = _used(upload) > time.time() - FRESH_SECONDS
        if room >= 0 or fresh or upload in kept:
            continue
        with suppress(OSError, StorageError):  # gone already, or for the next time
            if not any(upload.glob(".*.tmp")):  # of somebody who is unpacking it
                with files.scratch_folder(upload.parent) as doomed:
                    upload.rename(doomed / upload.name)


def _uploads() -> list[Path]:
    """Return the folders of the uploads; links are none."""
    with suppress(OSError), os.scandir(files.cache_dir() / _FOLDER) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if _DIGEST.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    return []


def _upload_of(folder: Path) -> Path | None:
    """Return the upload that a folder belongs to, None for a folder elsewhere."""
    root = files.cache_dir() / _FOLDER
    inner, outer = folder.resolve(), root.resolve()
    if outer not in inner.parents:
        return None
    return root / inner.relative_to(outer).parts[0]


def _used(upload: Path) -> float:
    with suppress(OSError):
        return upload.lstat().st_mtime
    return 0.0


def _size(upload: Path) -> int:
    """Return the bytes of the files in a folder; links are not followed."""
    size = 0
    for folder, _, names in os.walk(upload):
        for name in names:
            with suppress(OSError):
                size += Path(folder, name).lstat().st_size
    return size
