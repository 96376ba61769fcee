"""What a training leaves: the model, judged and described, in its run folder.

It loads TensorFlow.
"""

import logging
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from terrainlib import __version__
from terrainlib.errors import InputError, StoppedError, StorageError
from terrainlib.mask.pixelsize import dataset_statistics
from terrainlib.mask.scores.evaluation import evaluate
from terrainlib.metrics import scores as score
from terrainlib.model.config import TrainingConfig
from terrainlib.model.forward import run_network
from terrainlib.model.learning.calibration import fold_temperature, network_temperature
from terrainlib.model.looks import class_shares, confusion_groups, training_statistics
from terrainlib.model.modelfile import TerrainModel, receptive_field
from terrainlib.model.reading.writer import save_model
from terrainlib.model.record import ModelRecord, class_list
from terrainlib.runs.folder import MODEL_FILE, Run
from terrainlib.runs.process import utc_now
from terrainlib.runs.training.budget import minutes_given
from terrainlib.runs.training.pixelscore import keep, read_pixel_score
from terrainlib.runs.training.start import started_from
from terrainlib.types import Progress

if TYPE_CHECKING:
    from terrainlib.model.learning.reports import TrainingResult
    from terrainlib.runs.training.material import Material

STOPPED_JUDGING_SECONDS = 3.0
_logger = logging.getLogger(__name__)


def save_outcome(
    run: Run,
    material: "Material",
    result: "TrainingResult",
    progress: Progress,
    before_last_save: Callable[[], None] = lambda: None,
) -> ModelRecord:
    """Save the model of a training, and judge it at the masks' own size.

    Its probabilities are calibrated first, within its last layer: what is saved is what
    is judged. The model is on the disk before it is judged: first with the scores of
    the working size, then with those that count. Somebody who stopped the training
    waits a few seconds at most for the latter. The score of the pixel classifier is
    part of it where it stands in the run folder by then.

    Args:
        run: The run.
        material: What it learnt from.
        result: What the training gave.
        progress: Called with the numbers of images judged and in all.
        before_last_save: Called when all is judged, before the last save.

    Returns:
        The record that was saved with the model.

    Raises:
        StorageError: If it cannot be written.
    """
    temperature = _calibrate(result.network, material, run.config.training)
    record = replace(_record(run, material, result), temperature=temperature)
    record = _with_pixel_score(record, run)
    save_model(result.network, record, run.path)
    model = _model(run, material, result, record)
    deadline = time.monotonic() + STOPPED_JUDGING_SECONDS
    try:
        judged = evaluate(
            model,
            material.dataset,
            split="validation",
            progress=progress,
            should_stop=lambda: result.hurried and time.monotonic() > deadline,
        )
    except (StoppedError, InputError) as error:
        _logger.warning("not judged at the masks' own size: %s", error)
        return record
    record = replace(
        record,
        scores=judged.to_json(confidence=True),
        confusion=judged.confusion.tolist(),
        confusion_groups=confusion_groups(judged.confusions),
    )
    before_last_save()
    record = _with_pixel_score(record, run)
    save_model(result.network, record, run.path)
    return record


def _model(
    run: Run, material: "Material", result: "TrainingResult", record: ModelRecord
) -> TerrainModel:
    return TerrainModel(
        network=result.network,
        classes=material.dataset.classes,
        config=run.config.training.network,
        scale=record.scale,
        record=record,
        name=run.name,
        path=run.path / MODEL_FILE,
    )


def _with_pixel_score(record: ModelRecord, run: Run) -> ModelRecord:
    """Add the score of the pixel classifier, as far as it is known."""
    found = read_pixel_score(run.path)
    if found is None or found.split != (record.split or {}).get("hash"):
        return record
    found = found.beside(record.confusion_groups)
    with suppress(StorageError):
        keep(run.path, found)
    scores = {k: v for k, v in found.scores.items() if k != "confusion_groups"}
    return replace(record, pixel_classifier=scores)


def _calibrate(network: Any, material: "Material", training: TrainingConfig) -> float:
    forward = partial(run_network, network)
    temperature = network_temperature(forward, material.validation, training)
    fold_temperature(network, temperature)
    _logger.info("temperature %.4g, now within the last layer", temperature)
    return temperature


def _record(run: Run, material: "Material", result: "TrainingResult") -> ModelRecord:
    dataset = material.dataset
    training = run.config.training
    names = [entry.name for entry in dataset.classes]
    start = started_from(run)
    return ModelRecord(
        name=run.name,
        config=training.network.to_dict(),
        classes=class_list(dataset.classes),
        bands=None if (used := material.train.bands) is None else used.to_dict(),
        scale=material.train.scale,
        receptive_field=receptive_field(training.network),
        split=material.split.to_dict(),
        scores={
            "images": len(material.validation.ids),
            **score(result.confusion).to_json(names, confidence=True),
        },
        confusion=result.confusion.tolist(),
        parameters=int(result.network.count_params()),
        statistics={
            **training_statistics(material.train),
            **dataset_statistics(dataset),
            "class_shares": class_shares(material.train, names),
        },
        dataset={
            "name": dataset.name,
            "pairs": len(dataset.pairs),
            "fingerprint": dataset.fingerprint,
        },
        training={
            **training.to_dict(),
            "minutes": minutes_given(run.path) or training.minutes,
            "epochs_done": result.epochs_done,
            "best_epoch": result.best_epoch,
            "stopped": result.stopped,
            **({"started_from": asdict(start)} if start else {}),
        },
        created=utc_now(),
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Return the versions of what made the model."""
    import keras
    import tensorflow as tf

    return {
        "terrainlib": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": str(keras.__version__),
        "tensorflow": str(tf.__version__),
    }
