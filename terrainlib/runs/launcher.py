"""Starting, stopping and clearing away workers as processes.

A process is put into a session of its own: it outlives the page, the tab and the
server that started it. Nothing here is remembered; the workers' folders are the truth.
"""

import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from terrainlib import files, places, rights
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.sample import EMBEDDED_MODELS, SAMPLE_DIR
from terrainlib.errors import InputError, RightsError, RunError
from terrainlib.mask.products.records import SHARES_FILE
from terrainlib.model.automatic import TrainingData, memory_needed
from terrainlib.model.config import TrainingConfig
from terrainlib.model.forward import require_heights
from terrainlib.model.modelfile import find_model_file
from terrainlib.runs.folder import (
    Run,
    WorkerFolder,
    create_job,
    create_run,
    create_search,
    read_job,
    read_run,
    require_deletable,
    search_folder,
)
from terrainlib.runs.jobs.config import JobConfig
from terrainlib.runs.jobs.delivery import require_untaken
from terrainlib.runs.jobs.estimate import model_outline
from terrainlib.runs.process import PROCESS_FILE, kill_worker, spawn_worker, utc_now
from terrainlib.runs.searches.config import SearchConfig
from terrainlib.runs.slot import JOB_SLOT, RUN_SLOT, SEARCH_SLOT, Slot, slot_of
from terrainlib.runs.status import (
    ACTIVE,
    JOB,
    RUN,
    SEARCH,
    STOP_FILE,
    Work,
    observe,
    work_of,
    write_status,
)
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.material import require_resumable, require_trainable


def start_run(config: RunConfig, *, wait: bool = False) -> Path:
    """Start a training and return its new folder.

    Args:
        config: What to do.
        wait: Let it wait in the queue where a training is already running.

    Raises:
        RunError: If a training is already running, and it should not wait.
        DatasetError: If the data set cannot be used for this training.
        StorageError: If the folder cannot be written.
    """
    rights.require("train")
    if not wait:
        RUN_SLOT.require_free()
    if config.start_from is not None:
        places.require_readable(find_model_file(config.start_from))
    dataset = open_dataset(Path(config.data))
    require_trainable(dataset, config.training)
    _require_within_limits(dataset, config.training)
    config = replace(config, data=str(dataset.folder.resolve()))
    return _launch(RUN_SLOT, lambda: create_run(config), wait=wait)


def start_job(
    config: JobConfig,
    uploads: Mapping[str, bytes] | None = None,
    *,
    wait: bool = False,
) -> Path:
    """Start a prediction and return its new folder.

    Args:
        config: What to do.
        uploads: Files in memory, by the paths that the configuration gives them. They
            are kept in the prediction's folder.
        wait: Let it wait in the queue where a prediction is already running.

    Raises:
        RunError: If a prediction is already running, and it should not wait.
        ModelFileError: If the model is missing or none.
        InputError: If the model needs heights that are missing, or the results cannot
            go where they should.
        StorageError: If the folder cannot be written.
    """
    rights.require("predict")
    wait |= not config.needs_machine
    if not wait:
        JOB_SLOT.require_free()
    for name, data in (uploads or {}).items():
        rights.require_upload(len(data), Path(name).name)
    config = _checked(config, set(uploads or ()))
    files.sweep(files.predictions_dir())
    return _launch(JOB_SLOT, lambda: create_job(config, uploads), wait=wait)


def start_search(dataset: Dataset) -> Path:
    """Start the search for overlaps of a data set; return its folder.

    One that goes on already is left at it. It waits where another data set is being
    searched.

    Raises:
        RunError: If others take too long to start one.
        StorageError: If the folder cannot be written.
    """
    rights.require("search")
    config = SearchConfig.of(dataset)
    path = search_folder(config.key)
    with SEARCH_SLOT.launching():
        if observe(path, SEARCH)[1] not in ACTIVE:
            for old in _ended_searches():
                files.remove_folder(old)  # nothing in it is worth keeping
            _spawn(SEARCH_SLOT, create_search(config))
    return path


def _ended_searches() -> list[Path]:
    home = SEARCH.home()
    folders = [path for path in home.glob("*") if path.is_dir()]
    return [path for path in folders if observe(path, SEARCH)[1] not in ACTIVE]


def resume(path: Path, *, wait: bool = False) -> Path:
    """Continue a stopped, failed or crashed training; return its run folder.

    Args:
        path: The run folder.
        wait: Let it wait in the queue where a training is already running.

    Raises:
        RunError: If it is running or has finished, or another training is running and
            it should not wait.
        StorageError: If the run folder cannot be written.
    """

    def make_ready() -> Path:
        run = read_run(path)
        require_resumable(run)
        mark_starting(run)
        return run.path

    rights.require("train")
    places.require_changeable(path)
    require_resumable(read_run(path))
    return _launch(RUN_SLOT, make_ready, "--resume", wait=wait)


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
    active = observe(path, work)[1] in ACTIVE or slot_of(work).is_held_by(path)
    require_deletable(path, work, active=active)
    _sweep_results(path)
    files.remove_folder(path)


def clear_visitors(present: Collection[str]) -> list[str]:
    """Remove what visitors of a demo have left, an hour after they did.

    Args:
        present: Names of the folders of those who are here.

    Returns:
        Names of the folders that were removed.

    Raises:
        StorageError: If one cannot be removed.
    """
    home, hours = files.shared_dir() / rights.VISITORS, rights.limits().hours_kept
    removed = []
    for folder in home.iterdir() if hours is not None and home.is_dir() else ():
        if folder.name in present:
            os.utime(folder)
        elif time.time() - folder.stat().st_mtime > 3600 * (hours or 0.0):
            _clear_away(folder)
            removed.append(folder.name)
    return removed


def _clear_away(folder: Path) -> None:
    """Remove the folder of a visitor; its workers end before."""
    with rights.acting(rights.Actor("visitor", f"{rights.VISITORS}/{folder.name}")):
        for work in (RUN, JOB, SEARCH):
            for path in work.home().glob("*"):
                kill_worker(path)
    files.remove_folder(folder)


def worker_command(path: Path, *options: str) -> list[str]:
    """Return the command that does the work of a folder."""
    return [sys.executable, "-m", "terrainlib.runs.worker", str(path), *options]


def _launch(
    slot: Slot[Any], make: Callable[[], Path], *options: str, wait: bool
) -> Path:
    with slot.launching():
        if not wait:
            slot.require_free()
        path = make()
        _spawn(slot, path, *options)
    return path


def _spawn(slot: Slot[Any], path: Path, *options: str) -> None:
    """Start the worker of a folder; its status says at once whether it has to wait."""
    begun = slot.read(path)
    others = [one for one in slot.list() if one.active and one.path != path]
    ahead = [one for one in others if one.needs_machine]
    if begun.needs_machine and (ahead or not slot.is_free()):
        write_status(path, replace(begun.status, state="waiting"))
    spawn_worker(path, worker_command(path, *options), slot.work.log)


def _require_within_limits(dataset: Dataset, training: TrainingConfig) -> None:
    """Refuse a training that is longer or larger than a visitor may have.

    Raises:
        RightsError: With the limit.
    """
    limits = rights.limits()
    if limits.training_minutes is None or limits.training_gb is None:
        return
    if dataset.folder.resolve() != SAMPLE_DIR:
        raise RightsError("only the sample is trained on here. Choose it.")
    if training.minutes is None or training.minutes > limits.training_minutes:
        raise RightsError(
            f"a training takes {limits.training_minutes:g} minutes at most here. "
            "Choose so many, or fewer."
        )
    needed = memory_needed(training, TrainingData.of(dataset)) / 1e9
    if needed > limits.training_gb:
        raise RightsError(
            f"a training of this size needs about {needed:.1f} GB of memory; the limit "
            f"is {limits.training_gb:g} GB here. Lower the batch or the image size."
        )


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
    given = [i.path for i in config.images] + [config.heights]
    for path in set(filter(None, given)) - uploads:
        places.require_readable(path)
    if config.folder:
        places.require_changeable(config.folder)
        _require_folder(Path(config.folder), table=len(config.images) > 1)
    return config


def _require_folder(folder: Path, *, table: bool) -> None:
    """Refuse a folder that cannot take results; it is made where it is missing."""
    if folder.exists() and not folder.is_dir():
        raise InputError("is not a folder. Choose another.", file=folder.name)
    with files.scratch_folder(folder):
        pass
    if table:
        require_untaken([SHARES_FILE], folder)


def _read(path: Path) -> Any:
    return slot_of(work_of(path)).read(path)


def _require_active(path: Path) -> WorkerFolder:
    rights.require("stop")
    places.require_changeable(path)
    folder: WorkerFolder = _read(path)
    if not folder.active:
        raise RunError(f"is not running (it is {folder.state}).", file=path.name)
    return folder


def _sweep_results(path: Path) -> None:
    """Remove what a killed worker has left where a prediction's results go."""
    with suppress(RunError):  # of a damaged one it is not known where they went
        if work_of(path) is JOB:
            files.sweep(read_job(path).folder, below=False)
