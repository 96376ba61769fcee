"""What sharpening does to the scores: a class mask for each amount, against the truth.

The soft mask is sharpened with every amount and both methods, each pixel takes the
class of the nearest colour, and the result is scored as the gallery scores masks. What
was counted on a pair is kept beside the predictions, so that work that was stopped goes
on where it ended. TensorFlow is loaded only where a pair remains to be predicted.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib import files, metrics
from terrainlib.data.dataset import Dataset, Problem
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import ConfigError, DatasetError, StoppedError
from terrainlib.mask.scores.curve import SharpeningCurve
from terrainlib.mask.scores.predictionstore import PredictionStore, open_store
from terrainlib.mask.scores.scoring import MaskArray, predict_pairs
from terrainlib.mask.sharpen import MAX_AMOUNT, METHODS, Method, sharpen
from terrainlib.mask.tiles.result import Prediction, snap_to_classes

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

AMOUNTS: Final = tuple(round(0.2 * step, 1) for step in range(16))
_FOLDER: Final = "sharpening"
_FORMAT: Final = 1
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class CurveSettings:
    """Which amounts are tried.

    Attributes:
        amounts: Amounts of sharpening, ascending from 0.
        methods: Which methods.
        radius: Standard deviation in px of the unsharp mask's Gaussian.

    Raises:
        ConfigError: If the amounts do not ascend from 0, or one is out of bounds.
    """

    amounts: tuple[float, ...] = AMOUNTS
    methods: tuple[Method, ...] = METHODS
    radius: float = field(default=1.0)

    def __post_init__(self) -> None:
        steps = np.diff(self.amounts)
        ascends = bool(self.amounts) and self.amounts[0] == 0 and (steps > 0).all()
        if not (ascends and self.amounts[-1] <= MAX_AMOUNT and self.methods):
            raise ConfigError(
                f"the amounts of a sharpening curve must ascend from 0 to at most "
                f"{MAX_AMOUNT:g}, not {self.amounts!r}. Choose others."
            )


@dataclass(frozen=True, slots=True, eq=False)
class _PairCounts:
    """What was counted on one pair, for M methods and A amounts.

    Attributes:
        confusions: (M, A, K, K) int64, rows by truth.
        boundary_f1: (M, A) float64, NaN where nothing is scored.
        plain_confusion: (K, K) int64 of the most probable classes.
        plain_boundary_f1: The same for the borders.
    """

    confusions: NDArray[np.int64]
    boundary_f1: NDArray[np.float64]
    plain_confusion: NDArray[np.int64]
    plain_boundary_f1: float


def sharpening_curve(
    model: "TerrainModel",
    dataset: Dataset,
    ids: Sequence[str],
    *,
    settings: CurveSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SharpeningCurve:
    """Score sharpened class masks on labelled pairs.

    Args:
        model: The model.
        dataset: The data set of the pairs.
        ids: Which pairs.
        settings: Which amounts; by default 0 to 3 in steps of 0.2, both methods.
        progress: Called with the numbers of pairs done and in all.
        should_stop: Asked between batches.

    Raises:
        InputError: If the data set does not fit the model, or has no such pair.
        StorageError: If the disk is full, read-only or failing.
        StoppedError: If `should_stop` said so; what is done is kept.
    """
    settings = settings or CurveSettings()
    store = open_store(model, dataset)
    found = _stored(store, ids, settings)
    missing = [dataset.pair(name) for name in ids if name not in found]
    total = len(ids)
    if progress is not None:
        progress(len(found), total)
    done, skipped = len(found), 0
    count = partial(_count, classes=model.classes, settings=settings)
    for chunk in predict_pairs(model, dataset, tuple(missing), count):
        for pair, result in zip(missing[: len(chunk)], chunk, strict=True):
            if isinstance(result, Problem):
                skipped += 1
                continue
            _keep(_path(store, settings, pair.id), result)
            found[pair.id] = result
        done += len(chunk)
        del missing[: len(chunk)]
        if progress is not None:
            progress(done, total)
        if missing and should_stop is not None and should_stop():
            raise StoppedError(f"stopped after {done} of {total} images, as asked.")
    ordered = [found[name] for name in ids if name in found]
    return _collect(ordered, settings, dataset, skipped)


def stored_curve(
    model: "TerrainModel",
    dataset: Dataset,
    ids: Sequence[str],
    settings: CurveSettings | None = None,
) -> SharpeningCurve | None:
    """Return a curve that is on the disk as a whole, else None.

    Args:
        model: The model; its network is not needed.
        dataset: The data set of the pairs.
        ids: Which pairs.
        settings: Which amounts.
    """
    settings = settings or CurveSettings()
    found = _stored(open_store(model, dataset), ids, settings)
    if not ids or len(found) < len(ids):
        return None
    return _collect(list(found.values()), settings, dataset, 0)


def _count(
    identifier: str,
    truth: MaskArray,
    predicted: Prediction,
    *,
    classes: Classes,
    settings: CurveSettings,
) -> _PairCounts:
    """Sharpen, snap and score one prediction with every amount and method."""
    del identifier
    count = len(classes)
    soft, unknown = predicted.soft, ~predicted.valid
    shape = (len(settings.methods), len(settings.amounts))
    confusions = np.zeros((*shape, count, count), np.int64)
    borders = np.zeros(shape)
    for column, amount in enumerate(settings.amounts):
        for row, method in enumerate(settings.methods):
            if amount == 0 and row > 0:  # no method changes anything
                confusions[row, column] = confusions[0, column]
                borders[row, column] = borders[0, column]
                continue
            sharp = sharpen(soft, amount, method=method, radius=settings.radius)
            mask = snap_to_classes(sharp, classes)
            mask[unknown] = NO_DATA
            confusions[row, column] = metrics.confusion_matrix(truth, mask, count)
            borders[row, column] = metrics.boundary_f1(truth, mask, count)
    return _PairCounts(
        confusions,
        borders,
        metrics.confusion_matrix(truth, predicted.classes, count),
        metrics.boundary_f1(truth, predicted.classes, count),
    )


def _collect(
    counts: Sequence[_PairCounts],
    settings: CurveSettings,
    dataset: Dataset,
    skipped: int,
) -> SharpeningCurve:
    """Add the pairs up: one confusion matrix over all, the mean of the borders."""
    if not counts:
        raise DatasetError(
            "none of the pairs can be read, so there is nothing to score. Open the "
            "data set again to see why.",
            file=dataset.name,
        )
    confusions = np.sum([item.confusions for item in counts], axis=0)
    borders = np.stack([item.boundary_f1 for item in counts])
    plain = np.array([item.plain_boundary_f1 for item in counts])
    rows, columns = borders.shape[1:]
    return SharpeningCurve(
        amounts=settings.amounts,
        methods=settings.methods,
        radius=settings.radius,
        miou=tuple(
            tuple(metrics.miou(confusions[row, column]) for column in range(columns))
            for row in range(rows)
        ),
        boundary_f1=tuple(
            tuple(_mean(borders[:, row, column]) for column in range(columns))
            for row in range(rows)
        ),
        plain_miou=metrics.miou(
            np.asarray(sum(item.plain_confusion for item in counts), np.int64)
        ),
        plain_boundary_f1=_mean(plain),
        images=len(counts),
        skipped=skipped,
    )


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _stored(
    store: PredictionStore, ids: Sequence[str], settings: CurveSettings
) -> dict[str, _PairCounts]:
    """Return what is on the disk, in the order of the ids."""
    found = {name: _read(_path(store, settings, name)) for name in ids}
    return {name: counts for name, counts in found.items() if counts is not None}


def _path(store: PredictionStore, settings: CurveSettings, identifier: str) -> Path:
    """Return the file of a pair's counts."""
    facts = json.dumps({"format": _FORMAT, **asdict(settings)}, sort_keys=True)
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    return store.path(identifier, f"{_FOLDER}/{key}", "npz")


def _keep(path: Path, counts: _PairCounts) -> None:
    """Write a pair's counts, atomically."""
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        confusions=counts.confusions,
        boundary_f1=counts.boundary_f1,
        plain_confusion=counts.plain_confusion,
        plain_boundary_f1=counts.plain_boundary_f1,
    )
    files.write_bytes(path, stream.getvalue())


def _read(path: Path) -> _PairCounts | None:
    """Return a pair's counts, None where they are missing or damaged."""
    try:
        stream = io.BytesIO(path.read_bytes())
        with np.load(stream, allow_pickle=False) as stored:
            values: dict[str, Any] = {name: stored[name] for name in stored.files}
        values["plain_boundary_f1"] = float(values["plain_boundary_f1"])
        return _PairCounts(**values)
    except (OSError, ValueError, TypeError, KeyError, EOFError, *_DAMAGED):
        return None
