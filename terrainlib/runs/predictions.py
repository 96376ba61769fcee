"""Starting, stopping and clearing away predictions that run as processes of their own.

For large images and for many: they go on when the page, the tab and the server are
gone. Nothing here is remembered; the folders of the predictions are the truth.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from terrainlib import files
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import InputError, RunError
from terrainlib.mask.products.records import SHARES_FILE
from terrainlib.model.inputs import require_heights
from terrainlib.runs.folder import require_deletable
from terrainlib.runs.jobs.config import (
    InputImage,
    PredictionConfig,
    PredictionStatus,
    input_images,
)
from terrainlib.runs.jobs.delivery import require_untaken, zip_results
from terrainlib.runs.jobs.estimate import Estimate, estimate_job, model_outline
from terrainlib.runs.prediction_folder import (
    CONFIG_FILE,
    LOG_FILE,
    PredictionJob,
    create_prediction,
    damaged_predictions,
    list_predictions,
    log_tail,
    read_prediction,
)
from terrainlib.runs.prediction_slot import SLOT, active_prediction, require_free_slot
from terrainlib.runs.process import kill_worker, module_command, spawn_worker
from terrainlib.runs.status import ACTIVE, STOP_FILE, real_state, write_status

__all__ = [
    "Estimate",
    "InputImage",
    "PredictionConfig",
    "PredictionJob",
    "PredictionStatus",
    "active_prediction",
    "damaged_predictions",
    "delete_prediction",
    "estimate_job",
    "force_stop_prediction",
    "input_images",
    "list_predictions",
    "log_tail",
    "read_prediction",
    "start_prediction",
    "stop_prediction",
    "zip_results",
]


def start_prediction(
    config: PredictionConfig, uploads: Mapping[str, bytes] | None = None
) -> Path:
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
    require_free_slot()
    config = _checked(config, set(uploads or ()))
    files.sweep(files.predictions_dir())
    with SLOT.launching():
        require_free_slot()
        path = create_prediction(config, uploads)
        spawn_worker(path, worker_command(path), LOG_FILE)
    return path


def stop_prediction(path: Path) -> None:
    """Ask a prediction to end; it keeps the rows that are finished.

    Raises:
        RunError: If it is not running.
        StorageError: If its folder cannot be written.
    """
    job = _require_active(path)
    files.write_bytes(job.path / STOP_FILE, b"")


def force_stop_prediction(path: Path) -> None:
    """End a prediction at once; the image that it was at is lost.

    Raises:
        RunError: If it is not running, or its process does not end.
        StorageError: If its folder cannot be written.
    """
    job = _require_active(path)
    kill_worker(job.path)
    status = read_prediction(job.path).status
    message = "Ended by force. The images that were finished are kept."
    write_status(
        job.path, replace(status, state="stopped", message=message, seconds_left=None)
    )
    _sweep(job)


def delete_prediction(path: Path) -> None:
    """Delete a prediction's folder, damaged or not; results in one of yours stay.

    Raises:
        RunError: If it is running, holds no prediction, or is not in the folder of the
            predictions.
        StorageError: If it cannot be deleted.
    """
    path, home = Path(path), files.predictions_dir()
    state = real_state(path, PredictionStatus)[1]
    active = state in ACTIVE or SLOT.is_held_by(path)
    require_deletable(path, home, CONFIG_FILE, "predictions", active=active)
    with suppress(RunError):  # of a damaged one it is not known where results went
        _sweep(read_prediction(path))
    files.remove_folder(path)


def worker_command(path: Path) -> list[str]:
    """Return the command that does a prediction."""
    return module_command("terrainlib.runs.prediction_worker", str(path))


def _checked(config: PredictionConfig, uploads: set[str]) -> PredictionConfig:
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


def _require_active(path: Path) -> PredictionJob:
    """Return the prediction, or refuse if nothing is at it."""
    job = read_prediction(path)
    if not job.active:
        raise RunError(f"is not running (it is {job.state}).", file=job.path.name)
    return job


def _sweep(job: PredictionJob) -> None:
    """Remove what a killed worker has left where the results go."""
    files.sweep(job.folder, below=False)
