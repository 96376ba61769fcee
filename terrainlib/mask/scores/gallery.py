"""The predictions of a model on a data set, computed once and kept on the disk.

TensorFlow is loaded only where something remains to be predicted.
"""

import hashlib
import json
import math
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from terrainlib import files, metrics
from terrainlib.data.dataset import Dataset
from terrainlib.data.layout import Problem
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import ConfigError, InputError, StoppedError
from terrainlib.mask.rasters.png import encode_png, index_png
from terrainlib.mask.scores.evaluation import Evaluation, collect
from terrainlib.mask.scores.reliability import Reliability
from terrainlib.mask.scores.scoring import (
    PairScore,
    ScoredPair,
    class_table,
    pairs_of,
    read_truth,
    score_pairs,
)
from terrainlib.mask.tiles.resampling import shrink
from terrainlib.model.pixelclassifier import Classifier
from terrainlib.types import Amount, ByteArray, Count, MaskArray, Share, checked

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

FOLDER: Final = "predictions"
INDEX_FILE: Final = "index.json"
_FORMAT: Final = 4
_COUNTS: Final = "terrain-counts"
_CONFIDENCE: Final = "confidence"
_CONFIDENCE_PX: Final = 1024
_CONFIDENCE_STEP: Final = 17  # of 255: a third of what is unsure, for small files
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,80}")


@dataclass(frozen=True, slots=True)
class _Counted:
    """What was counted on an image, as its file holds it."""

    confusion: tuple[tuple[Count, ...], ...]
    boundary_f1: Share | None
    reliability: tuple[tuple[Amount, ...], ...] | None


@dataclass(frozen=True, slots=True)
class PredictionStore:
    """The predictions of one model on one data set.

    Attributes:
        folder: Where they lie; made by the first one that is written.
        classes: The model's classes.
    """

    folder: Path
    classes: Classes

    def read_mask(self, identifier: str) -> MaskArray | None:
        """Return the predicted mask, (H, W) uint8; None where it is not there."""
        return _read_png(self._path(identifier))

    def read_margins(self, identifier: str) -> ByteArray | None:
        """Return how sure the model was, in 255ths, (h, w) uint8, at most 1024 px.

        None where it gives colours: their confidence means nothing.
        """
        return _read_png(self.path(identifier, _CONFIDENCE, "sure.png"))

    def read_counts(self, identifier: str) -> PairScore | None:
        """Return what was counted on an image; None where it is not there."""
        size = len(self.classes)
        try:
            with PillowImage.open(self._path(identifier)) as picture:
                values = files.parse_json(picture.info[_COUNTS])
            counted = checked(_Counted, values)
            confusion = np.array(counted.confusion, np.int64).reshape(size, size)
            border = math.nan if counted.boundary_f1 is None else counted.boundary_f1
            bins = counted.reliability
            reliability = None if bins is None else Reliability.from_lists(bins)
            return PairScore(identifier, confusion, border, reliability)
        except (OSError, SyntaxError, ValueError, KeyError, TypeError):
            return None

    def write(self, result: ScoredPair) -> None:
        """Write what is known about an image.

        Raises:
            StorageError: If the disk is full, read-only or failing.
        """
        score = result.score
        bins = None if score.reliability is None else score.reliability.to_lists()
        counts = {
            "confusion": score.confusion.tolist(),
            "boundary_f1": metrics.none_if_nan(score.boundary_f1),
            "reliability": bins,
        }
        data = index_png(
            result.prediction, self.classes, texts={_COUNTS: json.dumps(counts)}
        )
        if result.margins is not None:
            small = shrink(result.margins, _CONFIDENCE_PX, nearest=True)
            rough = small // _CONFIDENCE_STEP * _CONFIDENCE_STEP
            path = self.path(result.score.id, _CONFIDENCE, "sure.png")
            files.write_bytes(path, encode_png(rough))
        files.write_bytes(self._path(result.score.id), data)

    def path(self, identifier: str, subfolder: str, suffix: str) -> Path:
        """Return the file for something else about an image, which goes with these.

        Args:
            identifier: Id of the image; hashed where it is no plain name.
            subfolder: Folder within this one.
            suffix: Ending of the file, without a point.
        """
        if not _PLAIN_NAME.fullmatch(identifier):
            identifier = "~" + hashlib.sha256(identifier.encode()).hexdigest()[:32]
        return self.folder / subfolder / f"{identifier}.{suffix}"

    def _path(self, identifier: str) -> Path:
        return self.path(identifier, "", "png")


def _read_png(path: Path) -> ByteArray | None:
    try:
        with PillowImage.open(path) as picture:
            return np.array(picture, np.uint8)
    except (OSError, SyntaxError, ValueError):
        return None


def open_store(model: "TerrainModel", dataset: Dataset) -> PredictionStore:
    """Return the store for a model and a data set as both are now.

    It lies in the run folder of the model, or in the cache for other models. What an
    earlier state of the model file or the data left behind there is removed.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    facts = _facts(model, dataset)
    key = _digest(json.dumps(facts, sort_keys=True))
    parent = _parent(model)
    store = PredictionStore(parent / key, model.classes)
    if files.read_json(store.folder / INDEX_FILE) != facts:
        _remove_outdated(parent, facts)
        files.write_json(store.folder / INDEX_FILE, facts)
    return store


def _facts(model: "TerrainModel", dataset: Dataset) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "model": _model_digest(model),
        "data": str(dataset.folder.resolve()),
        "fingerprint": dataset.fingerprint,
        "classes": [[item.name, list(item.color)] for item in dataset.classes],
    }


def _model_digest(model: "TerrainModel") -> str:
    """Return a digest of the model file, or of the weights of a model without one."""
    if model.path is not None and model.path.is_file():
        with model.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    if isinstance(model.network, Classifier):
        return model.network.digest
    digest = hashlib.sha256(json.dumps(model.config.to_dict()).encode())
    for weight in model.network.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return digest.hexdigest()


def _parent(model: "TerrainModel") -> Path:
    path = model.path
    if path is not None and (path.parent / "config.json").is_file():
        return path.parent / FOLDER
    name = str(path.resolve()) if path is not None else model.name
    return files.cache_dir() / FOLDER / _digest(name)


def _remove_outdated(parent: Path, facts: dict[str, Any]) -> None:
    """Remove predictions of another model file, or of this data as it was before."""
    for index in parent.glob(f"*/{INDEX_FILE}"):
        other = files.read_json(index)
        there = other if isinstance(other, dict) else {}
        if there.get("model") != facts["model"] or there.get("data") == facts["data"]:
            shutil.rmtree(index.parent, ignore_errors=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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

    def order(
        self, order: Order = "worst", *, of_class: int | None = None
    ) -> tuple[str, ...]:
        """Return the ids by the mIoU of each image, or by the IoU of a class in it.

        Those without scores come last.

        Raises:
            ConfigError: If there is no such order.
        """
        if order not in ORDERS:
            raise ConfigError(
                f"the order must be one of {', '.join(ORDERS)}, not {order!r}. "
                "Choose one of them."
            )
        values = self.evaluation.image_values(of_class)
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

    def margins(self, identifier: str) -> ByteArray | None:
        """Return how sure the model was, (h, w) uint8 in 255ths, at most 1024 px.

        None for a model that gives colours.

        Raises:
            InputError: If there is no such image.
        """
        self._position(identifier)
        return self._store.read_margins(identifier)

    def mistakes(self, truth: int, taken_for: int, limit: int) -> tuple[str, ...]:
        """Return the images with most pixels of one class taken for another.

        Args:
            truth: Index of the true class.
            taken_for: Index of the predicted class.
            limit: How many at most; images without such a pixel are left out.
        """
        pixels = self.evaluation.confusions[:, truth, taken_for]
        most = np.argsort(-pixels, kind="stable")[:limit]
        return tuple(self.ids[n] for n in most if pixels[n])

    def row(self, identifier: str) -> Row:
        """Return everything about one image.

        Raises:
            InputError: If there is no such image, or it cannot be read any more.
        """
        position = self._position(identifier)
        pair = self.dataset.pair(identifier)
        loaded = read_truth(pair, self.dataset, self._table)
        scores = self.evaluation.scores_of(position)
        return Row(
            id=identifier,
            rgb=loaded.image.rgb,
            prediction=self.prediction(identifier),
            truth=loaded.mask,
            pixel_accuracy=scores.overall["pixel_accuracy"],
            miou=scores.overall["miou"],
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
    for chunk in score_pairs(model, dataset, tuple(missing), margins=True):
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
