"""Predicting the pairs of a data set and counting what is right, pair by pair.

What `evaluation`, `gallery` and `settings` have in common: which pairs, whose
classes, in batches. TensorFlow is loaded by the first prediction.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args

import numpy as np

from terrainlib import metrics
from terrainlib.data.dataset import Dataset, LoadedPair, read_pair
from terrainlib.data.formats.imagebands import require_found
from terrainlib.data.imagery import BandChoice
from terrainlib.data.layout import Pair, Problem
from terrainlib.data.palette import NO_DATA, Classes, TerrainClass, value_text
from terrainlib.errors import ConfigError, DatasetError, ImageError, InputError
from terrainlib.mask.prediction import predict_images
from terrainlib.mask.scores.reliability import Reliability, count_reliability
from terrainlib.mask.tiles.result import Prediction
from terrainlib.rights import bound
from terrainlib.types import ByteArray, MaskArray

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

Part = Literal["all", "train", "validation"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)

_Result = TypeVar("_Result")

_CHUNK_PX: Final = 2**21
_CHUNK_PAIRS: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class PairScore:
    """What was counted on one pair.

    Attributes:
        id: The pair's id.
        confusion: (K, K) int64, rows by truth.
        boundary_f1: Agreement of the borders, NaN where nothing is scored.
        reliability: Pixels by confidence; None for a model that gives colours.
    """

    id: str
    confusion: metrics.Counts
    boundary_f1: float
    reliability: Reliability | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPair:
    """One pair, predicted and counted.

    Attributes:
        score: What was counted.
        prediction: (H, W) uint8 class indices of the model; 255 = no data.
        margins: (H, W) uint8, how sure the model is, in 255ths; None where nobody
            asked, or the model gives colours.
    """

    score: PairScore
    prediction: MaskArray
    margins: ByteArray | None = None


def pairs_of(model: "TerrainModel", dataset: Dataset, part: str) -> tuple[Pair, ...]:
    """Return the pairs of a part: all, or what the model trained or validated on.

    Raises:
        ConfigError: If there is no such part.
        InputError: If the model holds no split, or pairs of it are not in the data set,
            or heights that the model needs are missing.
    """
    if part not in PARTS:
        raise ConfigError(
            f"the split must be one of {', '.join(PARTS)}, not {part!r}. "
            "Choose one of them."
        )
    pairs = dataset.pairs if part == "all" else _of_split(model, dataset, part)
    if not pairs:
        raise DatasetError(
            "there is no usable pair of image and mask here; at least 1 is needed. "
            "Choose another folder or repair the files named as problems.",
            file=dataset.name,
        )
    without = [pair for pair in pairs if pair.height is None]
    if model.config.height and without:
        raise DatasetError(
            f"{len(without)} of {len(pairs)} pairs have no heights, for example "
            f"{without[0].id}, but the model needs them. Add the height files, or use "
            "a model for images alone.",
            file=dataset.name,
        )
    return pairs


def class_table(model: "TerrainModel", dataset: Dataset) -> MaskArray:
    """Return the model's class index for each index of the data set's masks.

    Classes are matched by name, those that nobody named by their colour. A class that
    the model lacks is no obstacle as long as no pixel is of it.

    Returns:
        (256,) uint8; 255 for what is not scored.

    Raises:
        InputError: If pixels are of a class that the model does not have.
    """
    table = np.full(256, NO_DATA, np.uint8)
    missing: list[str] = []
    for index, item in enumerate(dataset.classes):
        match = _matching(item, model.classes)
        if match is not None:
            table[index] = match
        elif any(pair.counts[index] for pair in dataset.pairs):
            missing.append(item.name)
    if missing:
        known = ", ".join(other.name for other in model.classes)
        one = len(missing) == 1
        raise InputError(
            f"its {'class' if one else 'classes'} {', '.join(missing)} "
            f"{'is' if one else 'are'} none of the model's ({known}), so the masks "
            "cannot be compared. Use a model trained on these classes, or name the "
            "classes alike: in classes.json, or the model's on the Models page.",
            file=dataset.name,
        )
    return table


def read_truth(
    pair: Pair,
    dataset: Dataset,
    table: MaskArray,
    *,
    bands: BandChoice | Literal["own"] = "own",
) -> LoadedPair:
    """Return a pair's pixels with the mask in the model's class indices.

    Args:
        pair: The pair.
        dataset: Its data set.
        table: From `class_table`.
        bands: As for `read_pair`.

    Raises:
        ImageError: If a file was changed since the data set was opened.
    """
    loaded = read_pair(dataset, pair, bands=bands)
    return LoadedPair(loaded.image, table[loaded.mask], loaded.height)


def score_pairs(
    model: "TerrainModel",
    dataset: Dataset,
    pairs: Iterable[Pair],
    *,
    margins: bool = False,
) -> Iterator[list[ScoredPair | Problem]]:
    """Predict and count pairs, a chunk at a time.

    Args:
        model: The model.
        dataset: The data set of the pairs.
        pairs: What to score.
        margins: Whether to tell how sure the model is of each pixel.

    Yields:
        The results of some pairs, in their order; a `Problem` for a pair whose files
        cannot be read any more.

    Raises:
        InputError: If the classes of model and data set do not match.
    """
    work = partial(_score, model=model, margins=margins)
    return predict_pairs(model, dataset, pairs, work)


def predict_pairs(
    model: "TerrainModel",
    dataset: Dataset,
    pairs: Iterable[Pair],
    work: Callable[[str, MaskArray, Prediction], _Result],
) -> Iterator[list[_Result | Problem]]:
    """Predict pairs and do something with each prediction, a chunk at a time.

    Args:
        model: The model.
        dataset: The data set of the pairs.
        pairs: What to predict.
        work: Called with the id of a pair, its true mask in the model's classes, (H, W)
            uint8, and what was predicted; from several threads at once.

    Yields:
        What `work` returned for some pairs, in their order; a `Problem` for a pair
        whose files cannot be read any more.

    Raises:
        InputError: If the classes of model and data set do not match, or most images
            lack the model's bands.
    """
    table = class_table(model, dataset)
    bands = model.bands()
    require_found(dataset.bands, bands, dataset.name)
    read = bound(partial(_read_or_problem, dataset=dataset, table=table, bands=bands))

    def done(item: LoadedPair | Problem, given: tuple[Any, ...]) -> _Result | Problem:
        return item if isinstance(item, Problem) else work(*given)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for chunk in _chunks(pairs):
            loaded = list(pool.map(read, chunk))
            ready = [item for item in loaded if isinstance(item, LoadedPair)]
            predictions = predict_images(
                model, [item.image for item in ready], [item.height for item in ready]
            )
            made = iter(predictions)
            given = [
                () if isinstance(item, Problem) else (pair.id, item.mask, next(made))
                for pair, item in zip(chunk, loaded, strict=True)
            ]
            yield list(pool.map(done, loaded, given))


def _of_split(model: "TerrainModel", dataset: Dataset, part: str) -> tuple[Pair, ...]:
    split = model.record.split
    wanted = set((split or {}).get(part) or ())
    if not wanted:
        raise InputError(
            f"it does not say which pairs are its {part} part. Use the split 'all', or "
            "a model trained by this program.",
            file=model.name,
        )
    pairs = tuple(pair for pair in dataset.pairs if pair.id in wanted)
    missing = sorted(wanted - {pair.id for pair in pairs})
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(wanted)} {part} pairs of the model are not "
            f"among its usable pairs, for example {missing[0]}. Use the data the model "
            "was trained with, or the split 'all'.",
            file=dataset.name,
        )
    return pairs


def _matching(wanted: TerrainClass, classes: Classes) -> int | None:
    """Return the index of the class of that name, or of the colour that is its name."""
    names = [item.name.casefold() for item in classes]
    if wanted.name.casefold() in names:
        return names.index(wanted.name.casefold())
    colors = [item.color for item in classes]
    unnamed = wanted.name == value_text(wanted.color)
    return colors.index(wanted.color) if unnamed and wanted.color in colors else None


def _chunks(pairs: Iterable[Pair]) -> Iterator[Sequence[Pair]]:
    chunk: list[Pair] = []
    pixels = 0
    for pair in pairs:
        size = pair.size[0] * pair.size[1]
        if chunk and (pixels + size > _CHUNK_PX or len(chunk) == _CHUNK_PAIRS):
            yield chunk
            chunk, pixels = [], 0
        chunk.append(pair)
        pixels += size
    if chunk:
        yield chunk


def _read_or_problem(
    pair: Pair, *, dataset: Dataset, table: MaskArray, bands: BandChoice
) -> LoadedPair | Problem:
    try:
        return read_truth(pair, dataset, table, bands=bands)
    except ImageError as error:
        return Problem(error.file or pair.image.name, error.message)


def _score(
    identifier: str,
    truth: MaskArray,
    predicted: Prediction,
    *,
    model: "TerrainModel",
    margins: bool,
) -> ScoredPair:
    """Count one pair: its id, its true mask and what was predicted."""
    mask, confidence = predicted.most_probable()
    count = len(model.classes)
    colors = model.config.output == "colors"  # which are sure of nothing and all
    score = PairScore(
        id=identifier,
        confusion=metrics.confusion_matrix(truth, mask, count),
        boundary_f1=metrics.boundary_f1(truth, mask, count),
        reliability=None if colors else count_reliability(truth, mask, confidence),
    )
    asked = margins and not colors
    return ScoredPair(
        score, mask, predicted.classes_and_margins()[1] if asked else None
    )
