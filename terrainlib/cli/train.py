"""The command `train`: a run in the foreground."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from terrainlib.cli.console import note, progress_bar, say
from terrainlib.data.dataset import open_dataset
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import RunError
from terrainlib.model.modelfile import read_record
from terrainlib.model.start import what_is_taken
from terrainlib.runs.folder import MODEL_FILE, Run, create_run, formatter, read_run
from terrainlib.runs.launcher import mark_starting
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.status import RUN, RunStatus
from terrainlib.runs.training.budget import Shortage, shortage
from terrainlib.runs.training.config import MAX_NAME_LETTERS, RunConfig
from terrainlib.runs.training.material import (
    read_split,
    require_resumable,
    require_trainable,
)
from terrainlib.runs.training.pixelscore import read_pixel_score
from terrainlib.runs.training.start import choose_training, read_start
from terrainlib.types import Progress

_STEPS = 1000


def train(options: argparse.Namespace) -> int:
    """Train in the foreground; Ctrl-C stops it with the model saved."""
    with progress_bar("Checking files") as (count, rename):
        begin = _continued if options.resume else _begun
        path = begin(options, count)
        rename("Starting")

        minutes = read_run(path).config.training.minutes
        told: list[Shortage] = []
        places: set[str] = set()

        def show(status: RunStatus) -> None:
            share = status.share
            if share is not None:
                count(round(_STEPS * share), _STEPS)
            rename(_title(status))
            place = status.message.partition(",")[0]
            if status.state == "waiting" and place not in places:
                places.add(place)
                note(status.message)
            short = shortage(status, minutes) if not told else None
            if short is not None and minutes is not None:
                told.append(short)
                whole = f"--minutes {minutes + short.more:g}"
                note(f"{short.words} {whole} makes up for it, where it stays so busy.")

        from terrainlib.runs.process import stop_requested_by_signals
        from terrainlib.runs.training.train import run_training

        with _log_to(path / RUN.log), stop_requested_by_signals() as asked:
            run = run_training(
                path,
                resume=options.resume,
                wait=options.wait,
                on_progress=show,
                should_stop=asked,
            )
    _say_end(run, options.out)
    return 0


def _begun(options: argparse.Namespace, count: Progress) -> Path:
    if options.out.exists() or options.out.is_symlink():
        raise RunError(
            "exists already, and a run is never written over another. Choose a new "
            "folder, or add --resume to continue the run in it.",
            file=options.out.name,
        )
    _require_turn(options)
    dataset = open_dataset(options.data, bands=options.bands, progress=count)
    network: dict[str, Any] = {"height": options.height}
    if options.image_size is not None:
        network["image_size"] = options.image_size
    start = None if options.start_from is None else read_start(options.start_from)
    choice = choose_training(
        dataset, options.preset, start, network=network, **_changes(options)
    )
    training = choice.config
    require_trainable(dataset, training)
    if dataset.bands.count != 3 or dataset.bands.keys is not None:
        note(f"Bands: {', '.join(dataset.bands.names)}.")
    if None in (options.image_size, options.batch_size):
        note(choice.summary)
    name = options.out.resolve().name[:MAX_NAME_LETTERS]
    if start is not None:
        names = dataset.bands.names
        note(what_is_taken(start, training.network, dataset.classes, names))
    config = RunConfig(
        name,
        str(dataset.folder.resolve()),
        training,
        bands=dataset.bands.keys,
        start_from=_start_path(options),
    )
    with RUN_SLOT.launching():
        _require_turn(options)
        return create_run(config, path=options.out)


def _require_turn(options: argparse.Namespace) -> None:
    """Refuse to start while another training is at work, unless this one may wait."""
    if not options.wait:
        RUN_SLOT.require_free()


def _start_path(options: argparse.Namespace) -> str | None:
    """Return the model to start from as any process finds it."""
    model: str | None = options.start_from
    if model is None or model in EMBEDDED_MODELS:
        return model
    return str(Path(model).resolve())


def _continued(options: argparse.Namespace, _count: Progress) -> Path:
    """Check that a run can be continued as it was begun, and make it ready."""
    _require_same(options, read_run(options.out))
    require_resumable(read_run(options.out))
    with RUN_SLOT.launching():
        run = read_run(options.out)
        require_resumable(run)
        _require_turn(options)
        mark_starting(run)
    return run.path


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `TrainingConfig` that were given."""
    names = ("epochs", "minutes", "batch_size", "seed")
    return {name: getattr(options, name) for name in names}


def _require_same(options: argparse.Namespace, run: Run) -> None:
    training = run.config.training
    was: dict[str, Any] = {
        "preset": training.network.preset_name,
        "image_size": training.network.image_size,
        **{name: getattr(training, name) for name in _changes(options)},
    }
    given: dict[str, Any] = {name: getattr(options, name) for name in was}
    if options.height:
        was["height"], given["height"] = training.network.height, True
    if options.bands is not None:
        was["bands"] = ",".join(map(str, run.config.bands or ("red", "green", "blue")))
        given["bands"] = ",".join(map(str, options.bands))
    for name, value in given.items():
        if value is not None and value != was[name]:
            raise RunError(
                f"was begun with {name.replace('_', ' ')} {was[name]}, not {value}. "
                "Leave the option out, or start a new run.",
                file=run.path.name,
            )
    if options.start_from and _start_path(options) != run.config.start_from:
        raise RunError(
            f"did not start from {options.start_from}. Leave the option out, or "
            "start a new run.",
            file=run.path.name,
        )
    if options.data.resolve() != Path(run.config.data).resolve():
        raise RunError(
            f"was begun with other data than {options.data.name}. Name the same "
            "folder, or start a new run.",
            file=run.path.name,
        )


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8")]
    if not sys.stderr.isatty():  # no bar is shown there
        handlers.append(logging.StreamHandler(sys.stderr))
    logger = logging.getLogger("terrainlib")
    level, passed_on = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in handlers:
        handler.setFormatter(formatter())
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.propagate = passed_on
        for handler in handlers:
            logger.removeHandler(handler)
        handlers[0].close()


def _title(status: RunStatus) -> str:
    if status.message or not status.steps:
        return status.message or status.state
    epoch = status.epoch + 1
    words = f"Epoch {min(epoch, status.epochs or epoch)}"
    if status.epochs:
        words += f" of {status.epochs}"
    if status.best_miou is not None:
        words += f", best mIoU {status.best_miou:.3f}"
    if status.seconds_left is not None:
        words += f", {status.seconds_left / 60:.1f} min left"
    return words


def _say_end(run: Run, shown: Path) -> None:
    status = run.status
    say(f"{shown}: {run.state} after epoch {status.epoch}. {run.message}")
    miou = _judged_miou(run)
    if miou is not None:
        say(f"Validation mIoU {miou:.3f} at the full size of the masks.")
    elif status.best_miou is not None:
        say(f"Validation mIoU {status.best_miou:.3f} at the working size.")
    pixel_score = read_pixel_score(run.path)
    if pixel_score is not None:
        ahead = f"; against it: {pixel_score.ahead}" if pixel_score.ahead else ""
        say(f"Pixel classifier on the same pairs: mIoU {pixel_score.miou:.3f}{ahead}.")
    split = read_split(run.path)
    if split is not None:
        left_out = f", {len(split.left_out)} left out" if split.left_out else ""
        say(
            f"{len(split.train)} pairs for training, {len(split.validation)} held out"
            f"{left_out} ({split.leak})."
        )


def _judged_miou(run: Run) -> float | None:
    """Return what `evaluate` gives for the model; None where it was not judged."""
    record = read_record(run.path / MODEL_FILE)
    scores = (record.scores if record is not None else None) or {}
    return scores.get("miou") if "seconds" in scores else None
