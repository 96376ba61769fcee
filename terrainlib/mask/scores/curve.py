"""Scores against the amount of sharpening, the best amount, and what to make of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from terrainlib import metrics

Score = Literal["miou", "boundary_f1"]
SCORE_NAMES: Final[dict[Score, str]] = {"miou": "mIoU", "boundary_f1": "Boundary F1"}
METHOD_NAMES: Final = {"laplacian": "Laplacian", "unsharp": "Unsharp mask"}
WORTH_NAMING: Final = 0.001


@dataclass(frozen=True, slots=True)
class Best:
    """The best point of a curve.

    Attributes:
        method: How it was sharpened.
        amount: How much; 0 is not at all.
        value: The score there.
        gain: How much more that is than without sharpening.
    """

    method: str
    amount: float
    value: float
    gain: float


@dataclass(frozen=True, slots=True)
class SharpeningCurve:
    """Scores of class masks made by sharpening and snapping to the nearest colour.

    Attributes:
        amounts: The A amounts, from 0 on.
        methods: The M methods.
        radius: Radius of the unsharp mask in px.
        miou: For each method, for each amount: mIoU of all images together.
        boundary_f1: The same for the mean boundary F1; NaN where nothing is scored.
        plain_miou: mIoU of the class mask itself: the most probable classes.
        plain_boundary_f1: Mean boundary F1 of the class mask itself.
        images: How many images were scored.
        skipped: How many could not be read.
    """

    amounts: tuple[float, ...]
    methods: tuple[str, ...]
    radius: float
    miou: tuple[tuple[float, ...], ...]
    boundary_f1: tuple[tuple[float, ...], ...]
    plain_miou: float
    plain_boundary_f1: float
    images: int
    skipped: int = 0

    def values(self, score: Score) -> tuple[tuple[float, ...], ...]:
        """Return the curves of a score, one a method."""
        return self.miou if score == "miou" else self.boundary_f1

    def plain(self, score: Score) -> float:
        """Return a score of the class mask itself."""
        return self.plain_miou if score == "miou" else self.plain_boundary_f1

    def best(self, score: Score) -> Best | None:
        """Return the best point of a score; of equal ones that with least sharpening.

        None where nothing is scored.
        """
        table = np.array(self.values(score))
        if np.isnan(table).all():
            return None
        highest = np.nanmax(table)
        column = int(np.flatnonzero((table == highest).any(axis=0))[0])
        row = int(np.flatnonzero(table[:, column] == highest)[0])
        return Best(
            self.methods[row],
            self.amounts[column],
            float(highest),
            float(highest - table[0, 0]),
        )

    def words(self) -> tuple[str, ...]:
        """Return what the curves say, two or three sentences for each score.

        A gain of less than 0.001 counts as none.
        """
        return tuple(self._words(score) for score in SCORE_NAMES)

    def to_dict(self) -> dict[str, Any]:
        """Return the curves as plain JSON; None for NaN."""

        def plain(rows: Sequence[Sequence[float]]) -> dict[str, list[float | None]]:
            return {
                method: [metrics.none_if_nan(value) for value in row]
                for method, row in zip(self.methods, rows, strict=True)
            }

        return {
            "images": self.images,
            "skipped": self.skipped,
            "radius": self.radius,
            "amounts": list(self.amounts),
            "miou": plain(self.miou),
            "boundary_f1": plain(self.boundary_f1),
            "class_mask": {
                "miou": metrics.none_if_nan(self.plain_miou),
                "boundary_f1": metrics.none_if_nan(self.plain_boundary_f1),
            },
            "best": {score: self._best_dict(score) for score in SCORE_NAMES},
        }

    def _best_dict(self, score: Score) -> dict[str, Any] | None:
        best = self.best(score)
        if best is None:
            return None
        return {
            "method": best.method if best.amount else None,
            "amount": best.amount,
            "value": best.value,
            "gain": best.gain,
        }

    def _words(self, score: Score) -> str:
        name, best = SCORE_NAMES[score], self.best(score)
        if best is None:
            return f"{name}: nothing to score."
        plain = self.plain(score)
        method = METHOD_NAMES.get(best.method, best.method)
        if best.gain < WORTH_NAMING:
            most = self.values(score)[0][-1]
            first = METHOD_NAMES.get(self.methods[0], self.methods[0])
            text = (
                f"{name}: no amount is better than none. It is "
                f"{best.value - best.gain:.3f} without sharpening and {most:.3f} with "
                f"{first} at {self.amounts[-1]:g}."
            )
        else:
            text = (
                f"{name}: best with {method} at {best.amount:g}, {best.value:.3f}, "
                f"{best.gain:+.3f} over none."
            )
        if plain - best.value >= WORTH_NAMING:
            return f"{text} The class mask itself is better: {plain:.3f}."
        if best.value - plain >= WORTH_NAMING:
            return f"{text} The class mask itself has {plain:.3f}."
        return f"{text} The class mask itself is as good: {plain:.3f}."
