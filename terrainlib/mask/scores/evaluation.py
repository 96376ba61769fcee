"""Scores of a model on a data set, at the masks' own size.

TensorFlow is loaded by the first prediction, not by the import of this module.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrainlib import metrics
from terrainlib.data.dataset import Dataset
from terrainlib.data.layout import Problem
from terrainlib.errors import DatasetError, StoppedError
from terrainlib.mask.scores.reliability import Reliability, total_reliability
from terrainlib.mask.scores.scoring import (
    PARTS,
    PairScore,
    Part,
    ScoredPair,
    pairs_of,
    score_pairs,
)

if TYPE_CHECKING:
    import pandas as pd

    from terrainlib.model.modelfile import TerrainModel

__all__ = ["PARTS", "Evaluation", "Part", "evaluate"]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a model gets right and wrong on N images.

    Attributes:
        ids: Ids of the images.
        class_names: Names of the K classes.
        confusions: (N, K, K) int64 pixels of each image, rows by truth.
        boundary_f1: (N,) float64, agreement of the borders of each image within 2 px;
            NaN where nothing is scored.
        seconds: Time it took.
        skipped: Files that could not be read, with the reason.
        reliability: Pixels of all images by confidence; None for a model that gives
            colours, whose confidence means nothing.
    """

    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    confusions: NDArray[np.int64]
    boundary_f1: NDArray[np.float64]
    seconds: float
    skipped: tuple[Problem, ...] = ()
    reliability: Reliability | None = None

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(K, K) int64, the pixels of all images together."""
        return np.asarray(self.confusions.sum(axis=0), np.int64)

    @property
    def scores(self) -> metrics.Scores:
        """Scores of all images together, from one confusion matrix."""
        known = self.reliability
        error = math.nan if known is None else known.expected_calibration_error
        return metrics.scores(self.confusion, self.boundary_f1, error)

    @property
    def image_scores(self) -> tuple[metrics.Scores, ...]:
        """The scores of each image alone."""
        return tuple(self.scores_of(position) for position in range(len(self.ids)))

    def scores_of(self, position: int) -> metrics.Scores:
        """Return the scores of one image alone, by its place among the ids."""
        borders = self.boundary_f1[position : position + 1]
        return metrics.scores(self.confusions[position], borders)

    def image_values(self, of_class: int | None) -> NDArray[np.float64]:
        """Return the mIoU of each image, or the IoU of a class in it, NaN for none."""
        if of_class is None:
            return self.image_mious
        return np.array([metrics.iou(c)[of_class] for c in self.confusions])

    @property
    def image_mious(self) -> NDArray[np.float64]:
        """(N,) float64, the mIoU of each image alone; NaN where nothing is scored."""
        return np.array([metrics.miou(confusion) for confusion in self.confusions])

    def to_json(self, *, confidence: bool = False) -> dict[str, Any]:
        """Return the scores as plain JSON; null for a class that occurs nowhere.

        Args:
            confidence: Whether those that need the confidence are among them.
        """
        return {
            "images": len(self.ids),
            **self.scores.to_json(self.class_names, confidence=confidence),
            "seconds": round(self.seconds, 3),
        }

    def frame(self) -> "pd.DataFrame":
        """Return a table with one row an image: its scores, then `iou_<class>`, ..."""
        import pandas as pd

        rows = [scores.columns(self.class_names) for scores in self.image_scores]
        return pd.DataFrame(
            [{"id": one} | row for one, row in zip(self.ids, rows, strict=True)]
        )


def evaluate(
    model: "TerrainModel",
    dataset: Dataset,
    *,
    split: str = "all",
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation:
    """Score a model on all pixels of a data set, or of a part of it.

    Pixels count once each, in one confusion matrix over all images; pixels without data
    in the mask or the image do not count.

    Args:
        model: The model.
        dataset: The data set; its classes are matched to the model's by name.
        split: `all`, or the `train` or `validation` part of the model's own split.
        progress: Called with the numbers of images done and in all.
        should_stop: Asked between batches.

    Raises:
        ConfigError: If there is no such part.
        InputError: If the data set does not fit the model or the part.
        StoppedError: If `should_stop` said so.
    """
    start = time.perf_counter()
    pairs = pairs_of(model, dataset, split)
    results: list[PairScore | Problem] = []
    if progress is not None:
        progress(0, len(pairs))
    for chunk in score_pairs(model, dataset, pairs):
        results += [r.score if isinstance(r, ScoredPair) else r for r in chunk]
        if progress is not None:
            progress(len(results), len(pairs))
        if len(results) < len(pairs) and should_stop is not None and should_stop():
            raise StoppedError(
                f"stopped after {len(results)} of {len(pairs)} images, as asked."
            )
    names = tuple(item.name for item in model.classes)
    return collect(results, names, dataset, time.perf_counter() - start)


def collect(
    results: Sequence[PairScore | Problem],
    class_names: tuple[str, ...],
    dataset: Dataset,
    seconds: float,
) -> Evaluation:
    """Put the results of single pairs together.

    Raises:
        DatasetError: If none of them could be read.
    """
    scored = [item for item in results if isinstance(item, PairScore)]
    skipped = tuple(item for item in results if isinstance(item, Problem))
    if not scored:
        raise DatasetError(
            f"none of its {len(results)} pairs can be read any more, for example "
            f"{skipped[0].file}. Open the data set again to see why.",
            file=dataset.name,
        )
    return Evaluation(
        ids=tuple(item.id for item in scored),
        class_names=class_names,
        confusions=np.stack([item.confusion for item in scored]),
        boundary_f1=np.array([item.boundary_f1 for item in scored]),
        seconds=seconds,
        skipped=skipped,
        reliability=total_reliability(item.reliability for item in scored),
    )
