"""How well a class mask agrees with the truth. NumPy and OpenCV only.

Counts come first and scores second: one confusion matrix is added up over all images
and scored once, so that no average of averages hides a rare class. What is scored
stands in one table, `SCORES`, at the end.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import InputError

NOT_SCORED: Final = 255
BOUNDARY_TOLERANCE_PX: Final = 2

Counts = NDArray[np.int64]
Ratios = NDArray[np.float64]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What scores are computed from, counted on one image or on many.

    Attributes:
        confusion: (K, K) int64, pixels of all images, rows by truth.
        boundary_f1: Agreement of the borders of each image, NaN where nothing is
            scored; empty where it was not counted.
        calibration_error: How far confidence and accuracy are apart, NaN if not known.
    """

    confusion: Counts
    boundary_f1: Sequence[float] | Ratios = ()
    calibration_error: float = math.nan


@dataclass(frozen=True, slots=True)
class ScoreKind:
    """One score: what it is called, how it is computed, how people read it.

    Attributes:
        key: Its name in JSON and in tables.
        label: Its name for people.
        meaning: One sentence for people.
        compute: From what was counted to a number, or to (K,) float64, one of each
            class, if it is `of_classes`; NaN where there is nothing to score.
        of_classes: Whether each class has its own.
        needs_confidence: Whether masks alone do not tell it. Such a score is in no
            table of images and not in the JSON of `evaluate`.
        lower_is_better: Whether 0 is perfect, else 1 is.
    """

    key: str
    label: str
    meaning: str
    compute: Callable[[Counted], Any]
    of_classes: bool = False
    needs_confidence: bool = False
    lower_is_better: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Every score of `SCORES` by its key; NaN where there is nothing to score.

    Attributes:
        overall: Those over all classes.
        classes: Those of each class, (K,) float64.
        support: (K,) int64, pixels of each class in the truth.
    """

    overall: Mapping[str, float]
    classes: Mapping[str, Ratios]
    support: Counts

    def to_json(
        self, names: Sequence[str], *, confidence: bool = False
    ) -> dict[str, Any]:
        """Return them in the order of `SCORES`, by class name; None for NaN.

        Args:
            names: Names of the K classes.
            confidence: Whether those that need the confidence are among them.
        """
        values: dict[str, Any] = {}
        for kind in SCORES:
            if kind.of_classes:
                each = [none_if_nan(value) for value in self.classes[kind.key]]
                values[kind.key] = dict(zip(names, each, strict=True))
            elif confidence or not kind.needs_confidence:
                values[kind.key] = none_if_nan(self.overall[kind.key])
        return values

    def columns(self, names: Sequence[str]) -> dict[str, float]:
        """Return one row of a table: `miou`, ..., then `iou_<class>`, ..."""
        row = {k.key: self.overall[k.key] for k in OVERALL if not k.needs_confidence}
        for kind in OF_CLASSES:
            row |= class_columns(kind.key, names, self.classes[kind.key])
        return row


def class_columns(
    key: str, names: Sequence[str], values: Iterable[_T]
) -> dict[str, _T]:
    """Return a score of each class by its column in tables, such as `iou_Water`."""
    return {f"{key}_{name}": v for name, v in zip(names, values, strict=True)}


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
        unknown = values[(values < 0) | (values >= classes)]
        if unknown.size:
            raise InputError(
                f"a mask holds the class index {unknown[0]}; with {classes} classes "
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
    return mean_of_known(iou(confusion))


def pixel_accuracy(confusion: Counts) -> float:
    """Return the share of scored pixels with the right class; NaN without pixels."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def precision(confusion: Counts) -> Ratios:
    """Return the share of the pixels given a class that are of it, (K,) float64."""
    return _ratio(np.diag(confusion), confusion.sum(0))


def recall(confusion: Counts) -> Ratios:
    """Return the share of the pixels of a class that were given it, (K,) float64."""
    return _ratio(np.diag(confusion), confusion.sum(1))


def scores(
    confusion: Counts,
    boundary_f1: Sequence[float] | Ratios = (),
    calibration_error: float = math.nan,
) -> Scores:
    """Return every score of what was counted; see `Counted` for the arguments."""
    counted = Counted(confusion, boundary_f1, calibration_error)
    return Scores(
        overall={kind.key: kind.compute(counted) for kind in OVERALL},
        classes={kind.key: kind.compute(counted) for kind in OF_CLASSES},
        support=confusion.sum(1),
    )


def mean_of_known(values: Sequence[float] | Ratios) -> float:
    """Return the mean of the numbers that are not NaN; NaN if there are none."""
    numbers = np.asarray(values, np.float64)
    known = numbers[~np.isnan(numbers)]
    return float(known.mean()) if known.size else math.nan


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one model is ahead of another in mIoU, and how sure that is.

    Attributes:
        value: mIoU of the one minus mIoU of the other, over all images.
        interval: Lower and upper end of the 95 % interval; None where it is not known.
    """

    value: float
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        """Say it in words: `clearly ahead by 0.04 (0.02 to 0.06)`."""
        if self.interval is None:
            if abs(self.value) < 0.0005:
                return "level"
            word = "ahead" if self.value > 0 else "behind"
            return f"{word} by {abs(self.value):.3f}"
        low, high = self.interval
        if low > 0:
            return f"clearly ahead by {self.value:.2f} ({low:.2f} to {high:.2f})"
        if high < 0:
            return f"clearly behind by {-self.value:.2f} ({-high:.2f} to {-low:.2f})"
        return f"no clear difference ({low:+.2f} to {high:+.2f})".replace("-", "\u2212")


def miou_difference(
    one: Counts, other: Counts, *, draws: int = 2000, seed: int = 0
) -> Difference | None:
    """Return how far one model is ahead of another on the same images.

    The interval comes of a paired bootstrap: images are drawn with replacement, the
    same ones for both models, whose mIoU is taken over all pixels drawn (Efron,
    Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13).

    Args:
        one: (N, K, K) pixels of each image, rows by truth.
        other: The same of the other model.
        draws: How often N images are drawn.
        seed: Seed of the draws.

    Returns:
        The difference; None with fewer than two images, or where nothing is scored.

    Raises:
        InputError: If they are not of the same images and classes.
    """
    if one.shape != other.shape:
        raise InputError(
            f"the counts are {one.shape} and {other.shape} (images x classes x "
            "classes); they must be of the same images. Score both models on them."
        )
    images = len(one)
    value = miou(one.sum(0)) - miou(other.sum(0))
    if images < 2 or math.isnan(value):
        return None
    rng = np.random.default_rng(seed)
    found = np.empty(draws)
    for number in range(draws):
        drawn = np.bincount(rng.integers(0, images, images), minlength=images)
        mine, others = (np.tensordot(drawn, counts, 1) for counts in (one, other))
        found[number] = miou(mine) - miou(others)
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return Difference(value, (float(low), float(high)))


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


def decimal(value: float | None, sign: str = "") -> str:
    """Return a score as people read it: `0.578`; a dash for None and NaN.

    Args:
        value: The score, or a difference of two.
        sign: `+` writes a plus before what is not negative.
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{sign}.3f}".replace("-", "\u2212")


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


SCORES: Final = (
    ScoreKind(
        "pixel_accuracy",
        "Pixel accuracy",
        "The share of pixels with the right class.",
        lambda counted: pixel_accuracy(counted.confusion),
    ),
    ScoreKind(
        "miou",
        "mIoU",
        "The mean IoU of the classes that occur. IoU: of the pixels that are a class "
        "in the true or the predicted mask, the share that are it in both. 1 is "
        "perfect.",
        lambda counted: miou(counted.confusion),
    ),
    ScoreKind(
        "iou",
        "IoU",
        "Of the pixels that are this class in the true or the predicted mask, the "
        "share that are it in both. 1 is perfect.",
        lambda counted: iou(counted.confusion),
        of_classes=True,
    ),
    ScoreKind(
        "precision",
        "Precision",
        "Of the pixels predicted as this class, the share that are it.",
        lambda counted: precision(counted.confusion),
        of_classes=True,
    ),
    ScoreKind(
        "recall",
        "Recall",
        "Of the pixels that are this class, the share that were found.",
        lambda counted: recall(counted.confusion),
        of_classes=True,
    ),
    ScoreKind(
        "boundary_f1",
        "Boundary F1",
        "How well the borders between classes are met, within "
        f"{BOUNDARY_TOLERANCE_PX} px. 1 is perfect.",
        lambda counted: mean_of_known(counted.boundary_f1),
    ),
    ScoreKind(
        "ece",
        "Calibration error",
        'How far the model\'s "80 % sure" is from being right 80 % of the time, on '
        "average (expected calibration error). 0 is perfect.",
        lambda counted: counted.calibration_error,
        needs_confidence=True,
        lower_is_better=True,
    ),
)
OVERALL: Final = tuple(kind for kind in SCORES if not kind.of_classes)
OF_CLASSES: Final = tuple(kind for kind in SCORES if kind.of_classes)
