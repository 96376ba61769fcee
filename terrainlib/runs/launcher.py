"""Starting, stopping and clearing away trainings and predictions as processes.

The process is put into a session of its own: it outlives the page, the tab and the
server that started it. Nothing here is remembered; the workers' folders are the truth.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from terrainlib import files
from terrainlib.data.dataset import open_dataset
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import InputError, RunError
from terrainlib.mask.products.records import SHARES_FILE
from terrainlib.model.inputs import require_heights
from terrainlib.runs.folder import (
    Job,
    Run,
    create_job,
    create_run,
    read_job,
    read_run,
    require_deletable,
)
from terrainlib.runs.jobs.config import JobConfig
from terrainlib.runs.jobs.delivery import require_untaken
from terrainlib.runs.jobs.estimate import model_outline
from terrainlib.runs.process import PROCESS_FILE, kill_worker, spawn_worker, utc_now
from terrainlib.runs.slot import JOB_SLOT, RUN_SLOT, Slot
from terrainlib.runs.status import (
    ACTIVE,
    JOB,
    STOP_FILE,
    Work,
    observe,
    work_of,
    write_status,
)
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.material import require_resumable, require_trainable


def start_run(config: RunConfig) -> Path:
    """Start a training and return its new folder.

    Raises:
        RunError: If a training is already running.
        DatasetError: If the data set cannot be used for this training.
        StorageError: If the folder cannot be written.
    """
    RUN_SLOT.require_free()
    dataset = open_dataset(Path(config.data))
    require_trainable(dataset, config.training)
    config = replace(config, data=str(dataset.folder.resolve()))
    return _launch(RUN_SLOT, lambda: create_run(config))


def start_job(config: JobConfig, uploads: Mapping[str, bytes] | None = None) -> Path:
    """Start a prediction and return its new folder.

    Args:
        config: What to do.
        uploads: Files in memory, by the paths that the configuration gives them. They
            are kept in the prediction's folder.

    Raises:
        RunError: If a prediction is already running.
        ModelFileError: If the model is missing or none.
        InputError: If the model needs heights that are missing, or the results cannot
            go where they should.
        StorageError: If the folder cannot be written.
    """
    JOB_SLOT.require_free()
    config = _checked(config, set(uploads or ()))
    files.sweep(files.predictions_dir())
    return _launch(JOB_SLOT, lambda: create_job(config, uploads))


def resume(path: Path) -> Path:
    """Continue a stopped, failed or crashed training; return its run folder.

    Raises:
        RunError: If it is running, has finished, or another training is running.
        StorageError: If the run folder cannot be written.
    """

    def make_ready() -> Path:
        run = read_run(path)
        require_resumable(run)
        mark_starting(run)
        return run.path

    require_resumable(read_run(path))
    return _launch(RUN_SLOT, make_ready, "--resume")


def mark_starting(run: Run) -> None:
    """Take back a run's last end before it is continued."""
    (run.path / STOP_FILE).unlink(missing_ok=True)
    (run.path / PROCESS_FILE).unlink(missing_ok=True)
    now = utc_now()
    status = replace(
        run.status, state="starting", message="", heartbeat=now, progressed=now
    )
    write_status(run.path, status)


def stop(path: Path) -> None:
    """Ask a worker to end; it keeps its model, or the rows that are finished.

    Raises:
        RunError: If it is not running.
        StorageError: If its folder cannot be written.
    """
    files.write_bytes(_require_active(path).path / STOP_FILE, b"")


def force_stop(path: Path) -> None:
    """End a worker at once: what came after the last checkpoint or image is lost.

    Raises:
        RunError: If it is not running, or its process does not end.
        StorageError: If its folder cannot be written.
    """
    path, work = _require_active(path).path, work_of(path)
    kill_worker(path)
    status = _read(path).status
    write_status(
        path, replace(status, state="stopped", message=work.forced, seconds_left=None)
    )
    _sweep_results(path)


def delete(path: Path, work: Work) -> None:
    """Delete a worker's folder, damaged or not; results in a folder of yours stay.

    Raises:
        RunError: If it is running, not of this work, or not in its place.
        StorageError: If it cannot be deleted.
    """
    path = Path(path)
    slot: Slot[Any] = JOB_SLOT if work is JOB else RUN_SLOT
    active = observe(path, work)[1] in ACTIVE or slot.is_held_by(path)
    require_deletable(path, work, active=active)
    _sweep_results(path)
    files.remove_folder(path)


def worker_command(path: Path, *options: str) -> list[str]:
    """Return the command that does the work of a folder."""
    return [sys.executable, "-m", "terrainlib.runs.worker", str(path), *options]


def _launch(slot: Slot[Any], make: Callable[[], Path], *options: str) -> Path:
    with slot.launching():
        slot.require_free()
        path = make()
        spawn_worker(path, worker_command(path, *options), slot.work.log)
    return path


def _checked(config: JobConfig, uploads: set[str]) -> JobConfig:
    outline = model_outline(config.model)
    require_heights(outline.config, config.heights, file=outline.name)

    def whole(path: str) -> str:
        return path if path in uploads else str(Path(path).absolute())

    known = config.model in EMBEDDED_MODELS
    config = replace(
        config,
        model=config.model if known else whole(config.model),
        images=tuple(replace(i, path=whole(i.path)) for i in config.images),
        folder=config.folder and whole(config.folder),
        heights=None if config.heights is None else whole(config.heights),
    )
    if config.folder:
        _require_folder(Path(config.folder), table=len(config.images) > 1)
    return config


def _require_folder(folder: Path, *, table: bool) -> None:
    """Refuse a folder that cannot take results; it is made where it is missing."""
    if folder.exists() and not folder.is_dir():
        raise InputError("is no folder. Choose another.", file=folder.name)
    with files.scratch_folder(folder):
        pass
    if table:
        require_untaken([SHARES_FILE], folder)


def _read(path: Path) -> Any:
    return read_job(path) if work_of(path) is JOB else read_run(path)


def _require_active(path: Path) -> Run | Job:
    folder: Run | Job = _read(path)
    if not folder.active:
        raise RunError(f"is not running (it is {folder.state}).", file=path.name)
    return folder


def _sweep_results(path: Path) -> None:
    """Remove what a killed worker has left where a prediction's results go."""
    with suppress(RunError):  # of a damaged one it is not known where they went
        if work_of(path) is JOB:
            files.sweep(read_job(path).folder, below=False)
