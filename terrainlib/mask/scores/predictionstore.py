"""Predictions of a model on the disk: one palette PNG an image, its counts inside.

One file holds everything known about an image and is written atomically, so that work
that was cut off goes on where it ended. No TensorFlow.
"""

import hashlib
import json
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image as PillowImage

from terrainlib import files, metrics
from terrainlib.data.dataset import Dataset
from terrainlib.data.palette import Classes
from terrainlib.mask.rasters.export import index_png
from terrainlib.mask.scores.reliability import Reliability
from terrainlib.mask.scores.scoring import MaskArray, PairScore, ScoredPair
from terrainlib.model.baseline import PixelClassifier
from terrainlib.types import Amount, Count, Share, checked

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

FOLDER: Final = "predictions"
INDEX_FILE: Final = "index.json"
_FORMAT: Final = 2
_COUNTS: Final = "terrain-counts"
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,80}")


@dataclass(frozen=True, slots=True)
class _Counted:
    """What was counted on an image, as its file holds it.

    Attributes:
        confusion: Pixels by class of the truth and of the prediction.
        boundary_f1: Agreement of the borders; None where it is not known.
        reliability: `Reliability.to_lists`; None where it is not known.
    """

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
        try:
            with PillowImage.open(self._path(identifier)) as picture:
                return np.array(picture, np.uint8)
        except (OSError, SyntaxError, ValueError):
            return None

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
        """Return the file of an image's prediction."""
        return self.path(identifier, "", "png")


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
    """Return what the predictions depend on."""
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
    if isinstance(model.network, PixelClassifier):
        return model.network.digest
    digest = hashlib.sha256(json.dumps(model.config.to_dict()).encode())
    for weight in model.network.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return digest.hexdigest()


def _parent(model: "TerrainModel") -> Path:
    """Return the folder of the model's predictions."""
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
