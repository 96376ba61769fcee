"""Whether a model is right as often as it is sure: counts by confidence.

The confidence of a pixel is the probability of its most probable class. NumPy only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.metrics import NOT_SCORED, Counts, Ratios

if TYPE_CHECKING:
    import pandas as pd

BINS: Final = 15


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Pixels in 15 bins of equal width by their confidence, from 0 to 1.

    Attributes:
        counts: (15,) int64, scored pixels.
        confidence: (15,) float64, their confidences added up.
        correct: (15,) int64, how many of them have the right class.
    """

    counts: Counts
    confidence: Ratios
    correct: Counts

    @property
    def mean_confidence(self) -> Ratios:
        """(15,) float64, how sure the model was; NaN in an empty bin."""
        return _mean(self.confidence, self.counts)

    @property
    def accuracy(self) -> Ratios:
        """(15,) float64, how often it was right; NaN in an empty bin."""
        return _mean(self.correct, self.counts)

    @property
    def shares(self) -> Ratios:
        """(15,) float64, share of all scored pixels; NaN if there are none."""
        return _mean(self.counts, np.full(BINS, self.counts.sum()))

    @property
    def expected_calibration_error(self) -> float:
        """How far confidence and accuracy of a bin are apart, 0 to 1; NaN for none.

        The mean over the bins, weighted by their pixels (Naeini, Cooper, Hauskrecht:
        Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015; Guo et
        al., 2017, arXiv:1706.04599).
        """
        total = int(self.counts.sum())
        gaps = np.abs(self.correct - self.confidence).sum()
        return float(gaps / total) if total else float("nan")

    def to_lists(self) -> list[list[float]]:
        """Return counts, confidences and correct pixels as plain JSON."""
        return [
            self.counts.tolist(),
            self.confidence.tolist(),
            self.correct.tolist(),
        ]

    @classmethod
    def from_lists(cls, values: Any) -> Self:
        """Return what `to_lists` gave.

        Raises:
            TypeError: If it is nothing of the kind.
            ValueError: If there are not three times 15 numbers.
        """
        counts, confidence, correct = np.array(values, np.float64).reshape(3, BINS)
        return cls(counts.astype(np.int64), confidence, correct.astype(np.int64))

    def frame(self) -> "pd.DataFrame":
        """Return a table with one row a bin."""
        import pandas as pd

        edges = np.linspace(0, 1, BINS + 1)
        return pd.DataFrame(
            {
                "from": edges[:-1],
                "to": edges[1:],
                "confidence": self.mean_confidence,
                "accuracy": self.accuracy,
                "pixels": self.counts,
            }
        )


def count_reliability(
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    confidence: NDArray[np.float32],
) -> Reliability:
    """Count the pixels of an image by confidence.

    A confidence on the edge of two bins counts in the lower one, and 0 in the first.

    Args:
        truth: (H, W) uint8 class indices; 255 is not scored.
        prediction: (H, W) uint8 class indices; 255 is not scored either.
        confidence: (H, W) float32 in [0, 1].
    """
    scored = (truth != NOT_SCORED) & (prediction != NOT_SCORED)
    sure = confidence[scored].astype(np.float64)
    bins = np.clip(np.ceil(sure * BINS) - 1, 0, BINS - 1).astype(np.int64)
    right = bins[truth[scored] == prediction[scored]]
    return Reliability(
        counts=np.bincount(bins, minlength=BINS).astype(np.int64),
        confidence=np.asarray(np.bincount(bins, sure, BINS), np.float64),
        correct=np.bincount(right, minlength=BINS).astype(np.int64),
    )


def total_reliability(parts: Iterable[Reliability | None]) -> Reliability | None:
    """Add up the counts of images; None where they are not known of all, or of none."""
    given = list(parts)
    known = [part for part in given if part is not None]
    if not known or len(known) < len(given):
        return None
    return Reliability(
        np.sum([part.counts for part in known], axis=0),
        np.sum([part.confidence for part in known], axis=0),
        np.sum([part.correct for part in known], axis=0),
    )


def _mean(sums: NDArray[Any], counts: Counts) -> Ratios:
    """Divide, with NaN where there is nothing."""
    result: Ratios = np.full(counts.shape, np.nan)
    np.divide(sums, counts, out=result, where=counts > 0)
    return result
