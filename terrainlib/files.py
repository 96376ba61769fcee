"""Writing files so that they are either the old or the new one, never a torn one.

Every file the project writes goes through here: a temporary file in the same folder,
flush, fsync, `os.replace`, fsync of the folder. Also the places where runs, models and
caches lie.
"""

import csv
import errno
import io
import json
import math
import os
import re
import secrets
import shutil
import socket
import stat
import time
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import psutil

from terrainlib import rights
from terrainlib.errors import StorageError

FREE_SPACE_RESERVE_MB = 64.0
STALE_HOURS = 24.0
FRESH_SECONDS = 600.0  # so long after its last use an entry of a cache is in use
MAX_JSON_BYTES = 64_000_000  # what a scan of 100,000 pairs remembers takes a third
MAX_JSON_DEPTH = 40
MAX_JSON_DIGITS = 300  # still a float
_NOT_IN_WINDOWS_1252: Final = frozenset({0x81, 0x8D, 0x8F, 0x90, 0x9D})
_TEMPORARY = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp")
_DIGEST = re.compile(r"[0-9a-f]{32}")
_MANY_FILES = 64


def shared_dir() -> Path:
    """Return the home of this machine, below which everybody's things lie.

    The variable `TERRAINLIB_HOME` names it; without it, it is the current folder.
    """
    return Path(os.environ.get("TERRAINLIB_HOME") or Path.cwd()).resolve()


def home_dir() -> Path:
    """Return the folder that holds `runs/`, `predictions/`, `models/` and `cache/`.

    It is that of whoever acts now: the home of this machine, or a folder below it.

    Raises:
        RightsError: If nobody does, for instance because nobody has logged in.
    """
    who = rights.actor()
    if who.role == "nobody":
        rights.require("read shared")
    return shared_dir() / who.folder


def runs_dir() -> Path:
    """Return the folder of the run folders (it may not exist yet)."""
    return home_dir() / "runs"


def predictions_dir() -> Path:
    """Return the folder of the folders of predictions (it may not exist yet)."""
    return home_dir() / "predictions"


def models_dir() -> Path:
    """Return the folder of the models added by hand (it may not exist yet)."""
    return home_dir() / "models"


def cache_dir() -> Path:
    """Return the folder of everything that can be computed again."""
    return home_dir() / "cache"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it if the block succeeds.

    Args:
        path: The final file. Its folder is made where it is missing.

    Raises:
        StorageError: If the disk is full, read-only or failing; the old file is intact.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with suppress(OSError):  # what went wrong before is what to report
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that takes its name if the block succeeds.

    Args:
        path: The final folder. Where another process made it meanwhile, theirs is kept.

    Raises:
        StorageError: If the disk is full, read-only or failing; nothing is left behind.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        _sync_below(temporary)
        if not path.is_dir():
            temporary.replace(path)
            _sync(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder within `folder` that goes with the block.

    Raises:
        StorageError: If it cannot be made.
    """
    temporary = _temporary(folder / "scratch")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep(folder: Path, *, below: bool = True) -> int:
    """Remove what writers that were killed have left in a folder and below it.

    Temporary files of this machine's living processes stay, and those of other machines
    until they are a day old.

    Args:
        folder: Where to look; it may be missing.
        below: Whether to look below it too.

    Returns:
        How many files and folders were removed.
    """
    found = Path(folder).glob("**/.*.tmp" if below else ".*.tmp")
    left = [path for path in found if _is_abandoned(path)]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return len(left)


def remove_folder(path: Path) -> None:
    """Remove a folder with everything in it; half removed, it has another name already.

    Raises:
        StorageError: If it cannot be removed.
    """
    doomed = path.with_name(f".deleted-{path.name}")
    try:
        path.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise storage_error(path, error) from error


def keep_within(folder: Path, limit_mb: float, kept: Collection[Path | None]) -> None:
    """Take out the entries of a cache used longest ago, until the others fit.

    An entry is a folder whose name is 32 hexadecimal digits; its time of change says
    when it was used. What was used within ten minutes stays, and what is written to.

    Args:
        folder: The cache; it may be missing.
        limit_mb: Megabytes that may stay.
        kept: Entries that are needed as well, however old they are.
    """
    room = limit_mb * 1e6
    for entry in sorted(_entries(folder), key=_last_used, reverse=True):
        room -= _bytes_in(entry)
        fresh = _last_used(entry) > time.time() - FRESH_SECONDS
        if room >= 0 or fresh or entry in kept:
            continue
        with suppress(OSError, StorageError):  # gone already, or for the next time
            if not any(entry.glob(".*.tmp")):  # of somebody who writes to it
                with scratch_folder(folder) as doomed:
                    entry.rename(doomed / entry.name)


def _entries(folder: Path) -> list[Path]:
    """Return the folders of a cache's entries; links are none."""
    with suppress(OSError), os.scandir(folder) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if _DIGEST.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    return []


def _last_used(entry: Path) -> float:
    with suppress(OSError):
        return entry.lstat().st_mtime
    return 0.0


def _bytes_in(entry: Path) -> int:
    """Return the bytes of the files in a folder; links are not followed."""
    size = 0
    for folder, _, names in os.walk(entry):
        for name in names:
            with suppress(OSError):
                size += Path(folder, name).lstat().st_size
    return size


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically.

    Raises:
        StorageError: If the disk is full, read-only or failing; the old file is intact.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def append_bytes(path: Path, data: bytes) -> None:
    """Add whole lines to the end of `path` and force them to the disk.

    Raises:
        StorageError: If the disk is full, read-only or failing. A part of `data` may
            then stand at the end; readers drop a line without its line end.
    """
    try:
        with Path(path).open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise storage_error(path, error) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as UTF-8 JSON to `path` atomically.

    Raises:
        StorageError: If the disk is full, read-only or failing; the old file is intact.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any | None:
    """Return the parsed JSON of `path`, or None where it is missing or unreadable."""
    try:
        return parse_json(read_bytes(path, MAX_JSON_BYTES))
    except (OSError, ValueError):
        return None


def read_bytes(path: Path, limit_bytes: int) -> bytes:
    """Return what a file holds that somebody else may have put there.

    Raises:
        OSError: If it cannot be read, or is no file: a pipe would never end.
        ValueError: If it is larger than `limit_bytes`.
    """
    with open_regular(path) as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise ValueError(f"larger than {limit_bytes} bytes")
    return data


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading without waiting for anybody.

    Raises:
        OSError: If it cannot be read, or is a folder, a pipe or a device.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    return file


def is_file(path: Path) -> bool:
    """Return whether a path leads to a file, also where nobody may look."""
    return os.path.isfile(path)  # noqa: PTH113 - that of `Path` may raise


def exists(path: Path) -> bool:
    """Return whether a path leads to something, also where nobody may look."""
    return os.path.exists(path)  # noqa: PTH110 - that of `Path` may raise


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def parse_json(data: bytes | str, *, finite: bool = True) -> Any:
    """Return the value of JSON that somebody else may have written.

    Args:
        data: The text.
        finite: Whether NaN and Infinity, which Python writes, are refused.

    Raises:
        ValueError: If it is no JSON, has more than `MAX_JSON_BYTES`, is nested deeper
            than `MAX_JSON_DEPTH`, or holds a number that has more digits than a float
            can tell, or is not finite.
    """
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"more than {MAX_JSON_BYTES} bytes of JSON")
    try:
        value = json.loads(
            _text(data) if isinstance(data, bytes) else data,
            parse_constant=_no_number if finite else float,
            parse_int=_whole,
            parse_float=_finite,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_JSON_DEPTH:
            raise ValueError(f"nested deeper than {MAX_JSON_DEPTH}")
        level = [inner for outer in level for inner in _inside(outer)]
    return value


def _text(data: bytes) -> str:
    """Return JSON as text: UTF-8, 16 or 32, with or without a mark in front."""
    try:
        return data.decode(json.detect_encoding(data), "surrogatepass")
    except UnicodeDecodeError as error:
        other = b"\0" not in data and not set(data) & _NOT_IN_WINDOWS_1252
        kind = "in Latin-1 or Windows-1252" if other else "in no encoding known here"
        raise ValueError(f"its text is {kind}; save it as UTF-8") from error


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    return [v for v in value if isinstance(v, dict | list)] if value else []


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number in JSON")


def _whole(text: str) -> int:
    if len(text) > MAX_JSON_DIGITS:
        raise ValueError("a number of too many digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is beyond the numbers")
    return value


def require_free_space(folder: Path, needed_bytes: int) -> None:
    """Refuse to start writing `needed_bytes` where they, and a reserve, do not fit.

    The reserve is `FREE_SPACE_RESERVE_MB`, or what the variable of that name with the
    prefix `TERRAINLIB_` says.

    Raises:
        StorageError: With the megabytes needed and free.
    """
    free_mb = free_space_mb(folder)
    needed_mb = needed_bytes / 1e6 + _reserve_mb()
    if free_mb < needed_mb:
        raise StorageError(
            f"No space left: {needed_mb:.0f} MB needed, {free_mb:.0f} MB free. "
            "Free some space and try again.",
            file=folder.name,
        )


def free_space_mb(folder: Path) -> float:
    """Return the megabytes that are free where a folder is or would be."""
    folder = Path(folder).absolute()
    existing = next(p for p in [folder, *folder.parents] if p.exists())
    return shutil.disk_usage(existing).free / 1e6


def sync_folder(folder: Path) -> None:
    """Ask the kernel to put the names in a folder on the disk.

    Raises:
        StorageError: If the disk is failing.
    """
    try:
        _sync(folder)
    except OSError as error:
        raise storage_error(folder, error) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return the sentence for an `OSError` met while writing `path`."""
    full = "No space left on the disk. Free some space and try again."
    reasons = {
        errno.ENOSPC: full,
        errno.EDQUOT: full,
        errno.EFBIG: "The file is larger than this system allows. Raise that limit.",
        errno.EROFS: "The disk is read-only. Choose another folder.",
        errno.EACCES: "No permission to write here. Choose another folder.",
        errno.EPERM: "No permission to write here. Choose another folder.",
    }
    reason = reasons.get(error.errno or 0, f"Cannot be written ({error.strerror}).")
    return StorageError(reason, file=path.name)


def _reserve_mb() -> float:
    """Return how many megabytes stay free on a disk that is written to."""
    try:
        return max(0.0, float(os.environ["TERRAINLIB_FREE_SPACE_RESERVE_MB"]))
    except (KeyError, ValueError):
        return FREE_SPACE_RESERVE_MB


def _sync(path: Path) -> None:
    """Ask the kernel to put a file or a folder's entries on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_below(folder: Path) -> None:
    """Ask the kernel to put a folder with all its files on the disk."""
    entries = [folder, *folder.rglob("*")]
    if len(entries) > _MANY_FILES:
        os.sync()  # one wait in place of thousands
        return
    for entry in entries:
        _sync(entry)


def _temporary(path: Path) -> Path:
    """Return a hidden name beside `path` that tells its writer and is nobody else's."""
    writer = f"{_machine()}-{os.getpid()}"
    return path.with_name(f".{path.name}.{writer}-{secrets.token_hex(4)}.tmp")


def _is_abandoned(path: Path) -> bool:
    """Whether a path is a temporary one whose writer will not come back."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    machine, process = match.groups()
    if machine == _machine():
        return not psutil.pid_exists(int(process))
    try:
        return time.time() - path.stat().st_mtime > 3600 * STALE_HOURS
    except OSError:
        return False


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


_OF_SYSTEMS: Final = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "icon\r"}
)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is none of a person's own, by its name.

    Names that begin with a dot, and what macOS, Windows and file servers leave behind:
    `.DS_Store`, `._a.png`, `__MACOSX`, `Thumbs.db`, `desktop.ini`.
    """
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return what sorts texts as people do: `area_2` before `area_10`.

    Example:
        >>> sorted(["area_10", "Area_3", "area_2"], key=natural_key)
        ['area_2', 'Area_3', 'area_10']
    """
    parts = _NUMBERS.split(text)
    key = [
        (0, int(part), "") if number % 2 else (1, 0, part.casefold())
        for number, part in enumerate(parts)
        if part
    ]
    return (*key, (-1, 0, text))  # equal but for case or zeros: in a fixed order


_NUMBERS: Final = re.compile(r"([0-9]{1,18})")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    r"""Return a table as UTF-8 CSV.

    Names of files and classes come from outside: a text that starts like a formula gets
    an apostrophe in front, so that a spreadsheet shows it instead of computing it.
    Numbers stay as they are, and None is an empty cell.

    Args:
        header: Names of the columns.
        rows: The cells of each row.

    Example:
        >>> csv_bytes(["class", "share"], [["=1+1", -0.5], ["Water", None]])
        b"class,share\r\n'=1+1,-0.5\r\nWater,\r\n"
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    for row in (header, *rows):
        writer.writerow([safe_cell(cell) for cell in row])
    return stream.getvalue().encode("utf-8", "replace")


def safe_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet computes."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value
