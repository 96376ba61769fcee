"""What happens before the first epoch: in order, told, and over when it begins."""

import logging
import threading
from pathlib import Path

import pytest

from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning import epochs
from terrainlib.model.learning.pipeline import training_batches
from terrainlib.runs.folder import create_run, read_run
from terrainlib.runs.status import RunStatus
from terrainlib.runs.training import pixelscore, train
from terrainlib.runs.training.budget import (
    give_minutes,
    minutes_given,
    minutes_of,
    shortage,
)
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.stages import STAGES
from terrainlib.runs.training.train import run_training
from tests.models import KERAS_COPY_WARNING

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)


def new_run(data: Path, **budget: float) -> Path:
    network = {"image_size": 32, "filters": (4, 8), "classes": 7}
    training = TrainingConfig.preset(
        "fast", network=network, batch_size=2, validation_share=0.5, **budget
    )
    return create_run(RunConfig("Order", str(data), training))


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let even the smallest data set have a pixel classifier."""
    monkeypatch.setattr(pixelscore, "MIN_TRAINING_PAIRS", 1)


def test_the_stages_come_in_order_are_told_and_leave_the_epochs_alone(
    tiny_dataset: Path,
    scored: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    order: list[str] = []
    measure, learn = pixelscore.measure, epochs.train

    def measured(*arguments, **options):
        order.append("pixel classifier")
        return measure(*arguments, **options)

    def learnt(*arguments, **options):
        order.append("network")
        return learn(*arguments, **options)

    def batches(*arguments, **options):
        names = {thread.name for thread in threading.enumerate()}
        order.append("beside" if any("terrain-data" in n for n in names) else "alone")
        return training_batches(*arguments, **options)

    monkeypatch.setattr(pixelscore, "measure", measured)
    monkeypatch.setattr(epochs, "train", learnt)
    monkeypatch.setattr(epochs, "training_batches", batches)
    seen: list[RunStatus] = []
    with caplog.at_level(logging.INFO):
        run = run_training(new_run(tiny_dataset, epochs=2), on_progress=seen.append)
    assert order == ["pixel classifier", "network", "alone", "alone"]
    assert [stage.name for stage in run.status.stages] == list(STAGES)
    assert all(stage.seconds is not None for stage in run.status.stages)
    assert all(f"{text.title}: " in caplog.text for text in STAGES.values())
    assert all(len(s.stages) == len(STAGES) for s in seen if s.state == "running")


def test_a_score_that_takes_long_comes_after_the_training(
    tiny_dataset: Path, scored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "free_share", lambda: 0.3)
    path = new_run(tiny_dataset, minutes=0.05)  # a tenth of it is less than a fit takes
    early: list[bool] = []

    def watch(status: RunStatus) -> None:
        if status.state == "running" and not status.message:
            early.append(pixelscore.read_pixel_score(path) is not None)

    run = run_training(path, on_progress=watch)
    assert not any(early)
    assert run.status.free_share == 0.3
    assert [stage.name for stage in run.status.stages][-2:] == ["first epoch", "pixels"]
    assert pixelscore.read_pixel_score(path) is not None


def busy(**changes) -> RunStatus:
    values = {"state": "running", "epochs": 9, "free_share": 0.3, **changes}
    return RunStatus(**values)


def test_a_busy_machine_is_told_with_what_the_budget_reaches() -> None:
    short = shortage(busy(), 2.0)
    assert short is not None
    assert short.words.startswith(
        "Other programs take about 70% of this machine. In 2 "
    )
    assert "reaches about 9 epochs" in short.words
    assert short.more == 5  # 2 / 0.3 in all


@pytest.mark.parametrize(
    ("changes", "minutes"),
    [
        ({}, None),
        ({"free_share": 0.8}, 2.0),
        ({"free_share": None}, 2.0),
        ({"epochs": None}, 2.0),
        ({"state": "stopping"}, 2.0),
    ],
)
def test_nothing_is_said_of_little_load_or_too_early(changes, minutes) -> None:
    assert shortage(busy(**changes), minutes) is None


def test_more_minutes_stand_beside_what_was_asked_at_first(tmp_path: Path) -> None:
    path = new_run(tmp_path, minutes=2.0)
    assert minutes_of(read_run(path)) == 2
    give_minutes(path, 5)
    assert minutes_of(read_run(path)) == minutes_given(path) == 7
    assert read_run(path).config.training.minutes == 2
    (path / "minutes.json").write_text('{"minutes": -1}')
    assert minutes_of(read_run(path)) == 2
