"""The model that a training starts from, and what the training is like then.

It is kept in the training's folder, so that it stays the same: the file is copied when
the training begins. A resumed training goes on from its checkpoints, or begins with the
very same weights again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from terrainlib import files
from terrainlib.data.dataset import Dataset
from terrainlib.errors import ModelFileError
from terrainlib.model.automatic import Choice, TrainingData, choose
from terrainlib.model.config import DEFAULT_PRESET
from terrainlib.model.machine import Machine
from terrainlib.model.modelfile import find_model_file, load_model, read_record
from terrainlib.model.record import ModelRecord
from terrainlib.model.start import require_fit, shape_of, usual_rate
from terrainlib.runs.folder import Run
from terrainlib.types import Text, known_record

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

START_FILE: Final = "start.model"
START_RECORD: Final = "start.json"
_MAX_BYTES: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Start:
    """Where a training started: the contents of `start.json`.

    Attributes:
        name: What the model is called.
        hash: SHA-256 of its file in hexadecimal.
    """

    name: Text
    hash: Text


def choose_training(
    dataset: Dataset,
    preset: str | None,
    start: ModelRecord | None,
    *,
    network: Mapping[str, Any],
    **changes: Any,
) -> Choice:
    """Return a training on a data set, its sizes and its rate chosen.

    From a model it has the model's network, where no preset is asked for, and a lower
    learning rate, so that what is known is kept.

    Args:
        dataset: The data set.
        preset: One of `PRESETS`; None for the model's, or the usual one.
        start: Record of the model to start from; None starts from nothing.
        network: Options of `UNetConfig` that are set.
        **changes: Options of `TrainingConfig` that are set, None where not; none is the
            learning rate.

    Raises:
        ConfigError: If an option is not allowed, or no layer of the model fits.
    """
    given = {
        "classes": len(dataset.classes),
        "bands": max(1, dataset.bands.count),
        **network,
    }
    if start is not None and preset is None:
        preset, shape = shape_of(start)
        given |= shape
    data = TrainingData.of(dataset)
    preset = preset or DEFAULT_PRESET
    choice = choose(preset, data, Machine.here(), network=given, **changes)
    config = choice.config
    if start is not None:
        require_fit(start, config.network)
    rate = usual_rate(config.learning_rate, start)
    return replace(choice, config=replace(config, learning_rate=rate))


def read_start(model: str) -> ModelRecord:
    """Return the record of a model to start from.

    Args:
        model: As `load_model` takes it.

    Raises:
        ModelFileError: If it is no model.
    """
    record = read_record(find_model_file(model))
    return load_model(model).record if record is None else record  # or what is wrong


def load_start(run: Run) -> "TerrainModel | None":
    """Return the model that a run starts from, None for one that starts from nothing.

    Raises:
        ModelFileError: If it is no model, or another one than the run began with.
        StorageError: If its copy cannot be written.
    """
    if run.config.start_from is None:
        return None
    kept = run.path / START_FILE
    start = started_from(run)
    if start is None:
        model = load_model(run.config.start_from)
        path = model.path or find_model_file(run.config.start_from)
        files.require_free_space(run.path, path.stat().st_size)
        data = files.read_bytes(path, _MAX_BYTES)
        start = Start(model.name, hashlib.sha256(data).hexdigest())
        files.write_bytes(kept, data)
        files.write_json(run.path / START_RECORD, asdict(start))
    elif _hash(run) != start.hash:
        raise ModelFileError(
            f"{START_FILE}, the model that it began with, is gone or has changed. Put "
            "it back, or start a new run.",
            file=run.path.name,
        )
    return load_model(kept)


def started_from(run: Run) -> Start | None:
    """Return where a run started, None for one that started from nothing."""
    return known_record(run.path / START_RECORD, Start)


def _hash(run: Run) -> str:
    try:
        data = files.read_bytes(run.path / START_FILE, _MAX_BYTES)
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(data).hexdigest()
