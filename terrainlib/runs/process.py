"""The worker's process as `process.json` names it, told from every other process.

An id alone may by now belong to another program, and a dead child that nobody waited
for (a zombie) still has one. So its start is noted beside the id, counted from the
machine's start: it stays the same when somebody sets the clock.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import psutil
from pydantic import Field

import terrainlib
from terrainlib import files, rights
from terrainlib.errors import RunError, StorageError
from terrainlib.types import Finite, Moment, Text, known_record

PROCESS_FILE: Final = "process.json"
_SAME_START_SECONDS: Final = 1.0
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """The contents of `process.json`.

    Attributes:
        pid: Id of the process.
        create_time: When it began, by the clock of the machine.
        since_boot: When it began, in seconds since the machine did; None where that is
            not known.
        boot_id: What the kernel called that start of the machine, where it does.
        host: Name of the machine.
        started: UTC ISO time at which this was written.
        exit_code: How it ended; None while it has not, or nobody saw it.
    """

    pid: Annotated[int, Field(ge=1, lt=2**31)]
    create_time: Finite = 0.0
    since_boot: Finite | None = None
    boot_id: Text | None = None
    host: Text = ""
    started: Moment = ""
    exit_code: Annotated[int, Field(ge=-(2**31), lt=2**32)] | None = None


def write_process(path: Path, pid: int | None = None) -> None:
    """Write `process.json` of the run folder `path` for process `pid` (default: this).

    Raises:
        StorageError: If the disk is full, read-only or failing.
        psutil.NoSuchProcess: If the process has already ended.
    """
    process = psutil.Process(pid)
    record = ProcessRecord(
        pid=process.pid,
        create_time=process.create_time(),
        since_boot=_since_boot(process),
        boot_id=_boot_id(),
        host=socket.gethostname(),
        started=utc_now(),
    )
    files.write_json(path / PROCESS_FILE, asdict(record))


def read_process(path: Path) -> ProcessRecord | None:
    """Return `process.json` of the run folder `path`, or None."""
    return known_record(path / PROCESS_FILE, ProcessRecord)


def _note_exit(path: Path, pid: int, code: int) -> None:
    """Add the exit status of a process to its record, if it is still the last one."""
    record = read_process(path)
    if record is not None and record.pid == pid:
        files.write_json(path / PROCESS_FILE, asdict(replace(record, exit_code=code)))


def find_process(record: ProcessRecord | None) -> psutil.Process | None:
    """Return the living process of `record`; None for ended and recycled ids."""
    if record is None:
        return None
    try:
        process = psutil.Process(record.pid)
        same = _is_same(record, process)
        zombie = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return None
    return process if same and not zombie else None


def _is_same(record: ProcessRecord, process: psutil.Process) -> bool:
    if record.since_boot is None or record.boot_id is None:
        difference = process.create_time() - record.create_time
    elif record.boot_id != _boot_id():
        return False
    else:
        difference = (_since_boot(process) or 0.0) - record.since_boot
    return abs(difference) < _SAME_START_SECONDS


def _since_boot(process: psutil.Process) -> float | None:
    """Return when a process began, in seconds since the machine did; Linux only."""
    if not sys.platform.startswith("linux"):
        return None
    # Both times follow the machine's clock, their difference does not.
    return process.create_time() - psutil.boot_time()


def _boot_id() -> str | None:
    """Return what the kernel calls this start of the machine, where it does."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None


_KILL_WAIT_SECONDS = 10.0


def child_environment() -> dict[str, str]:
    """Return the environment of a child: this package, the home, and whom it is for."""
    package_root = str(Path(terrainlib.__file__).resolve().parents[1])
    search = [package_root, os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, search)),
        "PYTHONUNBUFFERED": "1",
        "TERRAINLIB_HOME": str(files.shared_dir()),
        rights.ACTOR_VARIABLE: rights.actor_to_text(),
    }


def spawn_worker(path: Path, command: Sequence[str], log_name: str) -> None:
    """Start the worker of a folder and note its process there.

    Raises:
        StorageError: If the folder cannot be written.
    """
    with (path / log_name).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=child_environment(),
            start_new_session=True,
        )
    with suppress(psutil.NoSuchProcess):  # already over; status and log say why
        write_process(path, process.pid)
    threading.Thread(target=_reap, args=(path, process), daemon=True).start()


def kill_worker(path: Path) -> None:
    """End the worker of a folder at once, if there is one.

    Raises:
        RunError: If its process does not end.
    """
    process = find_process(read_process(path))
    if process is None:
        return
    try:
        process.kill()  # checks again that the id is not another program's by now
        process.wait(_KILL_WAIT_SECONDS)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired as error:
        raise RunError(
            f"process {process.pid} does not end. End it by hand.", file=path.name
        ) from error


def _reap(path: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait for a worker, so that it leaves no zombie, and note how it ended."""
    code = process.wait()
    if code:
        with suppress(StorageError):  # on a full disk nobody will know why
            _note_exit(path, process.pid, code)


def utc_now() -> str:
    """Return the time as UTC ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def seconds_since(moment: str) -> float:
    """Return the seconds since a UTC ISO time; infinity where it cannot be read."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    except (TypeError, ValueError):
        return float("inf")


@contextmanager
def stop_requested_by_signals() -> Iterator[Callable[[], bool]]:
    """Take over SIGTERM and SIGINT while the block lasts.

    The first one asks for an end with the model saved; a second Ctrl-C interrupts at
    once. Only the main thread may call this.

    Yields:
        A function that says whether one of them has come.
    """
    asked = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, on_signal) for number in numbers]
    try:
        yield asked.is_set
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
