"""One training at a time: the slot that a worker holds for its whole life."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terrainlib import files
from terrainlib.errors import RunError
from terrainlib.runs.folder import Run, list_runs, read_run
from terrainlib.runs.locks import WorkerPlace

_PLACE = WorkerPlace(files.runs_dir, "train", "run", "training")


@contextmanager
def training_slot(run_dir: Path) -> Iterator[None]:
    """Hold the slot for the run `run_dir` during the block.

    Raises:
        RunError: If another training holds it.
        StorageError: If the lock cannot be made.
    """
    with _PLACE.held(run_dir, lambda: busy_sentence(active_run())):
        yield


@contextmanager
def launching() -> Iterator[None]:
    """Let one process or thread at a time decide whether a training may start.

    Raises:
        RunError: If others take too long to decide.
        StorageError: If the lock cannot be made.
    """
    with _PLACE.launching():
        yield


def holds_slot(run_dir: Path) -> bool:
    """Return whether the worker of a run folder trains at this moment."""
    return _PLACE.is_held_by(run_dir)


def slot_is_free() -> bool:
    """Return whether nobody trains at this moment; asking makes no file."""
    return _PLACE.is_free()


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
    path = _PLACE.last_holder()
    try:
        return None if path is None else read_run(path)
    except RunError:
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
