"""Trainings that start from a model."""

from pathlib import Path

import numpy as np
import pytest

from terrainlib.errors import ModelFileError
from terrainlib.model.card import card_markdown
from terrainlib.model.config import TrainingConfig
from terrainlib.model.modelfile import load_model
from terrainlib.runs.folder import Run, create_run, read_run
from terrainlib.runs.launcher import mark_starting
from terrainlib.runs.status import RunStatus
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.train import run_training
from tests.models import KERAS_COPY_WARNING, write_model

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)


def new_run(data: Path, model: Path, name: str) -> Path:
    training = TrainingConfig.preset(
        "fast",
        network={
            "image_size": 32,
            "filters": (4, 8),
            "classes": 7,
            "encoder": "own",
        },
        epochs=2,
        batch_size=2,
        validation_share=0.5,
        learning_rate=1e-7,
    )
    return create_run(RunConfig(name, str(data), training, start_from=str(model)))


def trained(path: Path, *, resume: bool = False) -> Run:
    return run_training(path, resume=resume, pixel_score=False)


def stopped(path: Path) -> None:
    """Begin a training and stop it at its first step: there is no checkpoint yet."""

    def watch(status: RunStatus) -> None:
        if status.state == "running":
            (path / "stop").touch()

    run_training(path, on_progress=watch, pixel_score=False)
    mark_starting(read_run(path))


def test_a_training_begins_with_the_model_and_a_resumed_one_with_that_file_alone(
    tmp_path: Path, tiny_dataset: Path
) -> None:
    model = write_model(tmp_path / "models")
    begun = load_model(model).network.get_layer("bottom_conv1").get_weights()
    whole = trained(new_run(tiny_dataset, model, "whole"))
    ended = load_model(whole.path)
    kernel = ended.network.get_layer("bottom_conv1").get_weights()
    np.testing.assert_allclose(kernel[0], begun[0], atol=1e-4)

    start = ended.record.training["started_from"]
    assert (start["name"], len(start["hash"])) == ("tiny", 64)
    assert "Started from: tiny" in card_markdown(ended.record).replace("**", "")

    path = new_run(tiny_dataset, model, "resumed")
    stopped(path)
    model.unlink()
    kept = path / "start.model"
    begun_with = kept.read_bytes()
    kept.write_bytes(begun_with + b"more")
    with pytest.raises(ModelFileError, match="is gone or has changed"):
        trained(path, resume=True)
    kept.write_bytes(begun_with)
    mark_starting(read_run(path))
    again = load_model(trained(path, resume=True).path).network
    pairs = zip(again.get_weights(), ended.network.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)

    path = new_run(tiny_dataset, model, "gone")
    with pytest.raises(ModelFileError, match="no such model file"):
        trained(path)
