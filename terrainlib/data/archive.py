"""Zip archives of data sets, unpacked without trusting a word they say.

Names, kinds and declared sizes are judged before anything is written; what is written
is counted while it is read. Either the whole archive arrives or nothing does.
"""

import io
import mmap
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Final

from terrainlib import files
from terrainlib.data._nested import find_data_folder
from terrainlib.errors import DatasetError

MAX_FILES: Final = 20_000
MAX_TOTAL_MB: Final = 5_000
MAX_FILE_MB: Final = 500
MAX_DEPTH: Final = 32  # folders around a file
# Unpacked over packed. The sample gives 1.0 as PNG and 2.4 as bare TIFF, of which its
# masks alone give 31; what is all of one colour gives 650.
MAX_RATIO: Final = 25
RATIO_FROM_MB: Final = 250  # less may be masks of one colour, and does no harm
RESERVE_MB: Final = 1_000  # of disk space left free

_BLOCK_BYTES: Final = 1 << 20
_ENCRYPTED: Final = 0x1
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENTRY: Final = re.compile(rb"PK\x01\x02")  # how each begins in the list at the end
_DAMAGES: Final = (  # what zipfile says of archives that somebody has bent
    OSError,
    RuntimeError,  # with NotImplementedError and RecursionError
    LookupError,
    TypeError,
    ValueError,  # with UnicodeDecodeError
    OverflowError,
    MemoryError,
    EOFError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


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
            _require_moderate(members, _size(data))
            total = sum(member.file_size for member in members)
            files.require_free_space(target, total + RESERVE_MB * 1_000_000)
            with files.atomic_folder(target) as temporary:
                for member in members:
                    _write(archive, member, temporary)
    return find_data_folder(target)


@contextmanager
def _opened(data: bytes | Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose list of entries is short enough to be held."""
    source: IO[bytes] | Path = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        _require_few(data)
        archive = zipfile.ZipFile(source)
    except DatasetError:
        raise
    except _DAMAGES as error:
        raise DatasetError(
            "not a complete zip archive. Make it again, or upload it again.",
            file=None if isinstance(data, bytes) else data.name,
        ) from error
    with archive:
        yield archive


def _size(data: bytes | Path) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def _require_few(data: bytes | Path) -> None:
    """Refuse more entries than are allowed before zipfile makes an object of each."""
    if isinstance(data, bytes):
        count = _entries(data)
    elif _size(data):
        with (
            data.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view,
        ):
            count = _entries(view)
    else:
        count = 0
    if count > MAX_FILES:
        raise DatasetError(
            f"the archive holds more than {MAX_FILES:,} entries, which is the limit. "
            "Unpack it yourself and open the folder."
        )


def _entries(data: bytes | mmap.mmap) -> int:
    return sum(1 for _ in islice(_ENTRY.finditer(data), MAX_FILES + 1))


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files of an archive whose names and kinds are acceptable."""
    entries = archive.infolist()
    for entry in entries:
        _require_plain(entry)
    _require_unique(entries)
    return [entry for entry in entries if not entry.is_dir()]


def _require_plain(member: zipfile.ZipInfo) -> None:
    """Refuse a name that leads outside, and everything but plain files and folders."""
    name = member.filename
    parts = name.rstrip("/").split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        raise _refused(member, "the name leads out of the archive")
    usable = len(parts) <= MAX_DEPTH and name.isprintable()
    if not (usable and all(map(_is_file_name, parts))):
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


def _require_moderate(members: list[zipfile.ZipInfo], packed: int) -> None:
    """Refuse a member that is too large, and too much of all, for what is packed."""
    for member in members:
        size_mb = member.file_size / 1e6
        if size_mb > MAX_FILE_MB:
            limit = f"the limit is {MAX_FILE_MB}"
            raise _refused(member, f"it has {size_mb:,.0f} MB; {limit}")
    total_mb = sum(member.file_size for member in members) / 1e6
    if total_mb > MAX_TOTAL_MB:
        raise DatasetError(
            f"the archive unpacks to {total_mb:,.0f} MB; the limit is "
            f"{MAX_TOTAL_MB:,} MB. Unpack it yourself and open the folder."
        )
    ratio = total_mb * 1e6 / packed
    if total_mb > RATIO_FROM_MB and ratio > MAX_RATIO:
        raise DatasetError(
            f"the archive unpacks to {total_mb:,.0f} MB, {ratio:,.0f} times its size; "
            f"above {RATIO_FROM_MB} MB the limit is {MAX_RATIO}. Unpack it yourself "
            "and open the folder."
        )


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Unpack one member below a folder and compare its size and checksum."""
    path = folder.joinpath(*member.filename.split("/"))
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with path.open("xb") as sink:
        for block in _blocks(archive, member):
            written += len(block)
            if written > member.file_size:
                break
            sink.write(block)
    if written != member.file_size:
        raise _damaged(member)


def _blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield what a member holds; what goes wrong with the disk is the caller's."""
    try:
        with archive.open(member) as source:
            while block := source.read(_BLOCK_BYTES):
                yield block
    except _DAMAGES as error:
        raise _damaged(member) from error


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
