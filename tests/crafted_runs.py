"""Run folders as a worker would leave them, without training anything."""

import os
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from terrainlib.data.palette import KAGGLE_CLASSES, colorize
from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning.reports import StepProgress
from terrainlib.runs.folder import WorkerFolder, create_run, log_tail
from terrainlib.runs.process import (
    find_process,
    read_process,
    utc_now,
    write_process,
)
from terrainlib.runs.status import RunStatus, write_status
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.metrics import MetricsTable, StepsTable
from tests.synthetic import terrain

CLASS_NAMES = tuple(item.name for item in KAGGLE_CLASSES)
PATIENCE_S = 240  # TensorFlow alone takes 7 s, more on a busy machine


def craft_run(
    data: Path,
    *,
    name: str = "islands",
    state: str = "finished",
    epochs: int = 5,
    planned: int = 8,
    preset: str = "fast",
    days_ago: float = 0.0,
    message: str = "",
    seed: int = 0,
    steps: int = 0,
    **training: Any,
) -> Path:
    """Make a run folder that has come as far as `epochs`.

    Args:
        data: Folder of its data set.
        name: Its name.
        state: `waiting`, `starting`, `running`, `stopping`, `stopped`, `finished`,
            `failed`, or `crashed` (a run whose worker is gone).
        epochs: Epochs that are complete.
        planned: Epochs that were asked for.
        preset: Its preset.
        days_ago: How long ago it was made.
        message: What its worker said last.
        seed: Seed of curves and previews.
        steps: Steps of each epoch that were noted; an epoch under way has half of them.
        training: Other options of the training.
    """
    options = {"epochs": planned} | training
    config = TrainingConfig.preset(preset, **options)
    created = datetime.now(UTC) - timedelta(days=days_ago)
    path = create_run(
        RunConfig(name, str(data), config, created.isoformat(timespec="milliseconds"))
    )
    rows = _rows(epochs, planned, np.random.default_rng(seed))
    if rows:
        MetricsTable(path / "metrics.csv").rewrite(rows)
        _write_previews(path, epochs, seed)
    if steps:
        _write_steps(path, epochs, steps)
    best = max(rows, key=lambda row: row["val_miou"]) if rows else None
    active = state in ("waiting", "starting", "running", "stopping")
    if active:
        write_process(path, os.getpid())
    write_status(
        path,
        RunStatus(
            state="running" if state == "crashed" else state,
            epoch=epochs,
            epochs=planned,
            step=7 if active else 0,
            steps=34 if state != "starting" else 0,
            seconds=epochs * 9.3 + 2.0,
            seconds_left=(planned - epochs) * 9.3 if active else None,
            best_epoch=int(best["epoch"]) if best else None,
            best_miou=float(best["val_miou"]) if best else None,
            heartbeat=ahead() if state != "crashed" else "2020-01-01T00:00:00+00:00",
            progressed=utc_now(),
            message=message,
        ),
    )
    log = "".join(f"epoch {number + 1} done\n" for number in range(epochs))
    (path / "train.log").write_text(f"reading the data\n{log}")
    return path


def ahead() -> str:
    """Return a moment to come: a worker with such a heartbeat is alive for a test."""
    return (datetime.now(UTC) + timedelta(minutes=10)).isoformat()


def worker_pid(path: Path) -> int:
    """Return the id that `process.json` of a worker's folder names."""
    record = read_process(path)
    assert record is not None
    return record.pid


def exit_code(path: Path) -> int | None:
    """Return how the worker of a folder ended; None where nobody has noted it."""
    record = read_process(path)
    return None if record is None else record.exit_code


def wait_for(
    path: Path, condition: Callable[[], bool], *, patience_s: float = PATIENCE_S
) -> None:
    """Wait until a worker has come so far; one that does not shows its log."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"{path}\n{log_tail(path)}"
        time.sleep(0.02)


def kill_workers(
    folders: Iterable[WorkerFolder], *, patience_s: float = PATIENCE_S
) -> None:
    """End the processes that a test leaves behind."""
    for folder in folders:
        if process := find_process(read_process(folder.path)):
            process.kill()
            process.wait(patience_s)


def _rows(
    epochs: int, planned: int, rng: np.random.Generator
) -> list[dict[str, float]]:
    """Return the curves of a training that goes well, with some noise."""
    rows = []
    ceilings = rng.uniform(0.35, 0.95, len(CLASS_NAMES))
    for epoch in range(1, epochs + 1):
        grown = 1 - np.exp(-3.0 * epoch / planned)
        iou = np.clip(ceilings * grown + rng.normal(0, 0.02, len(ceilings)), 0, 1)
        row = {
            "epoch": epoch,
            "seconds": 9.0 + float(rng.uniform(0, 0.8)),
            "learning_rate": 3e-3 * float(np.sin(np.pi * epoch / (planned + 1))),
            "loss": 1.9 - 1.5 * grown + float(rng.normal(0, 0.02)),
            "accuracy": 0.3 + 0.55 * grown,
            "val_loss": 1.95 - 1.35 * grown + float(rng.normal(0, 0.05)),
            "val_accuracy": 0.3 + 0.5 * grown + float(rng.normal(0, 0.01)),
            "val_miou": float(iou.mean()),
        }
        row |= {
            f"iou_{name}": float(x) for name, x in zip(CLASS_NAMES, iou, strict=True)
        }
        rows.append(row)
    return rows


def _write_steps(path: Path, epochs: int, steps: int) -> None:
    """Note every step of the epochs that are done, and half of the next one."""
    table = StepsTable(path / "steps.csv")
    for number in range(epochs * steps + steps // 2):
        epoch, step = number // steps + 1, number % steps + 1
        loss = 0.4 + 1.5 * float(np.exp(-number / (3 * steps)))
        loss += 0.1 * float(np.sin(7 * number))
        table.add(
            StepProgress(epoch, step, steps, None, 1.0, None, step * 0.3, loss, 0.5)
        )
    table.write()


def _write_previews(path: Path, epochs: int, seed: int) -> None:
    """Write four images with truth, and predictions that get better."""
    rng = np.random.default_rng(seed)
    for number in range(4):
        rgb, mask, _ = terrain(64, 100 + number)
        folder = path / "previews"
        folder.mkdir(exist_ok=True)
        name = f"{number + 1:04d}"
        Image.fromarray(rgb).save(folder / f"{name}_image.png")
        truth = colorize(mask, KAGGLE_CLASSES)
        Image.fromarray(truth).save(folder / f"{name}_truth.png")
        for epoch in range(1, epochs + 1):
            wrong = rng.random(mask.shape) < 0.6 * np.exp(-3 * epoch / max(epochs, 4))
            guess = np.where(wrong, rng.integers(0, 7, mask.shape), mask)
            target = folder / f"epoch-{epoch:03d}"
            target.mkdir(exist_ok=True)
            colors = colorize(guess.astype(np.uint8), KAGGLE_CLASSES)
            Image.fromarray(colors).save(target / f"{name}.png")
