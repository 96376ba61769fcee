"""The loop over epochs: train, validate, keep the best, save a checkpoint, report.

A training reports through `TrainingHooks` and knows nothing of pages, processes or run
folders: what a run writes after each epoch stands in `runs.training.train`. It loads
TensorFlow.
"""

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from terrainlib import metrics
from terrainlib.data.cache import PairCache
from terrainlib.data.palette import Classes
from terrainlib.errors import RunError, TrainingError
from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning import checkpoint
from terrainlib.model.learning.pipeline import epoch_crops, training_batches
from terrainlib.model.learning.reports import (
    EpochLog,
    StepProgress,
    TrainingHooks,
    TrainingResult,
)
from terrainlib.model.learning.schedule import SLOW_STEPS, Pace, Plan, learning_rate
from terrainlib.model.learning.trainer import Trainer, Validation
from terrainlib.model.modelfile import TerrainModel
from terrainlib.model.start import RGB


@dataclass(slots=True)
class Best:
    """The weights to keep so far."""

    epoch: int = 0
    miou: float = math.nan


@dataclass(slots=True)
class Session:
    """One training under way."""

    config: TrainingConfig
    trainer: Trainer
    pairs: tuple[PairCache, PairCache]  # training, validation
    hooks: TrainingHooks
    folder: Path
    plan: Plan
    pace: Pace
    started: float
    earlier_seconds: float = 0.0
    best: Best = field(default_factory=Best)
    history: list[EpochLog] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Seconds used, those before a resume included."""
        return self.earlier_seconds + time.monotonic() - self.started

    @property
    def budget_left(self) -> float:
        """Seconds that a budget in minutes has left; infinite without one."""
        if self.config.minutes is None:
            return math.inf
        return 60 * (self.hooks.minutes() or self.config.minutes) - self.seconds

    @property
    def seconds_left(self) -> float:
        """The same for epochs: less what judging and saving the model will take."""
        return self.budget_left - self.pace.end_seconds

    def fit_plan(self, *, first: bool = False) -> None:
        """Divide what is left of a budget in minutes into epochs."""
        if self.config.minutes is None or not self.pace.known:
            return
        fit = self.plan.fit_first if first else self.plan.fit
        fit(self.seconds_left, self.pace.step_seconds, self.pace.rest_seconds)


def progress(
    session: Session, step: int, begun: float, scores: tuple[float, float]
) -> StepProgress:
    """Return where the training is, with an estimate of what is left.

    Args:
        session: The training.
        step: Steps of the epoch that are done.
        begun: When the epoch began, by `time.monotonic`.
        scores: Loss and accuracy of the step.
    """
    config, plan = session.config, session.plan
    done = len(session.history)
    known = config.epochs is not None or plan.fitted
    seconds = session.seconds
    return StepProgress(
        epoch=done + 1,
        step=step,
        steps=plan.steps,
        epochs=done + plan.epochs_left if known else None,
        seconds=seconds,
        seconds_left=_expected_rest(session, step),
        epoch_seconds=seconds - session.earlier_seconds + session.started - begun,
        loss=scores[0],
        accuracy=scores[1],
    )


def _expected_rest(session: Session, step: int) -> float | None:
    """Return the seconds until the model is saved; None before they can be told."""
    config, plan, pace = session.config, session.plan, session.pace
    if config.minutes is not None:
        return max(0.0, session.budget_left)
    if not pace.known:
        return None
    steps = plan.epochs_left * plan.steps - step
    rests = plan.epochs_left * pace.rest_seconds
    return max(0.0, steps * pace.step_seconds + rests + pace.end_seconds)


def keep_if_best(session: Session, log: EpochLog, validation: Validation) -> None:
    """Save the weights where they are the ones to keep so far."""
    last_counts = session.config.network.output == "colors"
    better = math.isnan(session.best.miou) or log.val_miou > session.best.miou
    if not (last_counts or (better and math.isfinite(log.val_miou))):
        return
    session.best = Best(log.epoch, log.val_miou)
    facts = {**asdict(session.best), "confusion": validation.confusion.tolist()}
    checkpoint.save_best(session.folder, session.trainer.weights(), facts)


def save(session: Session) -> None:
    """Write the checkpoint of the epoch that has just ended."""
    facts = {
        "fingerprint": _fingerprint(session),
        "seconds": session.seconds,
        "plan": asdict(session.plan),
        "best": asdict(session.best),
        "history": [asdict(log) for log in session.history],
    }
    arrays = [variable.numpy() for variable in session.trainer.variables]
    checkpoint.save_checkpoint(session.folder, len(session.history), arrays, facts)


def restore(session: Session) -> None:
    """Go back to the newest checkpoint; without one, begin at the beginning."""
    saved = checkpoint.load_latest(session.folder)
    if saved is None:
        return
    facts = saved.facts
    if facts["fingerprint"] != _fingerprint(session):
        raise RunError(
            "the configuration or the data have changed since this run was started. "
            "Start a new run.",
            file=session.folder.parent.name,
        )
    for variable, value in zip(session.trainer.variables, saved.arrays, strict=True):
        variable.assign(value)
    session.earlier_seconds = facts["seconds"]
    session.plan = Plan(**facts["plan"])
    session.best = Best(**facts["best"])
    session.history = [EpochLog.from_dict(log) for log in facts["history"]]


def _fingerprint(session: Session) -> str:
    """Return a hash of all that a resumed training must share with its beginning."""
    ids = [list(cache.ids) for cache in session.pairs]
    text = json.dumps([session.config.to_dict(), ids], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


_MEASURED_STEPS = 8
_LAST_SCORE_SECONDS = 2.0


def train(  # noqa: PLR0913 - the parts of a training are named by their callers
    config: TrainingConfig,
    train: PairCache,
    validation: PairCache,
    *,
    classes: Classes,
    checkpoints: Path,
    hooks: TrainingHooks | None = None,
    start: TerrainModel | None = None,
    resume: bool = False,
) -> TrainingResult:
    """Train a U-Net within its budget, which begins to run when the network is built.

    Args:
        config: Network, budget and recipe.
        train: Pairs to learn from.
        validation: Pairs to score each epoch on.
        classes: Classes and colours of the masks, K of them.
        checkpoints: Folder for the last two checkpoints and the best weights.
        hooks: What to call on the way.
        start: The model to start from; None for weights at random.
        resume: Go on from the newest checkpoint in the folder, if there is one.

    Returns:
        The network with the weights to keep, and how it went.

    Raises:
        TrainingError: If the loss is not a finite number before the first epoch is
            over (later on, the result has the best weights until then and says what
            happened), or all checkpoints are damaged.
        ConfigError: If no layer of `start` fits.
        RunError: If the checkpoint is of another configuration or other data.
        StorageError: If a checkpoint cannot be written.
    """
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    bands = RGB if train.bands is None else train.bands.names
    trainer = Trainer(config, classes, start, bands)
    plan = Plan.begin(config, epoch_crops(train, config))
    session = Session(
        config,
        trainer,
        (train, validation),
        hooks or TrainingHooks(),
        checkpoints,
        plan,
        Pace(_validation_batches(validation, config)),
        started=time.monotonic(),
    )
    if resume:
        restore(session)
        session.hooks.on_restore(session.history)
    stopped, failure = False, None
    try:
        while not session.plan.done and not stopped:
            stopped = not _train_epoch(session)
    except _NotFiniteError as error:
        if not session.best.epoch:
            raise
        failure = error.message
    return _result(session, stopped, failure)


def _validation_batches(validation: PairCache, config: TrainingConfig) -> float:
    """Return how many batches of the training's size the validation pairs make."""
    pixels = sum(math.prod(shape) for shape in validation.shapes)
    return pixels / (config.crop_px**2 * config.batch_size)


class _NotFiniteError(TrainingError):
    """The loss is no number any more."""


def _train_epoch(session: Session) -> bool:
    """Train, validate and save one epoch; False if it was stopped on the way."""
    begun = time.monotonic()
    steps = _train_steps(session, begun)
    if steps is None:
        return False
    losses, accuracies, rate = steps
    validation = session.trainer.validate(session.pairs[1], session.hooks.should_stop)
    _require_finite(session, validation.loss)
    if not validation.complete:
        return False
    log = _log(session, begun, rate, (losses, accuracies), validation)
    session.history.append(log)
    session.plan.end_epoch()
    keep_if_best(session, log, validation)
    session.fit_plan()
    save(session)
    session.hooks.on_epoch(log, session.trainer.predict)
    return True


def _train_steps(
    session: Session, begun: float
) -> tuple[list[float], list[float], float] | None:
    """Train the steps of an epoch; None if it was stopped on the way."""
    config, plan = session.config, session.plan
    epoch = len(session.history) + 1
    losses, accuracies = [], []
    rate = 0.0
    session.pace.begin_epoch()
    batches = training_batches(session.pairs[0], config, epoch=epoch, steps=plan.steps)
    for step, (inputs, masks) in enumerate(batches, start=1):
        if session.hooks.should_stop():
            return None
        rate = learning_rate(config, plan.progress)
        loss, share = session.trainer.step(inputs, masks, rate)
        _require_finite(session, loss)
        losses.append(loss)
        accuracies.append(share)
        plan.advance()
        session.pace.step()
        if epoch == 1 and step == SLOW_STEPS + _MEASURED_STEPS:
            session.fit_plan(first=True)
        session.hooks.on_step(progress(session, step, begun, (loss, share)))
        if step >= plan.steps or _time_is_over(session):
            break  # the plan may have made the epoch shorter
    return losses, accuracies, rate


def _time_is_over(session: Session) -> bool:
    """Whether the budget leaves only the time to validate and save this epoch."""
    known = session.plan.fitted and session.pace.known
    return known and session.seconds_left < session.pace.rest_seconds


def _require_finite(session: Session, loss: float) -> None:
    """Stop a training whose loss is no number; the best weights are on the disk."""
    if math.isfinite(loss):
        return
    epoch = len(session.history) + 1
    kept = f"The best model before it (epoch {session.best.epoch}) is saved. "
    raise _NotFiniteError(
        f"the loss is not a number in epoch {epoch}. "
        f"{kept if session.best.epoch else ''}Start again with a lower learning rate."
    )


def _log(
    session: Session,
    begun: float,
    rate: float,
    steps: tuple[list[float], list[float]],
    validation: Validation,
) -> EpochLog:
    losses, accuracies = steps
    scores = metrics.scores(validation.confusion)
    return EpochLog(
        epoch=len(session.history) + 1,
        seconds=round(time.monotonic() - begun, 3),
        learning_rate=rate,
        loss=float(np.mean(losses)),
        accuracy=float(np.mean(accuracies)),
        val_loss=validation.loss,
        val_accuracy=validation.accuracy,
        val_miou=scores.overall["miou"],
        classes={
            key: tuple(map(metrics.none_if_nan, values))
            for key, values in scores.classes.items()
        },
    )


def _result(
    session: Session, stopped: bool, failure: str | None = None
) -> TrainingResult:
    trainer = session.trainer
    best = checkpoint.load_best(session.folder) if session.best.epoch else None
    if best is None:  # stopped within the first epoch
        weights = trainer.weights()
        end = time.monotonic() + _LAST_SCORE_SECONDS
        seen = trainer.validate(session.pairs[1], lambda: time.monotonic() > end)
        confusion = seen.confusion
    else:
        weights = list(best.arrays)
        confusion = np.array(best.facts["confusion"], np.int64)
    trainer.network.set_weights(weights)
    return TrainingResult(
        network=trainer.network,
        best_epoch=session.best.epoch,
        best_miou=metrics.miou(confusion),
        epochs_done=len(session.history),
        stopped=stopped,
        history=tuple(session.history),
        confusion=confusion,
        seconds=session.seconds,
        failure=failure,
    )
