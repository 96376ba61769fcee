"""The predictions of a model on a data set, computed once and kept on the disk.

TensorFlow is loaded only where something remains to be predicted.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.dataset import Dataset, Problem, read_pair
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import ConfigError, InputError, StoppedError
from terrainlib.mask.scores.evaluation import Evaluation, collect
from terrainlib.mask.scores.predictionstore import PredictionStore, open_store
from terrainlib.mask.scores.scoring import (
    MaskArray,
    PairScore,
    ScoredPair,
    class_table,
    pairs_of,
    read_truth,
    score_pairs,
)

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

Order = Literal["worst", "best"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)

RIGHT, WRONG, NOT_SCORED = 0, 1, NO_DATA
RIGHT_COLOR: Final = (225, 227, 230)
WRONG_COLOR: Final = (214, 39, 40)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One image of a gallery with all its pixels.

    Attributes:
        id: The pair's id.
        rgb: (H, W, 3) float32 in [0, 1], the image.
        prediction: (H, W) uint8 class indices; 255 = no data.
        truth: (H, W) uint8 class indices; 255 = no data.
        pixel_accuracy: Share of the scored pixels that are right; NaN for none.
        miou: Mean IoU of this image alone; NaN where nothing is scored.
    """

    id: str
    rgb: NDArray[np.float32]
    prediction: MaskArray
    truth: MaskArray
    pixel_accuracy: float
    miou: float

    @property
    def errors(self) -> MaskArray:
        """(H, W) uint8: 0 right, 1 wrong, 255 not scored."""
        return error_map(self.truth, self.prediction)


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Predictions and scores of the pairs of a data set.

    Attributes:
        dataset: The data set.
        classes: The model's classes, whose indices all masks here have.
        evaluation: Scores over all and of each image; names files that are skipped.
    """

    dataset: Dataset
    classes: Classes
    evaluation: Evaluation
    _store: PredictionStore
    _table: MaskArray

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the images, sorted."""
        return self.evaluation.ids

    def order(self, order: Order = "worst") -> tuple[str, ...]:
        """Return the ids by the mIoU of each image; those without scores come last.

        Raises:
            ConfigError: If there is no such order.
        """
        if order not in ORDERS:
            raise ConfigError(
                f"the order must be one of {', '.join(ORDERS)}, not {order!r}. "
                "Choose one of them."
            )
        values = self.evaluation.image_mious
        keys = values if order == "worst" else -values
        return tuple(self.ids[n] for n in np.argsort(keys, kind="stable"))

    def prediction(self, identifier: str) -> MaskArray:
        """Return the predicted mask, (H, W) uint8; 255 = no data.

        Raises:
            InputError: If there is no such image, or its file was removed meanwhile.
        """
        self._position(identifier)
        mask = self._store.read_mask(identifier)
        if mask is None:
            raise InputError(
                f"the prediction of {identifier} is gone from the disk. Open the "
                "gallery again to compute it.",
                file=self.dataset.name,
            )
        return mask

    def truth(self, identifier: str) -> MaskArray:
        """Return the true mask in the model's classes, (H, W) uint8; 255 = no data.

        Raises:
            InputError: If there is no such image, or it cannot be read any more.
        """
        loaded = read_pair(self.dataset.pair(identifier), self.dataset.classes)
        truth: MaskArray = self._table[loaded.mask]
        return truth

    def error_map(self, identifier: str) -> MaskArray:
        """Return (H, W) uint8: 0 right, 1 wrong, 255 not scored.

        Raises:
            InputError: If there is no such image, or it cannot be read any more.
        """
        return error_map(self.truth(identifier), self.prediction(identifier))

    def row(self, identifier: str) -> Row:
        """Return everything about one image.

        Raises:
            InputError: If there is no such image, or it cannot be read any more.
        """
        position = self._position(identifier)
        pair = self.dataset.pair(identifier)
        loaded = read_truth(pair, self.dataset, self._table)
        scores = self.evaluation.image_scores[position]
        return Row(
            id=identifier,
            rgb=loaded.image.rgb,
            prediction=self.prediction(identifier),
            truth=loaded.mask,
            pixel_accuracy=scores.pixel_accuracy,
            miou=scores.miou,
        )

    def _position(self, identifier: str) -> int:
        """Return where an image stands in the evaluation."""
        if identifier not in self.ids:
            raise InputError(
                f"there is no image {identifier!r} among the {len(self.ids)} of this "
                "gallery. Choose one of its ids.",
                file=self.dataset.name,
            )
        return self.ids.index(identifier)


def open_gallery(
    model: "TerrainModel",
    dataset: Dataset,
    *,
    split: str = "validation",
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Gallery:
    """Predict what has not been predicted yet, and return all of it.

    Predictions are kept beside the model's run, or in the cache, until the model file
    or the data changes. Work that was stopped goes on where it ended.

    Args:
        model: The model.
        dataset: The data set.
        split: `all`, or the `train` or `validation` part of the model's own split.
        progress: Called with the numbers of images done and in all.
        should_stop: Asked between batches.

    Raises:
        ConfigError: If there is no such part.
        InputError: If the data set does not fit the model or the part.
        StorageError: If the disk is full, read-only or failing.
        StoppedError: If `should_stop` said so; what is done is kept.
    """
    start = time.perf_counter()
    pairs = pairs_of(model, dataset, split)
    table = class_table(model, dataset)
    store = open_store(model, dataset)
    results: dict[str, PairScore | Problem] = {}
    for pair in pairs:
        if (score := store.read_counts(pair.id)) is not None:
            results[pair.id] = score
    missing = [pair for pair in pairs if pair.id not in results]
    total = len(pairs)
    if progress is not None:
        progress(len(results), total)
    for chunk in score_pairs(model, dataset, tuple(missing)):
        for pair, result in zip(missing[: len(chunk)], chunk, strict=True):
            results[pair.id] = _kept(store, result)
        del missing[: len(chunk)]
        if progress is not None:
            progress(len(results), total)
        if missing and should_stop is not None and should_stop():
            raise StoppedError(
                f"stopped after {len(results)} of {total} images, as asked."
            )
    names = tuple(item.name for item in model.classes)
    ordered = [results[pair.id] for pair in pairs]
    evaluation = collect(ordered, names, dataset, time.perf_counter() - start)
    return Gallery(dataset, model.classes, evaluation, store, table)


def error_map(truth: MaskArray, prediction: MaskArray) -> MaskArray:
    """Return where a prediction is wrong.

    Args:
        truth: (H, W) uint8 class indices; 255 = no data.
        prediction: (H, W) uint8 class indices; 255 = no data.

    Returns:
        (H, W) uint8: 0 right, 1 wrong, 255 not scored.
    """
    errors: MaskArray = (truth != prediction).astype(np.uint8)
    errors[(truth == NO_DATA) | (prediction == NO_DATA)] = NOT_SCORED
    return errors


def error_picture(errors: MaskArray) -> NDArray[np.uint8]:
    """Return an error map in colours: right grey, wrong red, not scored black.

    Args:
        errors: (H, W) uint8, as `error_map` returns it.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    table = np.zeros((256, 3), np.uint8)
    table[RIGHT], table[WRONG] = RIGHT_COLOR, WRONG_COLOR
    picture: NDArray[np.uint8] = table[errors]
    return picture


def _kept(store: PredictionStore, result: ScoredPair | Problem) -> PairScore | Problem:
    """Write a result to the disk and return what is needed of it in memory."""
    if isinstance(result, Problem):
        return result
    store.write(result)
    return result.score
