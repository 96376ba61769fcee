"""Settings against scores: what sharpening and cleaning do where the truth is known.

Every setting makes a class mask of a prediction: of the soft mask, sharpened, each
pixel with the class of the nearest colour; or of the class mask, cleaned. It is scored
as the gallery scores masks. What was counted on a pair is kept beside the predictions,
so that work that was cut off goes on where it ended. TensorFlow is loaded only where a
pair remains to be predicted.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from terrainlib import files, metrics
from terrainlib.data.dataset import Dataset
from terrainlib.data.layout import Problem
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import DatasetError
from terrainlib.mask.cleaning import ALL_STEPS, STEPS, PostProcessing
from terrainlib.mask.scores.gallery import PredictionStore, open_store
from terrainlib.mask.scores.scoring import predict_pairs
from terrainlib.mask.sharpen import Method, sharpen
from terrainlib.mask.tiles.result import Prediction, snap_to_classes
from terrainlib.metrics import decimal
from terrainlib.types import MaskArray

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

Kind = Literal["sharpening", "cleaning"]
Score = Literal["miou", "boundary_f1"]
SCORE_NAMES: Final[dict[Score, str]] = {  # those that a mask is made for
    kind.key: kind.label  # type: ignore[misc] # one of the two
    for kind in metrics.SCORES
    if kind.key in get_args(Score)
}
SHARPENINGS: Final[dict[str, Method]] = {
    "Laplacian": "laplacian",
    "Unsharp mask": "unsharp",
}
CLEANINGS: Final = (*(step.label for step in STEPS), ALL_STEPS)
AMOUNTS: Final[dict[Kind, tuple[float, ...]]] = {
    "sharpening": tuple(round(0.2 * step, 1) for step in range(16)),
    "cleaning": (0, 3, 5, 7, 9, 11, 15),
}
WORTH_NAMING: Final = 0.001

_FOLDER: Final = "settings"
_FORMAT: Final = 2
_DAMAGED: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to make a class mask.

    Attributes:
        method: One of `SHARPENINGS` or `CLEANINGS`.
        amount: How much it is sharpened; or the width in px of the median's window and
            of squares as large as the regions and holes that go. At 0 nothing is
            cleaned.
    """

    method: str
    amount: float

    @property
    def kind(self) -> Kind:
        """What it changes: the soft mask or the class mask."""
        return "sharpening" if self.method in SHARPENINGS else "cleaning"

    @property
    def cleaning(self) -> PostProcessing:
        """How it cleans, if it is of that kind."""
        width = int(self.amount)
        return PostProcessing(
            **{
                step.field: step.size_of_width(width)
                for step in STEPS
                if self.method in (step.label, ALL_STEPS)
            }
        )

    @property
    def text(self) -> str:
        """What to set in the studio, such as `Laplacian at 0.4`."""
        if self.kind == "sharpening":
            return f"{self.method} at {self.amount:g}"
        sizes = [(step.label, step.size(self.cleaning)) for step in STEPS]
        return ", ".join(f"{name} {size} px" for name, size in sizes if size) or "none"

    def mask(self, predicted: Prediction, classes: Classes) -> MaskArray:
        """Return the class mask that it makes, (H, W) uint8; 255 = no data."""
        if self.kind == "cleaning":
            return self.cleaning.apply(predicted.classes)
        method = SHARPENINGS[self.method]
        mask = snap_to_classes(
            sharpen(predicted.soft, self.amount, method=method), classes
        )
        mask[~predicted.valid] = NO_DATA
        return mask


AS_IT_IS: Final = Setting("Median", 0)
SETTINGS: Final = tuple(
    Setting(method, amount)
    for kind, methods in (("sharpening", SHARPENINGS), ("cleaning", CLEANINGS))
    for method in methods
    for amount in AMOUNTS[kind]  # type: ignore[index] # both are kinds
)


@dataclass(frozen=True, slots=True)
class SettingScores:
    """Scores of the class masks that some settings make.

    Attributes:
        settings: The settings.
        miou: For each: mIoU of all images together; NaN for nothing to score.
        boundary_f1: For each: mean boundary F1; NaN for nothing to score.
        as_it_is: Both scores of the class mask itself, the most probable classes.
        images: How many images were scored.
    """

    settings: tuple[Setting, ...]
    miou: tuple[float, ...]
    boundary_f1: tuple[float, ...]
    as_it_is: tuple[float, float]
    images: int

    def values(self, score: Score) -> tuple[float, ...]:
        """Return a score of each setting."""
        return self.miou if score == "miou" else self.boundary_f1

    def plain(self, score: Score) -> float:
        """Return a score of the class mask itself."""
        return self.as_it_is[0 if score == "miou" else 1]

    def best(self, score: Score) -> int | None:
        """Return the place of the best setting, of equal ones the first; None for none.

        A gain of less than 0.001 over the class mask itself counts as none.
        """
        gains = np.array(self.values(score)) - self.plain(score)
        if np.isnan(gains).all() or np.nanmax(gains) < WORTH_NAMING:
            return None
        return int(np.nanargmax(gains))

    def answer(self, score: Score) -> str:
        """Return in a sentence whether one of the settings helps."""
        plain, best, name = self.plain(score), self.best(score), SCORE_NAMES[score]
        if np.isnan(plain):
            return "Nothing to score."
        if best is None:
            return (
                f"No: no sharpening and no cleaning tried here lifts the {name} above "
                f"{decimal(plain)}, that of the class masks as they are."
            )
        value = self.values(score)[best]
        rise = f"rises from {decimal(plain)} to {decimal(value)}"
        text = f"Yes: with {self.settings[best].text} the {name} {rise}"
        other: Score = "boundary_f1" if score == "miou" else "miou"
        if np.isnan(self.plain(other)):
            return f"{text}."
        return (
            f"{text}; the {SCORE_NAMES[other]} goes from "
            f"{decimal(self.plain(other))} to {decimal(self.values(other)[best])}."
        )


class _PairCounts(NamedTuple):
    """What was counted on one pair: on the class mask itself, then on each setting's.

    Attributes:
        confusions: (1 + S, K, K) int64, rows by truth.
        boundary_f1: (1 + S,) float64, NaN where nothing is scored.
    """

    confusions: NDArray[np.int64]
    boundary_f1: NDArray[np.float64]


def score_settings(
    model: "TerrainModel",
    dataset: Dataset,
    ids: Sequence[str],
    *,
    settings: Sequence[Setting] = SETTINGS,
    progress: Callable[[int, int], None] | None = None,
) -> SettingScores:
    """Score the class masks that some settings make of labelled pairs.

    Raises:
        InputError: If the data set does not fit the model, or has no such pair.
        StorageError: If the disk is full, read-only or failing.
    """
    store = open_store(model, dataset)
    found = _stored(store, ids, settings)
    missing = [dataset.pair(name) for name in ids if name not in found]
    done = len(found)
    count = partial(_count, classes=model.classes, settings=settings)
    if progress is not None:
        progress(done, len(ids))
    for chunk in predict_pairs(model, dataset, tuple(missing), count):
        for pair, result in zip(missing[: len(chunk)], chunk, strict=True):
            if not isinstance(result, Problem):
                _keep(_path(store, settings, pair.id), result)
                found[pair.id] = result
        del missing[: len(chunk)]
        done += len(chunk)
        if progress is not None:
            progress(done, len(ids))
    if not found:
        raise DatasetError(
            "none of the pairs can be read, so there is nothing to score. Open the "
            "data set again to see why.",
            file=dataset.name,
        )
    return _collect([found[name] for name in ids if name in found], settings)


def stored_scores(
    model: "TerrainModel",
    dataset: Dataset,
    ids: Sequence[str],
    settings: Sequence[Setting] = SETTINGS,
) -> SettingScores | None:
    """Return scores that are on the disk as a whole, else None."""
    found = _stored(open_store(model, dataset), ids, settings)
    if not ids or len(found) < len(ids):
        return None
    return _collect(list(found.values()), settings)


def _count(
    identifier: str,
    truth: MaskArray,
    predicted: Prediction,
    *,
    classes: Classes,
    settings: Sequence[Setting],
) -> _PairCounts:
    """Score what each setting makes of one prediction; equal masks are counted once."""
    del identifier
    known: dict[bytes, tuple[metrics.Counts, float]] = {}
    counts = []
    for setting in (AS_IT_IS, *settings):
        mask = setting.mask(predicted, classes)
        digest = hashlib.sha256(mask.tobytes()).digest()
        if digest not in known:
            known[digest] = (
                metrics.confusion_matrix(truth, mask, len(classes)),
                metrics.boundary_f1(truth, mask, len(classes)),
            )
        counts.append(known[digest])
    confusions, borders = zip(*counts, strict=True)
    return _PairCounts(np.stack(confusions), np.array(borders))


def _collect(
    counts: Sequence[_PairCounts], settings: Sequence[Setting]
) -> SettingScores:
    """Add the pairs up: one confusion matrix over all, the mean of the borders."""
    confusions = np.sum([item.confusions for item in counts], axis=0)
    mious = [metrics.miou(confusion) for confusion in confusions]
    each = np.stack([item.boundary_f1 for item in counts], axis=1)
    borders = [metrics.mean_of_known(one) for one in each]
    return SettingScores(
        tuple(settings),
        tuple(mious[1:]),
        tuple(borders[1:]),
        (mious[0], borders[0]),
        len(counts),
    )


def _stored(
    store: PredictionStore, ids: Sequence[str], settings: Sequence[Setting]
) -> dict[str, _PairCounts]:
    found = {name: _read(_path(store, settings, name)) for name in ids}
    return {name: counts for name, counts in found.items() if counts is not None}


def _path(store: PredictionStore, settings: Sequence[Setting], identifier: str) -> Path:
    facts = json.dumps([_FORMAT, *map(astuple, settings)])
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    return store.path(identifier, f"{_FOLDER}/{key}", "npz")


def _keep(path: Path, counts: _PairCounts) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, **counts._asdict())
    files.write_bytes(path, stream.getvalue())


def _read(path: Path) -> _PairCounts | None:
    """Return a pair's counts, None where they are missing or damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return _PairCounts(*(stored[name] for name in _PairCounts._fields))
    except (*_DAMAGED, zlib.error):
        return None
