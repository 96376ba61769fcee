"""One training at a time: the slot that a worker holds for its whole life.

The slot is a file lock, and the kernel frees it when its holder dies, however it dies.
Whether the file exists therefore says nothing; only trying the lock does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from terrainlib import files
from terrainlib.errors import RunError
from terrainlib.runs.folder import Run, list_runs, read_run

_SLOT_LOCK = ".train.lock"
_LAUNCH_LOCK = ".launch.lock"
_HOLDER = ".train.json"
_SLOT_WAIT_SECONDS = 2.0  # others only try the lock for an instant
_LAUNCH_WAIT_SECONDS = 20.0
_PROBE_SECONDS = 0.2  # longer than another one's probe


@contextmanager
def training_slot(run_dir: Path) -> Iterator[None]:
    """Hold the slot for the run `run_dir` during the block.

    Raises:
        RunError: If another training holds it.
        StorageError: If the lock cannot be made.
    """
    lock = _lock(_SLOT_LOCK)
    try:
        lock.acquire(timeout=_SLOT_WAIT_SECONDS)
    except Timeout as error:
        raise RunError(busy_sentence(active_run())) from error
    except OSError as error:
        raise files.storage_error(files.runs_dir(), error) from error
    try:
        files.write_json(files.runs_dir() / _HOLDER, {"run": str(run_dir.resolve())})
        yield
    finally:
        lock.release()


@contextmanager
def launching() -> Iterator[None]:
    """Let one process or thread at a time decide whether a training may start.

    Raises:
        RunError: If others take too long to decide.
        StorageError: If the lock cannot be made.
    """
    lock = _lock(_LAUNCH_LOCK)
    try:
        lock.acquire(timeout=_LAUNCH_WAIT_SECONDS)
    except Timeout as error:
        raise RunError("Another training is being started. Try again.") from error
    except OSError as error:
        raise files.storage_error(files.runs_dir(), error) from error
    try:
        yield
    finally:
        lock.release()


def slot_is_free() -> bool:
    """Return whether nobody trains at this moment; asking makes no file."""
    if not (files.runs_dir() / _SLOT_LOCK).exists():
        return True
    lock = _lock(_SLOT_LOCK)
    try:
        lock.acquire(timeout=_PROBE_SECONDS, poll_interval=0.01)
    except Timeout:
        return False
    except OSError as error:
        raise files.storage_error(files.runs_dir(), error) from error
    lock.release()
    return True


def active_run() -> Run | None:
    """Return the training that is going on or just starting, or None.

    It is found wherever its folder lies.
    """
    last = last_holder()
    if last is not None and last.active:
        return last
    return next((run for run in list_runs() if run.active), None)


def last_holder() -> Run | None:
    """Return the run that took the slot last; None where it cannot be read."""
    record = files.read_json(files.runs_dir() / _HOLDER)
    try:
        return read_run(Path(record["run"])) if isinstance(record, dict) else None
    except (RunError, KeyError, TypeError):
        return None


def require_free_slot() -> None:
    """Refuse to start while a training is going on.

    Raises:
        RunError: With the name of that training and its epoch.
    """
    active = active_run()
    if active is not None or not slot_is_free():
        raise RunError(busy_sentence(active))


def busy_sentence(run: Run | None) -> str:
    """Return the sentence that refuses a second training."""
    which = f": {run.name}, {run.epoch_text}" if run else ""
    return f"A training is already running{which}. Wait or stop it."


def _lock(name: str) -> FileLock:
    """Return a lock file of the folder of the runs, which is made where missing."""
    try:
        files.runs_dir().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.storage_error(files.runs_dir(), error) from error
    return FileLock(files.runs_dir() / name)
