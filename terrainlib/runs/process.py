"""The worker's process as `process.json` names it, told from every other process.

An id alone may by now belong to another program, and a dead child that nobody waited
for (a zombie) still has one. So its start is noted beside the id, counted from the
machine's start: it stays the same when somebody sets the clock.
"""

import socket
import sys
from pathlib import Path
from typing import Any, Final

import psutil

from terrainlib import files
from terrainlib.runs.times import utc_now

PROCESS_FILE: Final = "process.json"
_SAME_START_SECONDS: Final = 1.0
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def write_process(path: Path, pid: int | None = None) -> None:
    """Write `process.json` of the run folder `path` for process `pid` (default: this).

    Raises:
        StorageError: If the disk is full, read-only or failing.
        psutil.NoSuchProcess: If the process has already ended.
    """
    process = psutil.Process(pid)
    record = {
        "pid": process.pid,
        "create_time": process.create_time(),
        "since_boot": _since_boot(process),
        "boot_id": _boot_id(),
        "host": socket.gethostname(),
        "started": utc_now(),
    }
    files.write_json(path / PROCESS_FILE, record)


def read_process(path: Path) -> dict[str, Any] | None:
    """Return `process.json` of the run folder `path`, or None."""
    record = files.read_json(path / PROCESS_FILE)
    return record if isinstance(record, dict) and "pid" in record else None


def note_exit(path: Path, pid: int, code: int) -> None:
    """Add the exit status of process `pid` to its record, if it is still the last one.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    record = read_process(path)
    if record is not None and record["pid"] == pid:
        files.write_json(path / PROCESS_FILE, {**record, "exit_code": code})


def find_process(record: dict[str, Any] | None) -> psutil.Process | None:
    """Return the living process of `record`; None for ended and recycled ids."""
    if record is None:
        return None
    try:
        process = psutil.Process(int(record["pid"]))
        same = _is_same(record, process)
        zombie = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except (psutil.Error, KeyError, TypeError, ValueError, OverflowError):
        return None
    return process if same and not zombie else None


def _is_same(record: dict[str, Any], process: psutil.Process) -> bool:
    """Whether a living process began when the recorded one did."""
    since_boot, boot_id = record.get("since_boot"), record.get("boot_id")
    if since_boot is None or boot_id is None:
        difference = process.create_time() - float(record["create_time"])
    elif boot_id != _boot_id():
        return False
    else:
        difference = (_since_boot(process) or 0.0) - float(since_boot)
    return abs(difference) < _SAME_START_SECONDS


def _since_boot(process: psutil.Process) -> float | None:
    """Return when a process began, in seconds since the machine did; Linux only.

    Both of psutil's times follow the clock of the machine, their difference does not.
    """
    if not sys.platform.startswith("linux"):
        return None
    return process.create_time() - psutil.boot_time()


def _boot_id() -> str | None:
    """Return what the kernel calls this start of the machine, where it does."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None
