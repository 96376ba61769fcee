"""Starting, stopping and continuing trainings as processes of their own.

The process is put into a session of its own: it outlives the page, the tab and the
server that started it. Nothing here is remembered; the run folders are the truth.
"""

from dataclasses import replace
from pathlib import Path

from terrainlib import files
from terrainlib.data.dataset import open_dataset
from terrainlib.errors import RunError
from terrainlib.runs.folder import (
    CONFIG_FILE,
    LOG_FILE,
    Run,
    RunConfig,
    create_run,
    read_run,
    require_deletable,
)
from terrainlib.runs.process import (
    PROCESS_FILE,
    child_environment,
    kill_worker,
    module_command,
    spawn_worker,
    utc_now,
)
from terrainlib.runs.slot import active_run, holds_slot, launching, require_free_slot
from terrainlib.runs.status import ACTIVE, STOP_FILE, observe, write_status
from terrainlib.runs.training.checks import require_resumable, require_trainable

__all__ = [
    "active_run",
    "child_environment",
    "delete_run",
    "force_stop",
    "resume",
    "start",
    "stop",
]


def start(config: RunConfig) -> Path:
    """Start a training and return its new run folder.

    Raises:
        RunError: If a training is already running.
        DatasetError: If the data set cannot be used for this training.
        StorageError: If the run folder cannot be written.
    """
    require_free_slot()
    dataset = open_dataset(Path(config.data))
    require_trainable(dataset, config.training)
    config = replace(config, data=str(dataset.folder.resolve()))
    with launching():
        require_free_slot()
        path = create_run(config)
        _spawn(path)
    return path


def resume(path: Path) -> Path:
    """Continue a stopped, failed or crashed training; return its run folder.

    Raises:
        RunError: If it is running, has finished, or another training is running.
        StorageError: If the run folder cannot be written.
    """
    require_resumable(read_run(path))
    with launching():
        run = read_run(path)
        require_resumable(run)
        require_free_slot()
        mark_starting(run)
        _spawn(run.path, "--resume")
    return run.path


def stop(path: Path) -> None:
    """Ask a training to save its model and end; it does so within seconds.

    Raises:
        RunError: If it is not running.
        StorageError: If the run folder cannot be written.
    """
    run = _require_active(path)
    files.write_bytes(run.path / STOP_FILE, b"")


def force_stop(path: Path) -> None:
    """End a training at once; what was learnt since the last checkpoint is lost.

    Raises:
        RunError: If it is not running, or its process does not end.
    """
    run = _require_active(path)
    kill_worker(run.path)
    status = read_run(run.path).status
    message = "Ended by force. Resume continues from the last checkpoint."
    write_status(run.path, replace(status, state="stopped", message=message))


def delete_run(path: Path) -> None:
    """Delete a run folder, damaged or not, with everything in it.

    Raises:
        RunError: If it is running, no run folder, or not in the folder of the runs.
        StorageError: If it cannot be deleted.
    """
    path = Path(path)
    active = observe(path)[1] in ACTIVE or holds_slot(path)
    require_deletable(path, files.runs_dir(), CONFIG_FILE, "runs", active=active)
    files.remove_folder(path)


def mark_starting(run: Run) -> None:
    """Take back a run's last end before it is continued."""
    (run.path / STOP_FILE).unlink(missing_ok=True)
    (run.path / PROCESS_FILE).unlink(missing_ok=True)
    now = utc_now()
    status = replace(
        run.status, state="starting", message="", heartbeat=now, progressed=now
    )
    write_status(run.path, status)


def worker_command(path: Path, *options: str) -> list[str]:
    """Return the command that trains a run."""
    return module_command("terrainlib.runs.worker", str(path), *options)


def _require_active(path: Path) -> Run:
    """Return the run, or refuse if nothing is at it."""
    run = read_run(path)
    if not run.active:
        raise RunError(f"is not running (it is {run.state}).", file=run.path.name)
    return run


def _spawn(path: Path, *options: str) -> None:
    spawn_worker(path, worker_command(path, *options), LOG_FILE)
