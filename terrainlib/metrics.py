"""How well a class mask agrees with the truth. NumPy and OpenCV only.

Counts come first and scores second: one confusion matrix is added up over all images
and scored once, so that no average of averages hides a rare class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import InputError

NOT_SCORED: Final = 255
BOUNDARY_TOLERANCE_PX: Final = 2

Counts = NDArray[np.int64]
Ratios = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one confusion matrix; NaN where there is nothing to score.

    Attributes:
        pixel_accuracy: Share of the scored pixels that have the right class.
        miou: Mean of `iou` over the classes that occur in truth or prediction.
        iou: (K,) float64, intersection over union of each class.
        precision: (K,) float64, share of the pixels given a class that are of it.
        recall: (K,) float64, share of the pixels of a class that were given it.
        support: (K,) int64, pixels of each class in the truth.
    """

    pixel_accuracy: float
    miou: float
    iou: Ratios
    precision: Ratios
    recall: Ratios
    support: Counts

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return `pixel_accuracy`, `miou` and `iou` by class name; None for NaN."""
        values = [none_if_nan(value) for value in self.iou]
        return {
            "pixel_accuracy": none_if_nan(self.pixel_accuracy),
            "miou": none_if_nan(self.miou),
            "iou": dict(zip(names, values, strict=True)),
        }


def confusion_matrix(
    truth: NDArray[np.integer[Any]], prediction: NDArray[np.integer[Any]], classes: int
) -> Counts:
    """Count how often each true class was given each class.

    Args:
        truth: Class indices of any shape; 255 is not scored.
        prediction: Class indices of the same shape; 255 is not scored either.
        classes: Number of classes K, 1 to 255.

    Returns:
        (K, K) int64, rows by truth and columns by prediction.

    Raises:
        InputError: If the shapes differ, or an index is neither below K nor 255.

    Example:
        >>> truth = np.array([0, 0, 1, 255], np.uint8)
        >>> confusion_matrix(truth, np.array([0, 1, 1, 1], np.uint8), 2).tolist()
        [[1, 1], [0, 1]]
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    _require_same_shape(truth, prediction)
    scored = (truth != NOT_SCORED) & (prediction != NOT_SCORED)
    rows = truth[scored].astype(np.int64)
    columns = prediction[scored].astype(np.int64)
    for values in (rows, columns):
        strangers = values[(values < 0) | (values >= classes)]
        if strangers.size:
            raise InputError(
                f"a mask holds the class index {strangers[0]}; with {classes} classes "
                f"the highest is {classes - 1}. Check that the mask belongs to them."
            )
    counts = np.bincount(rows * classes + columns, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def iou(confusion: Counts) -> Ratios:
    """Return the intersection over union of each class.

    Args:
        confusion: (K, K) int64, rows by truth.

    Returns:
        (K,) float64 in [0, 1]; NaN for a class that neither truth nor prediction has.
    """
    hits = np.diag(confusion)
    return _ratio(hits, confusion.sum(0) + confusion.sum(1) - hits)


def miou(confusion: Counts) -> float:
    """Return the mean IoU over the classes that occur; NaN if none does."""
    values = iou(confusion)
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def pixel_accuracy(confusion: Counts) -> float:
    """Return the share of scored pixels with the right class; NaN without pixels."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def scores(confusion: Counts) -> Scores:
    """Return every score of a (K, K) confusion matrix."""
    hits = np.diag(confusion)
    return Scores(
        pixel_accuracy=pixel_accuracy(confusion),
        miou=miou(confusion),
        iou=iou(confusion),
        precision=_ratio(hits, confusion.sum(0)),
        recall=_ratio(hits, confusion.sum(1)),
        support=confusion.sum(1),
    )


def boundary_f1(
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    classes: int,
    tolerance: int = BOUNDARY_TOLERANCE_PX,
) -> float:
    """Return how well the borders between classes agree, 0 to 1.

    The border of a class are its pixels with a pixel of another class left, right,
    above or below. A border pixel is found if the other mask has a border pixel of the
    same class at most `tolerance` px away (Euclidean). F1 is the harmonic mean of the
    found shares of both masks; the result is its mean over the classes that occur in
    truth or prediction. A class without any border counts 1 if both masks have it and
    0 if only one has. The edge of the image and of pixels that are not scored is no
    border.

    Args:
        truth: (H, W) uint8 class indices; 255 is not scored.
        prediction: (H, W) uint8 class indices; 255 is not scored either.
        classes: Number of classes K.
        tolerance: Distance in px, at least 0.

    Returns:
        The mean F1, or NaN where no pixel is scored.

    Raises:
        InputError: If the shapes differ.

    References:
        Csurka, Larlus, Perronnin: What is a good evaluation measure for semantic
        segmentation? (2013), doi:10.5244/C.27.32.
    """
    _require_same_shape(truth, prediction)
    unscored = (truth == NOT_SCORED) | (prediction == NOT_SCORED)
    truth = np.where(unscored, np.uint8(NOT_SCORED), truth)
    prediction = np.where(unscored, np.uint8(NOT_SCORED), prediction)
    truth_border, prediction_border = _borders(truth), _borders(prediction)
    reach = np.arange(-tolerance, tolerance + 1)
    disc = (reach[:, None] ** 2 + reach**2 <= tolerance**2).astype(np.uint8)
    values = []
    for number in range(classes):
        masks = (truth == number, prediction == number)
        if not (masks[0].any() or masks[1].any()):
            continue
        borders = (masks[0] & truth_border, masks[1] & prediction_border)
        if borders[0].any() or borders[1].any():
            values.append(_border_f1(*borders, disc))
        else:
            values.append(float(masks[0].any() and masks[1].any()))
    return float(np.mean(values)) if values else float("nan")


def none_if_nan(value: float) -> float | None:
    """Return a plain float for JSON, None for NaN."""
    return None if np.isnan(value) else float(value)


def _border_f1(
    truth: NDArray[np.bool_], prediction: NDArray[np.bool_], disc: NDArray[np.uint8]
) -> float:
    """Return the F1 of two sets of border pixels."""
    near_truth = cv2.dilate(truth.astype(np.uint8), disc) > 0
    near_prediction = cv2.dilate(prediction.astype(np.uint8), disc) > 0
    precision = (prediction & near_truth).sum() / max(1, prediction.sum())
    recall = (truth & near_prediction).sum() / max(1, truth.sum())
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.0


def _borders(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    border = np.zeros(mask.shape, bool)
    scored = mask != NOT_SCORED
    for here, there in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        differs = (mask[here] != mask[there]) & scored[here] & scored[there]
        border[here] |= differs
        border[there] |= differs
    return border


def _ratio(numerator: Counts, denominator: Counts) -> Ratios:
    """Divide, with NaN where the denominator is zero."""
    result: Ratios = np.full(denominator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _require_same_shape(truth: NDArray[Any], prediction: NDArray[Any]) -> None:
    if truth.shape != prediction.shape:
        raise InputError(
            f"the true mask is {truth.shape} and the predicted one {prediction.shape}; "
            "they must have the same size. Predict the image that belongs to the mask."
        )
