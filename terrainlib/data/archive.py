"""Zip archives of data sets, unpacked without trusting a word they say.

Names, kinds and declared sizes are judged before anything is written; what is written
is counted while it is read. Either the whole archive arrives or nothing does.
"""

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from terrainlib import files
from terrainlib.data._nested import find_data_folder
from terrainlib.errors import DatasetError

MAX_FILES: Final = 20_000
MAX_TOTAL_MB: Final = 5_000
MAX_FILE_MB: Final = 500
MAX_RATIO: Final = 100  # unpacked over packed
RESERVE_MB: Final = 1_000  # of disk space left free

_RATIO_FROM_MB: Final = 10  # smaller members may be all of one colour
_BLOCK_BYTES: Final = 1 << 20
_ENCRYPTED: Final = 0x1
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def extract_zip(data: bytes | Path, target: Path) -> Path:
    """Unpack a zip archive into a new folder.

    Args:
        data: The archive or its path.
        target: The folder to make. If it is there, it is the result of an earlier call
            and is kept.

    Returns:
        The folder that holds the pairs: `target` or, in an archive that wraps them,
        a folder below it.

    Raises:
        DatasetError: If the archive is none, is damaged, holds names that lead outside,
            links or doubles, or is beyond a limit. Nothing is written then.
        StorageError: If the disk is full or read-only.
    """
    if not target.is_dir():
        with _opened(data) as archive:
            members = _members(archive)
            total = sum(member.file_size for member in members)
            files.require_free_space(target, total + RESERVE_MB * 1_000_000)
            with files.atomic_folder(target) as temporary:
                for member in members:
                    _write(archive, member, temporary)
    return find_data_folder(target)


@contextmanager
def _opened(data: bytes | Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive."""
    source: IO[bytes] | Path = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise DatasetError(
            "not a complete zip archive. Make it again, or upload it again.",
            file=None if isinstance(data, bytes) else data.name,
        ) from error
    with archive:
        yield archive


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files of an archive whose names, kinds and sizes are acceptable."""
    entries = archive.infolist()
    members = [entry for entry in entries if not entry.is_dir()]
    if len(entries) > MAX_FILES:
        raise DatasetError(
            f"the archive holds {len(entries):,} entries; the limit is {MAX_FILES:,}. "
            "Unpack it yourself and open the folder."
        )
    for entry in entries:
        _require_plain(entry)
    _require_unique(entries)
    for member in members:
        _require_moderate(member)
    total_mb = sum(member.file_size for member in members) / 1e6
    if total_mb > MAX_TOTAL_MB:
        raise DatasetError(
            f"the archive unpacks to {total_mb:,.0f} MB; the limit is "
            f"{MAX_TOTAL_MB:,} MB. Unpack it yourself and open the folder."
        )
    return members


def _require_plain(member: zipfile.ZipInfo) -> None:
    """Refuse a name that leads outside, and everything but plain files and folders."""
    name = member.filename
    parts = name.rstrip("/").split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        raise _refused(member, "the name leads out of the archive")
    if not name.isprintable() or not all(map(_is_file_name, parts)):
        raise _refused(member, "the name is no usable file name")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(member, "it is a link or a device")
    if member.flag_bits & _ENCRYPTED:
        raise _refused(member, "it is locked with a password")
    if member.compress_type not in _METHODS:
        raise _refused(member, "it is packed by another method than deflate")


def _is_file_name(part: str) -> bool:
    return part not in ("", ".") and len(part.encode("utf-8", "replace")) <= 255


def _require_unique(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse names that occur twice, or are both a file and a folder."""
    seen: set[str] = set()
    plain: set[str] = set()
    for entry in entries:
        name = entry.filename.rstrip("/").casefold()
        if name in seen:
            raise _refused(entry, "the name occurs twice")
        seen.add(name)
        if not entry.is_dir():
            plain.add(name)
    for entry in entries:
        parents = PurePosixPath(entry.filename.casefold()).parents
        if any(str(parent) in plain for parent in parents):
            raise _refused(entry, "a file is in the place of its folder")


def _require_moderate(member: zipfile.ZipInfo) -> None:
    """Refuse a member that is too large or unpacks to far more than it stores."""
    size_mb = member.file_size / 1e6
    if size_mb > MAX_FILE_MB:
        raise _refused(member, f"it has {size_mb:,.0f} MB; the limit is {MAX_FILE_MB}")
    ratio = member.file_size / max(member.compress_size, 1)
    if size_mb > _RATIO_FROM_MB and ratio > MAX_RATIO:
        raise _refused(
            member,
            f"it unpacks to {ratio:,.0f} times its size; the limit is {MAX_RATIO}",
        )


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Unpack one member below a folder and compare its size and checksum."""
    path = folder.joinpath(*member.filename.split("/"))
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    try:
        with archive.open(member) as source, path.open("xb") as sink:
            while block := source.read(_BLOCK_BYTES):
                written += len(block)
                if written > member.file_size:
                    raise _damaged(member)
                sink.write(block)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _damaged(member) from error
    if written != member.file_size:
        raise _damaged(member)


def _refused(member: zipfile.ZipInfo, reason: str) -> DatasetError:
    return DatasetError(
        f"{_shown(member)} is not accepted: {reason}. Nothing was imported; make the "
        "archive again without it."
    )


def _damaged(member: zipfile.ZipInfo) -> DatasetError:
    return DatasetError(
        f"damaged at {_shown(member)}. Nothing was imported; make the archive again."
    )


def _shown(member: zipfile.ZipInfo) -> str:
    """Return a member's name for a message, whatever it holds."""
    name = "".join(c if c.isprintable() else "?" for c in member.filename)
    return f"'{name if len(name) <= 80 else name[:79] + '…'}'"
