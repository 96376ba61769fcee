"""What cleaning does to the scores: the gallery's masks, cleaned and scored again.

The predictions are on the disk already, so this needs no network and no TensorFlow.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrainlib import metrics
from terrainlib.errors import InputError
from terrainlib.mask.postprocess import PostProcessing
from terrainlib.mask.scores.gallery import Gallery


@dataclass(frozen=True, slots=True)
class CleaningEffect:
    """Scores of the class masks before and after cleaning; NaN for nothing to score.

    Attributes:
        miou: mIoU of all images together, before and after.
        boundary_f1: Mean boundary F1, before and after.
        changed: Share of the predicted pixels that got another class, 0 to 1.
        images: How many images were scored.
    """

    miou: tuple[float, float]
    boundary_f1: tuple[float, float]
    changed: float
    images: int

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as plain JSON; None for NaN."""
        return {
            "images": self.images,
            "changed": self.changed,
            "before": _plain(self.miou[0], self.boundary_f1[0]),
            "after": _plain(self.miou[1], self.boundary_f1[1]),
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """What was counted on one image, before and after."""

    confusions: tuple[NDArray[np.int64], NDArray[np.int64]]
    borders: tuple[float, float]
    changed: int
    pixels: int


def cleaning_effect(
    gallery: Gallery,
    settings: PostProcessing,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> CleaningEffect:
    """Clean every mask of a gallery and score it before and after.

    Args:
        gallery: The predictions.
        settings: How to clean them.
        progress: Called with the numbers of images done and in all.

    Raises:
        InputError: If a prediction or a pair is gone, or there are none.
    """
    if not gallery.ids:
        raise InputError(
            "there is no image to score. Choose pairs to judge the model on.",
            file=gallery.dataset.name,
        )

    def count(identifier: str) -> _Counts:
        return _count(gallery, settings, identifier)

    counts: list[_Counts] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for item in pool.map(count, gallery.ids):
            counts.append(item)
            if progress is not None:
                progress(len(counts), len(gallery.ids))
    before, after = (
        metrics.miou(np.sum([item.confusions[step] for item in counts], axis=0))
        for step in (0, 1)
    )
    borders = np.array([item.borders for item in counts])
    return CleaningEffect(
        miou=(before, after),
        boundary_f1=(_mean(borders[:, 0]), _mean(borders[:, 1])),
        changed=sum(item.changed for item in counts)
        / max(1, sum(item.pixels for item in counts)),
        images=len(counts),
    )


def _count(gallery: Gallery, settings: PostProcessing, identifier: str) -> _Counts:
    """Clean and score one image."""
    truth, mask = gallery.truth(identifier), gallery.prediction(identifier)
    cleaned = settings.apply(mask)
    size = len(gallery.classes)
    before, after = (
        (
            metrics.confusion_matrix(truth, made, size),
            metrics.boundary_f1(truth, made, size),
        )
        for made in (mask, cleaned)
    )
    return _Counts(
        (before[0], after[0]),
        (before[1], after[1]),
        int((cleaned != mask).sum()),
        mask.size,
    )


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _plain(miou: float, boundary_f1: float) -> dict[str, float | None]:
    return {
        "miou": metrics.none_if_nan(miou),
        "boundary_f1": metrics.none_if_nan(boundary_f1),
    }
