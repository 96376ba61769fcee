"""Zip archives of data sets, unpacked without trusting a word they say.

Names, kinds and declared sizes are judged before anything is written; what is written
is counted while it is read. Either the whole archive arrives or nothing does.
"""

import hashlib
import io
import mmap
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Final

from terrainlib import files, rights
from terrainlib.data.layouts.find import find_data_folder
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
    entries = archive.infolist()
    for entry in entries:
        _require_plain(entry)
    _require_unique(entries)
    return [entry for entry in entries if not (entry.is_dir() or _is_hidden(entry))]


def _is_hidden(member: zipfile.ZipInfo) -> bool:
    return any(map(files.is_hidden, member.filename.split("/")))


def _require_plain(member: zipfile.ZipInfo) -> None:
    """Refuse a name that leads outside, and everything but plain files and folders."""
    name = member.filename
    parts = name.rstrip("/").split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        raise _refused(member, "the name leads out of the archive")
    usable = len(parts) <= MAX_DEPTH and name.isprintable()
    if not (usable and all(map(_is_file_name, parts))):
        raise _refused(member, "the name cannot be used as a file name")
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
    name = "".join(c if c.isprintable() else "?" for c in member.filename)
    return f"'{name if len(name) <= 80 else name[:79] + '…'}'"


KAGGLE_DATASET: Final = "tpapp157/earth-terrain-height-and-segmentation-map-images"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_MAX_NAME_CHARACTERS: Final = 120


def download_kaggle(name: str) -> Path:
    """Return the folder of a Kaggle data set, fetched on the first call.

    Args:
        name: `owner/dataset`, as in the data set's address.

    Returns:
        The folder that holds the pairs, below the one that `kagglehub` keeps.

    Raises:
        DatasetError: If the name is malformed, `kagglehub` is missing, or the data set
            cannot be reached, is unknown or asks for a log-in.
    """
    rights.require("download from Kaggle")
    name = name.strip().strip("/")
    if len(name) > _MAX_NAME_CHARACTERS or _NAME.fullmatch(name) is None:
        raise DatasetError(
            "a Kaggle data set is named owner/dataset, for example "
            f"{KAGGLE_DATASET}. Copy the name from its address.",
            file=name[:60] or None,
        )
    return find_data_folder(Path(_download(name)))


def _download(name: str) -> str:
    try:
        import kagglehub  # slow, and needed for this alone
        from kagglehub import exceptions
    except ImportError as error:
        raise DatasetError(
            "the package kagglehub is not installed. Install it with "
            "'pip install kagglehub', or download the data set and open its folder.",
            file=name,
        ) from error
    failures = (
        OSError,  # no network, no disk, and every answer that is an error
        ValueError,
        exceptions.BackendError,
        exceptions.CredentialError,
        exceptions.DataCorruptionError,
        exceptions.KaggleEnvironmentError,
        exceptions.NotFoundError,
        exceptions.UnauthenticatedError,
    )
    try:
        return str(kagglehub.dataset_download(name))
    except failures as error:
        raise DatasetError(_sentence(error), file=name) from error


def _sentence(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 404 or type(error).__name__ == "NotFoundError":
        return (
            "Kaggle knows no data set of this name. Copy the name from the data set's "
            "address."
        )
    if status in (401, 403) or type(error).__name__ in (
        "UnauthenticatedError",
        "CredentialError",
    ):
        return (
            "Kaggle asks for a log-in for this data set. Log in with "
            "'kagglehub.login()', or download it in a browser and open its folder."
        )
    return (
        "Kaggle could not be reached, or did not deliver the data set. Check the "
        "network and try again, or download it elsewhere and open its folder."
    )


MAX_KEPT_MB: Final = 10_000

_FOLDER: Final = "uploads"
_UPLOAD_ID: Final = re.compile(r"[0-9a-f]{32}")


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
    rights.require("upload a data set")
    rights.require_upload(len(data), name)
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


def upload_id(folder: Path) -> str:
    """Return the id of the upload that a folder was unpacked from; empty for others."""
    upload = _upload_of(folder)
    return upload.name if upload else ""


def kept_upload(name: str) -> Path | None:
    """Return the folder of an upload that is still unpacked, None where it is gone.

    Args:
        name: Its id, as of `upload_id`: the start of the SHA-256 of its archive, which
            nobody guesses. Anything else leads nowhere.
    """
    if _UPLOAD_ID.fullmatch(name) is None:
        return None
    try:
        (unpacked,) = (files.cache_dir() / _FOLDER / name).iterdir()
        folder = find_data_folder(unpacked)
    except (OSError, ValueError, DatasetError):
        return None
    return folder if mark_used(folder) else None


def _clear(in_use: Collection[Path]) -> None:
    kept = {_upload_of(folder) for folder in in_use}
    files.keep_within(files.cache_dir() / _FOLDER, MAX_KEPT_MB, kept)


def _upload_of(folder: Path) -> Path | None:
    """Return the upload that a folder belongs to, None for a folder elsewhere."""
    root = files.cache_dir() / _FOLDER
    inner, outer = folder.resolve(), root.resolve()
    if outer not in inner.parents:
        return None
    return root / inner.relative_to(outer).parts[0]
