"""Every end of a training is a state and one sentence, and what was good is kept."""

import itertools
import logging
import math
from pathlib import Path

import numpy as np
import pytest

from terrainlib import files
from terrainlib.data.cache import PairCache
from terrainlib.errors import StorageError, TrainingError
from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning.trainer import Trainer
from terrainlib.model.modelfile import load_model
from terrainlib.runs.folder import create_run, read_run
from terrainlib.runs.report import ROOM_FILE, Report
from terrainlib.runs.status import RunStatus
from terrainlib.runs.training import material
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.train import run_training
from tests.models import KERAS_COPY_WARNING
from tests.synthetic import write_kaggle_dataset

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)


def new_run(data: Path) -> Path:
    network = {"image_size": 32, "filters": (4, 8), "classes": 7}
    training = TrainingConfig.preset(
        "fast", network=network, epochs=3, batch_size=2, validation_share=0.3
    )
    return create_run(RunConfig("Ending", str(data), training))


def test_a_loss_that_is_no_number_fails_the_run_with_the_best_model_saved(
    tiny_dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    step, calls = Trainer.step, itertools.count()

    def failing(self: Trainer, *batch: object) -> tuple[float, float]:
        loss, share = step(self, *batch)
        return (math.nan if next(calls) == 3 else loss), share

    monkeypatch.setattr(Trainer, "step", failing)
    path = new_run(tiny_dataset)
    with (
        caplog.at_level(logging.CRITICAL),
        pytest.raises(
            TrainingError, match=r"not a number in epoch 2.*\(epoch 1\) is sa"
        ),
    ):
        run_training(path, pixel_score=False)

    run = read_run(path)
    assert run.state == "failed"
    assert "not a number in epoch 2" in run.message
    assert run.model is not None
    network = load_model(run.model).network
    assert all(np.isfinite(weight).all() for weight in network.get_weights())
    assert run.metrics["epoch"].tolist() == [1]


def test_pairs_that_vanish_while_they_are_read_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_kaggle_dataset(tmp_path / "vanishing", pairs=8)
    build = material.build_cache

    def vanishing(*args: object, **options: object) -> PairCache:
        (data / "0002_t.png").unlink()
        return build(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(material, "build_cache", vanishing)
    run = run_training(new_run(data), pixel_score=False)

    assert run.state == "finished"
    assert run.message.endswith("1 pair was left out as unusable; the log says why.")


def test_a_full_disk_leaves_room_for_the_last_words(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_run(tiny_dataset)
    write = files.write_bytes

    def full(target: Path, data: bytes) -> None:
        if (path / ROOM_FILE).exists() and target.name != ROOM_FILE:
            raise StorageError("No space left on the disk.", file=target.name)
        write(target, data)

    with Report(path, RunStatus()) as report:
        monkeypatch.setattr(files, "write_bytes", full)
        report.end("failed", "No space left on the disk.")

    assert read_run(path).state == "failed"
    assert not (path / ROOM_FILE).exists()
