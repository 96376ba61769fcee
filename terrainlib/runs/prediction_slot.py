"""One prediction of large images or many at a time; it may run beside a training."""

from typing import Final

from terrainlib import files
from terrainlib.errors import RunError
from terrainlib.runs.locks import WorkerPlace
from terrainlib.runs.prediction_folder import (
    PredictionJob,
    list_predictions,
    read_prediction,
)

SLOT: Final = WorkerPlace(files.predictions_dir, "predict", "prediction", "prediction")


def active_prediction() -> PredictionJob | None:
    """Return the prediction that is going on or just starting, or None."""
    last = _last_holder()
    if last is not None and last.active:
        return last
    return next((job for job in list_predictions() if job.active), None)


def require_free_slot() -> None:
    """Refuse to start while a prediction is going on.

    Raises:
        RunError: With the name of that prediction and where it is.
    """
    active = active_prediction()
    if active is not None or not SLOT.is_free():
        raise RunError(busy_sentence(active))


def busy_sentence(job: PredictionJob | None = None) -> str:
    """Return the sentence that refuses a second prediction.

    Args:
        job: The one that is going on; None to look for it.
    """
    job = active_prediction() if job is None else job
    which = f": {job.name}, {job.place_text}" if job else ""
    return f"A prediction is already running{which}. Wait or stop it."


def _last_holder() -> PredictionJob | None:
    """Return the prediction that took the slot last; None if it cannot be read."""
    path = SLOT.last_holder()
    try:
        return None if path is None else read_prediction(path)
    except RunError:
        return None
