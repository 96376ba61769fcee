"""How far a training is, and what that means for the learning rate.

A budget in epochs is a fixed number of steps. A budget in minutes is measured: after a
few steps, and again at the end of each epoch, the rest of the time is divided into
epochs of one length, and the schedule is stretched to end with the last of them.
"""

import math
import time
from collections import deque
from dataclasses import dataclass, field
from statistics import fmean, median

from terrainlib.model.config import TrainingConfig

WARM_UP_SHARE = 0.05
ONE_CYCLE_RISE_SHARE = 0.1
FIRST_RATE_SHARE = 0.05
LAST_RATE_SHARE = 0.001
MIN_EPOCHS_IN_MINUTES = 8
MOST_REST_SHARE = 1 / 3
SHORTEST_EPOCH_SHARE = 0.25
_EPOCHS_BEFORE_MEASURING = 1_000


def learning_rate(config: TrainingConfig, progress: float) -> float:
    """Return the learning rate at a share of the training done.

    Args:
        config: Highest rate and kind of schedule. `warm_up` rises linearly over the
            first twentieth and stays; the average of the weights does what a fall would
            do. `one_cycle` rises linearly over the first tenth and falls along a cosine
            to nearly zero.
        progress: Share of the training done, 0 to 1.

    References:
        Smith, Topin: Super-Convergence (2018), arXiv:1708.07120.
        Cha et al.: SWAD: Domain Generalization by Seeking Flat Minima (2021),
        arXiv:2102.08604.
    """
    if config.schedule == "constant":
        return config.learning_rate
    cycle = config.schedule == "one_cycle"
    rise = ONE_CYCLE_RISE_SHARE if cycle else WARM_UP_SHARE
    if progress < rise:
        share = FIRST_RATE_SHARE + (1 - FIRST_RATE_SHARE) * progress / rise
    elif cycle:
        angle = math.pi * min(1.0, (progress - rise) / (1 - rise))
        share = max(LAST_RATE_SHARE, (1 + math.cos(angle)) / 2)
    else:
        share = 1.0
    return config.learning_rate * share


@dataclass(slots=True)
class Plan:
    """What is left of the budget, as the steps and epochs to come.

    Attributes:
        steps: Steps of the epoch under way.
        whole: Steps of the longest epoch: all crops once, or as many as the budget
            lets an epoch have.
        progress: Share of the whole training done, 0 to 1.
        per_step: Progress that one step makes.
        epochs_left: Epochs still to come.
        fitted: Whether that number is known: at once for a budget in epochs, after the
            first steps for one in minutes.
    """

    steps: int
    whole: int
    progress: float
    per_step: float
    epochs_left: int
    fitted: bool

    @classmethod
    def begin(cls, config: TrainingConfig, crops: int) -> "Plan":
        """Return the plan before the first step, with `crops` in an epoch."""
        steps = max(1, crops // config.batch_size)
        epochs = config.epochs or _EPOCHS_BEFORE_MEASURING
        known = config.epochs is not None
        return cls(steps, steps, 0.0, 1.0 / (epochs * steps), epochs, known)

    @property
    def done(self) -> bool:
        """Whether the budget is used up."""
        return self.epochs_left <= 0

    def advance(self) -> None:
        """Count one step."""
        self.progress = min(1.0, self.progress + self.per_step)

    def end_epoch(self) -> None:
        """Count one epoch."""
        self.epochs_left -= 1

    def fit_first(self, left: float, step_seconds: float, rest_seconds: float) -> None:
        """Fit a budget in minutes to the measured time of the first steps.

        Where it would hold too few epochs, epochs become shorter: each then sees a
        part of the crops, another one every time. There are fewer of them where what
        comes beside their steps would take more than a third of the time.

        Args:
            left: Seconds of the budget that are left for all epochs.
            step_seconds: Seconds that a step takes on this machine.
            rest_seconds: Seconds that an epoch takes beside its steps.
        """
        affordable = int(left * MOST_REST_SHARE / max(rest_seconds, 1e-6))
        epochs = min(max(1, affordable), MIN_EPOCHS_IN_MINUTES)
        longest = (left / epochs - rest_seconds) / step_seconds
        self.whole = max(1, min(self.whole, int(longest)))
        self.fit(left, step_seconds, rest_seconds)

    def fit(self, left: float, step_seconds: float, rest_seconds: float) -> None:
        """Divide what is left of a budget in minutes into epochs that fill it.

        They are as long as they may be, and all of one length: the last one ends with
        the budget. Time for less than a quarter of an epoch is let be.

        Args:
            left: Seconds that are left for the epochs to come.
            step_seconds: Seconds that a step takes on this machine.
            rest_seconds: Seconds that an epoch takes beside its steps.
        """
        self.fitted = True
        longest = self.whole * step_seconds + rest_seconds
        self.epochs_left = max(0, math.ceil(left / longest))
        if left < longest * SHORTEST_EPOCH_SHARE:
            self.epochs_left = 0
            return
        share = left / self.epochs_left - rest_seconds
        self.steps = max(1, min(self.whole, round(share / step_seconds)))
        self.per_step = (1.0 - self.progress) / (self.epochs_left * self.steps)


SLOW_STEPS = 2  # the first steps compile the graph
_KEPT_STEPS = 100
_KEPT_RESTS = 3
_GUESSED_FORWARD_SHARE = 0.4  # of a step: the network forwards only
_GUESSED_SAVING_SECONDS = 0.5
_END_SECONDS = 2.0
_END_RESTS = 2.0


@dataclass(slots=True)
class Pace:
    """What steps and the rest of an epoch take.

    Attributes:
        validation_batches: Batches of the validation pairs, for a first guess.
    """

    validation_batches: float
    _steps: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_STEPS))
    _rests: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_RESTS))
    _seen: int = 0
    _last: float = 0.0

    def begin_epoch(self) -> None:
        """Note that the first step of an epoch begins."""
        now = time.monotonic()
        if self._seen:
            self._rests.append(now - self._last)
        self._last = now

    def step(self) -> None:
        """Note that a step has ended."""
        now = time.monotonic()
        self._seen += 1
        if self._seen > SLOW_STEPS:
            self._steps.append(now - self._last)
        self._last = now

    @property
    def known(self) -> bool:
        """Whether a step has been measured."""
        return bool(self._steps)

    @property
    def step_seconds(self) -> float:
        """Seconds of a step; the mean, so that their sum is right."""
        return max(fmean(self._steps), 1e-6) if self._steps else 0.0

    @property
    def rest_seconds(self) -> float:
        """Seconds of an epoch beside its steps; a guess before the first has ended."""
        if self._rests:
            return median(self._rests)
        forward = _GUESSED_FORWARD_SHARE * self.validation_batches * self.step_seconds
        return forward + _GUESSED_SAVING_SECONDS

    @property
    def end_seconds(self) -> float:
        """Seconds to judge and save the model when the last epoch is over, a guess."""
        return _END_SECONDS + _END_RESTS * self.rest_seconds
