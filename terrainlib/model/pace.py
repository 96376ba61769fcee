"""How fast a machine trains, as measured on the way.

A step is timed from the end of the one before, so that waiting for its images counts.
What an epoch takes beside its steps (validation, checkpoint, previews) is its rest.
"""

import time
from collections import deque
from dataclasses import dataclass, field
from statistics import fmean, median

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
