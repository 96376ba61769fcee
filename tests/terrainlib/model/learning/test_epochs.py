"""Training: it learns, reports, keeps the best, and resumes exactly."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from terrainlib.data.cache import PairCache
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.errors import RunError, TrainingError
from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning import checkpoint
from terrainlib.model.learning.epochs import train
from terrainlib.model.learning.reports import (
    EpochLog,
    Predict,
    StepProgress,
    TrainingHooks,
    TrainingResult,
)
from terrainlib.model.learning.trainer import Trainer, Validation
from tests.conftest import more
from tests.terrainlib.model.conftest import make_pairs, make_sized_pairs

NETWORK = {"image_size": 16, "filters": (4, 8), "dropout": 0.1}
Train = Callable[..., TrainingResult]


def config(preset: str = "fast", **changes: object) -> TrainingConfig:
    values = {"batch_size": 4, "network": NETWORK, "epochs": 3, **changes}
    return TrainingConfig.preset(preset, **values)


@pytest.fixture
def run(tmp_path: Path, pairs: PairCache, validation_pairs: PairCache) -> Train:
    """Return a function that trains on the small pairs."""

    def run_training(
        settings: TrainingConfig, folder: str = "run", **options: object
    ) -> TrainingResult:
        return train(
            settings,
            pairs,
            validation_pairs,
            classes=KAGGLE_CLASSES,
            checkpoints=tmp_path / folder,
            **options,
        )

    return run_training


def weights(result: TrainingResult) -> list[np.ndarray]:
    return [np.array(weight) for weight in result.network.get_weights()]


def stop_after(steps: int) -> Callable[[], bool]:
    """Return a stop switch that lets `steps` steps pass."""
    asked = iter(range(10_000))
    return lambda: next(asked) >= steps


def test_two_images_are_learnt_by_heart(tmp_path: Path) -> None:
    two = make_pairs(2)
    settings = config(
        epochs=90,
        batch_size=2,
        learning_rate=0.03,
        flips=False,
        quarter_turns=False,
        averaging=0.9,
        weight_decay=0.0,
        schedule="one_cycle",
        network={**NETWORK, "filters": (16, 32), "dropout": 0.0},
    )

    result = train(
        settings, two, two, classes=KAGGLE_CLASSES, checkpoints=tmp_path / "two"
    )

    assert result.history[-1].loss < 0.4 * result.history[0].loss
    assert result.history[-1].val_accuracy > 0.85


@pytest.mark.parametrize("preset", ["fast", "notebook"])
def test_each_epoch_is_reported_in_full(run: Train, preset: str) -> None:
    logs: list[EpochLog] = []
    steps: list[StepProgress] = []
    shapes = []

    def on_epoch(log: EpochLog, predict: Predict) -> None:
        logs.append(log)
        shapes.append([out.shape for out in predict(make_pairs(3))])

    result = run(
        config(preset), hooks=TrainingHooks(on_step=steps.append, on_epoch=on_epoch)
    )

    assert [log.epoch for log in logs] == [1, 2, 3]
    assert list(result.history) == logs
    if preset == "notebook":
        assert result.best_epoch == 3  # the last one
    assert shapes == [[(16, 16, 7 if preset == "fast" else 3)] * 3] * 3
    assert [(s.epoch, s.step, s.steps) for s in steps[:4]] == [
        (1, 1, 3),
        (1, 2, 3),
        (1, 3, 3),
        (2, 1, 3),
    ]
    assert steps[-1].epochs == 3
    assert all(s.seconds_left is not None for s in steps[3:])
    row = logs[0].row(tuple(c.name for c in KAGGLE_CLASSES))
    assert list(row)[:8] == [
        "epoch",
        "seconds",
        "learning_rate",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "val_miou",
    ]
    assert list(row)[8:] == [
        f"{key}_{c.name}"
        for key in ("iou", "precision", "recall")
        for c in KAGGLE_CLASSES
    ]


def test_the_log_of_an_older_checkpoint_has_the_iou_alone() -> None:
    old = dict.fromkeys(
        ("seconds", "learning_rate", "loss", "accuracy", "val_loss"), 0.5
    )
    old |= {"epoch": 3, "val_accuracy": 0.5, "val_miou": 0.5, "iou": [0.5, None]}

    log = EpochLog.from_dict(old)

    assert log.classes == {"iou": (0.5, None)}
    assert EpochLog.from_dict(asdict(log)) == log
    assert list(log.row(("Sea", "Land")))[8:] == ["iou_Sea", "iou_Land"]


def test_the_epoch_with_the_best_validation_miou_is_kept(run: Train) -> None:
    result = run(config(epochs=6, learning_rate=0.05))

    best = max(result.history, key=lambda log: log.val_miou)
    assert result.best_epoch == best.epoch
    assert result.best_miou == pytest.approx(best.val_miou)


@pytest.mark.parametrize("stopped_after", [4, *more(6, 8)])
def test_a_stopped_training_resumes_to_the_same_weights(
    run: Train, stopped_after: int
) -> None:
    settings = config(epochs=4, jitter=0.1)
    undisturbed = run(settings, "whole")

    hooks = TrainingHooks(should_stop=stop_after(stopped_after))
    stopped = run(settings, "cut", hooks=hooks)
    resumed = run(settings, "cut", resume=True)

    assert stopped.stopped
    assert stopped.epochs_done == stopped_after // 3
    assert not resumed.stopped
    assert resumed.epochs_done == 4
    for one, other in zip(weights(undisturbed), weights(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(undisturbed.history, resumed.history, strict=True):
        assert replace(one, seconds=0) == replace(other, seconds=0)


@pytest.mark.exhaustive
def test_crops_of_images_of_any_shape_resume_to_the_same_weights(
    tmp_path: Path,
) -> None:
    pairs = make_sized_pairs([(16, 16), (8, 30), (33, 16), (20, 20), (1, 19)])
    settings = config(epochs=2, crop_size=8)

    def weights_of(name: str, **options: object) -> list[np.ndarray]:
        folder = tmp_path / name
        classes = KAGGLE_CLASSES
        parts = (pairs, pairs.subset(pairs.ids[1:3]))
        result = train(settings, *parts, classes=classes, checkpoints=folder, **options)
        return weights(result)

    undisturbed = weights_of("whole")
    weights_of("cut", hooks=TrainingHooks(should_stop=stop_after(7)))
    resumed = weights_of("cut", resume=True)

    for one, other in zip(undisturbed, resumed, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_stop_within_the_first_epoch_keeps_the_weights_so_far(run: Train) -> None:
    result = run(config(), hooks=TrainingHooks(should_stop=stop_after(2)))

    assert result.stopped
    assert result.best_epoch == 0
    assert result.epochs_done == 0
    assert math.isfinite(result.best_miou)


def test_a_resume_with_another_configuration_is_refused(run: Train) -> None:
    run(config(epochs=1))

    with pytest.raises(RunError, match="have changed since this run was started"):
        run(config(epochs=2), resume=True)


def test_a_loss_that_is_no_number_stops_and_keeps_the_best(
    run: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 1.0, 1.0, 1.0, math.nan])
    step = Trainer.step

    def failing(self: Trainer, *batch: object) -> tuple[float, float]:
        return next(losses), step(self, *batch)[1]

    monkeypatch.setattr(Trainer, "step", failing)
    result = run(config(epochs=4))

    assert "not a number in epoch 2" in str(result.failure)
    assert "(epoch 1) is saved" in str(result.failure)
    assert result.best_epoch == 1
    assert result.hurried
    assert all(np.isfinite(weight).all() for weight in result.network.get_weights())
    best = checkpoint.load_best(tmp_path / "run")
    assert best is not None
    assert best.facts["epoch"] == 1
    assert all(np.isfinite(array).all() for array in best.arrays)


def test_a_loss_that_is_no_number_in_the_first_epoch_leaves_nothing(
    run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "step", lambda *_batch: (math.inf, 0.0))
    with pytest.raises(TrainingError, match=r"not a number in epoch 1\. Start again"):
        run(config(epochs=4))


def test_a_validation_that_is_no_number_never_counts_as_the_best(
    run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = Trainer.validate
    calls = iter(range(100))

    def failing(self: Trainer, *pairs: object) -> Validation:
        result = validate(self, *pairs)
        return replace(result, loss=math.nan) if next(calls) == 1 else result

    monkeypatch.setattr(Trainer, "validate", failing)

    result = run(config(epochs=4))

    assert "not a number in epoch 2" in str(result.failure)
    assert result.best_epoch == 1
    assert result.epochs_done == 1


def test_a_stop_is_heard_while_an_epoch_is_validated(run: Train) -> None:
    asked = iter([False] * 8 + [True] * 100)  # after all steps of an epoch

    hooks = TrainingHooks(should_stop=lambda: next(asked))
    result = run(config(epochs=4), hooks=hooks)

    assert result.stopped
    assert result.epochs_done < 4


def test_a_budget_in_minutes_begins_with_the_network_and_is_used_up_and_kept(
    run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(1_000_000))
    # A clock that each look moves on by a quarter of a second: no machine's speed.
    monkeypatch.setattr("time.monotonic", lambda: next(ticks) / 4)
    build = Trainer.__init__

    def slow(self: Trainer, *parts: object) -> None:
        for _ in range(400):
            next(ticks)  # 100 s
        build(self, *parts)

    monkeypatch.setattr(Trainer, "__init__", slow)
    result = run(config(epochs=None, minutes=0.5, schedule="one_cycle"))

    assert not result.stopped
    assert 4 <= result.epochs_done <= 30
    assert 24 <= result.seconds <= 30  # the rest is for judging and saving
    assert result.history[-1].learning_rate < 0.2 * config().learning_rate


def test_minutes_that_are_given_on_the_way_are_used_too(
    run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(1_000_000))
    monkeypatch.setattr("time.monotonic", lambda: next(ticks) / 4)
    given: list[float] = []

    def on_epoch(_log: EpochLog, _predict: Predict) -> None:
        given[:] = [1.0]

    hooks = TrainingHooks(
        on_epoch=on_epoch, minutes=lambda: given[0] if given else None
    )
    result = run(config(epochs=None, minutes=0.5), hooks=hooks)

    assert 48 <= result.seconds <= 60


def test_best_learns_from_crops_and_judges_whole_images(run: Train) -> None:
    shapes = []

    def on_epoch(_log: EpochLog, predict: Predict) -> None:
        shapes.append([out.shape for out in predict(make_pairs(1))])

    narrow = {"image_size": 16, "filters": (2, 3, 4)}
    settings = config("best", network=narrow, crop_size=8, epochs=2)
    result = run(settings, hooks=TrainingHooks(on_epoch=on_epoch))

    assert settings.network.stem_stride == 1
    assert shapes == [[(16, 16, 7)]] * 2
    assert result.history[1].loss < result.history[0].loss
    assert result.confusion.sum() == 4 * 16 * 16
