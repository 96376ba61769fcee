"""A training under way: its state, and how that is saved and taken up again.

It loads TensorFlow.
"""

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from terrainlib.data.cache import PairCache
from terrainlib.errors import RunError
from terrainlib.model import checkpoint
from terrainlib.model.config import TrainingConfig
from terrainlib.model.pace import Pace
from terrainlib.model.reports import EpochLog, StepProgress, TrainingHooks
from terrainlib.model.schedule import Plan
from terrainlib.model.trainer import Trainer, Validation


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
    def seconds_left(self) -> float:
        """Seconds that a budget in minutes has left for epochs; infinite without one.

        What it takes to judge and save the model afterwards is left out.
        """
        if self.config.minutes is None:
            return math.inf
        return 60 * self.config.minutes - self.seconds - self.pace.end_seconds

    def fit_plan(self, *, first: bool = False) -> None:
        """Divide what is left of a budget in minutes into epochs."""
        if self.config.minutes is None or not self.pace.known:
            return
        fit = self.plan.fit_first if first else self.plan.fit
        fit(self.seconds_left, self.pace.step_seconds, self.pace.rest_seconds)


def progress(session: Session, step: int) -> StepProgress:
    """Return where the training is, with an estimate of what is left."""
    config, plan = session.config, session.plan
    done = len(session.history)
    known = config.epochs is not None or plan.fitted
    return StepProgress(
        epoch=done + 1,
        step=step,
        steps=plan.steps,
        epochs=done + plan.epochs_left if known else None,
        seconds=session.seconds,
        seconds_left=_expected_rest(session, step),
    )


def _expected_rest(session: Session, step: int) -> float | None:
    """Return the seconds until the model is saved; None before they can be told."""
    config, plan, pace = session.config, session.plan, session.pace
    if config.minutes is not None:
        return max(0.0, 60 * config.minutes - session.seconds)
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
    session.history = [
        EpochLog(**{**log, "iou": tuple(log["iou"])}) for log in facts["history"]
    ]


def _fingerprint(session: Session) -> str:
    """Return a hash of all that a resumed training must share with its beginning."""
    ids = [list(cache.ids) for cache in session.pairs]
    text = json.dumps([session.config.to_dict(), ids], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
