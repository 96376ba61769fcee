"""Scores over time: what a training had reached when. No other library is loaded."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Curve:
    """The validation mIoU of one training over its seconds.

    Attributes:
        name: What the tables call it.
        keeps_best: Whether the best epoch's weights are kept, or the last one's.
        seconds: When each epoch was scored, from the start of the training.
        miou: What it scored, 0 to 1.
        parameters: Weights that are trained; 0 where that is not known.
        iou: IoU of each class of the weights that are kept.
        note: What is to be known about it.
        stopped: Whether it was stopped before its end.
    """

    name: str
    keeps_best: bool
    seconds: list[float] = field(default_factory=list)
    miou: list[float] = field(default_factory=list)
    parameters: int = 0
    iou: list[float | None] = field(default_factory=list)
    note: str = ""
    stopped: bool = False

    @property
    def total(self) -> float:
        """Seconds up to the last score; 0 without any."""
        return self.seconds[-1] if self.seconds else 0.0

    @property
    def final(self) -> float:
        """Score of the last epoch, NaN without any."""
        return self.miou[-1] if self.miou else math.nan

    @property
    def best(self) -> float:
        """Highest score of an epoch, NaN without any."""
        return max(_numbers(self.miou), default=math.nan)

    @property
    def kept(self) -> float:
        """Score of the weights that the training keeps."""
        return self.best if self.keeps_best else self.final

    def at(self, seconds: float) -> float:
        """Return the score of the weights that it would have kept at a time."""
        done = [
            score
            for when, score in zip(self.seconds, self.miou, strict=True)
            if when <= seconds
        ]
        if not self.keeps_best:
            return done[-1] if done else math.nan
        return max(_numbers(done), default=math.nan)

    def reaches(self, score: float) -> float | None:
        """Return when an epoch first scored as much, None if none did."""
        for when, value in zip(self.seconds, self.miou, strict=True):
            if value >= score:
                return when
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form, with None for NaN."""
        scores = {"final": self.final, "best": self.best, "kept": self.kept}
        values = asdict(self) | {"total": self.total} | scores
        return {key: _plain(value) for key, value in values.items()}


def shared_times(curves: Sequence[Curve], count: int) -> list[float]:
    """Return `count` times from the first score to the last, evenly on a log scale."""
    seconds = [when for curve in curves for when in curve.seconds]
    if not seconds:
        return []
    low, high = max(min(seconds), 1e-3), max(seconds)
    if count < 2 or high <= low:
        return [high]
    ratio = (high / low) ** (1 / (count - 1))
    return [*(low * ratio**step for step in range(count - 1)), high]


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, `3:05`.

    >>> clock(185.2)
    '3:05'
    """
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def score_text(score: float) -> str:
    """Return a score with three digits, or a dash for NaN."""
    return "-" if math.isnan(score) else f"{score:.3f}"


def _numbers(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
