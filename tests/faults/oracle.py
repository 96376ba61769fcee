"""What must hold of a run folder after anything: every file in it is whole."""

import json
import math
from pathlib import Path
from typing import get_args

import h5py
import numpy as np
from PIL import Image

from terrainlib.model.learning import checkpoint
from terrainlib.model.modelfile import load_model
from terrainlib.runs.folder import (
    CHECKPOINTS,
    METRICS_FILE,
    MODEL_FILE,
    read_metrics,
    read_run,
)
from terrainlib.runs.status import State

Weights = list[np.ndarray]


def require_whole(path: Path) -> None:
    """Fail unless every file of a run folder can be read and no epoch is lost.

    Temporary files are not looked at: they are what a killed writer leaves, and nobody
    reads them.
    """
    run = read_run(path)
    assert run.state in get_args(State)
    for file in sorted(path.rglob("*")):
        if file.is_file() and not file.name.endswith(".tmp"):
            _require_readable(file)
    epochs = read_metrics(path)
    if not epochs.empty:
        count = len(epochs)
        assert epochs["epoch"].tolist() == list(range(1, count + 1)), "a gap in the CSV"
        assert all(math.isfinite(value) for value in epochs["val_miou"])
        saved = checkpoint.epochs_saved(path / CHECKPOINTS)
        newest = int(saved[-1].stem.removeprefix("epoch-")) if saved else 0
        assert newest >= count, f"{count} epochs in the CSV, {newest} saved"
    model = path / MODEL_FILE
    if model.exists():
        assert all(np.isfinite(weight).all() for weight in saved_weights(path))


def saved_weights(path: Path) -> Weights:
    """Return the weights of the model in a run folder."""
    return [np.array(w) for w in load_model(path / MODEL_FILE).network.get_weights()]


def require_equal(found: Weights, expected: Weights) -> None:
    """Fail unless all weights are equal bit for bit."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def _require_readable(file: Path) -> None:
    """Read one file as what its name says it is."""
    if file.suffix == ".json":
        json.loads(file.read_text(encoding="utf-8"))
    elif file.suffix == ".npz":
        assert checkpoint.read(file) is not None, f"{file.name} is damaged"
    elif file.suffix == ".h5":
        with h5py.File(file) as opened:
            assert "model_weights" in opened
    elif file.suffix in (".png", ".webp"):
        with Image.open(file) as image:
            image.load()
    elif file.name == METRICS_FILE:
        assert file.read_bytes().startswith(b"epoch,")
