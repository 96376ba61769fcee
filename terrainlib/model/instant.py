"""The instant classifier: a linear model that learns from a few strokes at once.

It describes a pixel as the pixel classifier does, and by what an embedded network takes
it for, where that reads the same bands: on imagery like the network's that is worth
more than all else, and on other imagery the weights learn to pass it over. It is kept
as plain numbers in JSON and predicts wherever a model does. scikit-learn is loaded when
it is fitted, TensorFlow where a network describes pixels. What else was tried stands in
`docs/recipe.md`.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from terrainlib import files
from terrainlib.data.formats.raster import BandSet
from terrainlib.data.palette import MAX_CLASSES, Classes
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import DatasetError, ModelFileError
from terrainlib.model.beside import model_to_run
from terrainlib.model.config import UNetConfig
from terrainlib.model.forward import network_input, run_network
from terrainlib.model.modelfile import TerrainModel, read_record
from terrainlib.model.pixelclassifier import Classifier, pixel_features, reach_px
from terrainlib.model.record import ModelRecord, class_list
from terrainlib.model.start import RGB
from terrainlib.model.tiling import exact_grid, round_up
from terrainlib.places import require_readable
from terrainlib.types import FloatArray, checked

SUFFIX: Final = ".json"
NAME: Final = "Instant classifier"
# By measurement, see `docs/recipe.md`: C of the logistic regression, and what features
# weigh where a network tells too.
STRENGTH: Final = 0.05
OWN_WEIGHT: Final = 0.5
BASE_WEIGHT: Final = 2.0
_STEPS: Final = 300
_SMALLEST: Final = 1e-4  # probability
_ROWS: Final = 2**15
_TILE_PX: Final = 800
_MAX_FEATURES: Final = 1024
_MAX_BYTES: Final = 2**24
_FORM: Final = "instant classifier 1"
_LEARNT: Final = ("mean", "spread", "weights", "bias")

_Number = Annotated[float, Field(allow_inf_nan=False)]
_Numbers = Annotated[list[_Number], Field(min_length=1, max_length=_MAX_FEATURES)]


@dataclass(frozen=True, slots=True, eq=False)
class Describer:
    """What a pixel is told by.

    Attributes:
        height: Whether heights are used.
        base: The network whose probabilities tell too; None without one.
    """

    height: bool
    base: TerrainModel | None = None

    @property
    def reach_px(self) -> int:
        """How far in px it looks in each direction."""
        own = reach_px(use_height=self.height)
        if self.base is None:
            return own
        return max(own, self.base.record.receptive_field)

    def __call__(self, pixels: FloatArray) -> FloatArray:
        """Return the features of an image.

        Args:
            pixels: (H, W, B) float32 in [0, 1], or (H, W, B + 1) with metres behind,
                NaN where there is no height.

        Returns:
            (H, W, F) float32: the pixel classifier's, then the logarithms of the
            network's probabilities. NaN where nothing is known.
        """
        if self.base is None:
            return pixel_features(pixels, use_height=self.height)
        with ThreadPoolExecutor(1) as beside:
            own = beside.submit(pixel_features, pixels, use_height=self.height)
            told = self._told(pixels, self.base)
        return np.concatenate([own.result(), told], axis=-1)

    def _told(self, pixels: FloatArray, base: TerrainModel) -> FloatArray:
        bands = pixels[..., : base.config.bands]
        heights = pixels[..., -1] if base.config.height else None
        fed = network_input(bands, heights, base.config)
        height, width = fed.shape[:2]
        multiple = base.config.size_multiple
        missing = [(0, round_up(side, multiple) - side) for side in (height, width)]
        fed = np.pad(fed, (*missing, (0, 0)), mode="symmetric")
        output = _by_tiles(base, fed)[:height, :width]
        return np.asarray(np.log(np.maximum(output, _SMALLEST)), np.float32)


def _by_tiles(model: TerrainModel, fed: FloatArray) -> FloatArray:
    """Return a network's output (H, W, K) for its input, in the memory of a tile."""
    grid = exact_grid(
        (fed.shape[0], fed.shape[1]),
        receptive_field=model.record.receptive_field,
        multiple=model.config.size_multiple,
        tile_size=_TILE_PX,
    )
    result = np.empty((*grid.size, len(model.classes)), np.float32)
    for rows, columns in product(grid.rows, grid.columns):
        tile = fed[rows.start : rows.stop, columns.start : columns.stop]
        output = run_network(model.network, tile[None])[0]
        inside = tuple(
            slice(span.core.start - span.start, span.core.stop - span.start)
            for span in (rows, columns)
        )
        result[rows.core, columns.core] = output[inside]
    return result


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class InstantClassifier(Classifier):
    """What stands in a `TerrainModel` in place of a network.

    Attributes:
        describe: What a pixel is told by, F features.
        mean: (F,) float32, mean of each feature over the labelled pixels.
        spread: (F,) float32, standard deviation of each.
        weights: (F, K) float32.
        bias: (K,) float32.
        digest: Names what was learnt.
    """

    describe: Describer
    mean: FloatArray = field(repr=False)
    spread: FloatArray = field(repr=False)
    weights: FloatArray = field(repr=False)
    bias: FloatArray = field(repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        base = None if self.describe.base is None else self.describe.base.name
        digest = hashlib.sha256(f"{_FORM} {base}".encode())
        for name in _LEARNT:
            digest.update(getattr(self, name).tobytes())
        object.__setattr__(self, "digest", digest.hexdigest())

    def __call__(self, batch: FloatArray) -> FloatArray:
        """Return the class probabilities of a batch.

        Args:
            batch: (N, H, W, B) float32 in [0, 1], or (N, H, W, B + 1) with metres.

        Returns:
            (N, H, W, K) float32, summing to 1 along K.
        """
        return np.stack([self._predict(pixels) for pixels in batch])

    def _predict(self, pixels: FloatArray) -> FloatArray:
        features = self.describe(pixels)
        found = self.judge(features.reshape(-1, features.shape[-1]))
        return found.reshape(*pixels.shape[:2], -1)

    def judge(self, features: FloatArray) -> FloatArray:
        """Return the class probabilities of described pixels.

        Args:
            features: (M, F) float32, of `describe`.

        Returns:
            (M, K) float32, summing to 1 along K.
        """
        weights: FloatArray = self.weights / self.spread[:, None]
        shift = self.mean.astype(np.float64) @ weights
        bias = (self.bias - shift).astype(np.float32)
        result = np.empty((len(features), len(self.bias)), np.float32)
        for start in range(0, len(features), _ROWS):
            rows = slice(start, start + _ROWS)
            part = features[rows]
            # (K, rows): reductions along the first axis are quicker.
            logits: NDArray[Any] = weights.T @ part.T
            if np.isnan(logits).any():  # nothing is known of something
                logits = weights.T @ np.where(np.isnan(part), self.mean, part).T
            logits += bias[:, None]
            logits -= logits.max(axis=0)
            np.exp(logits, out=logits)
            logits /= logits.sum(axis=0)
            result[rows] = logits.T
        return result


def _in_spreads(
    features: FloatArray, mean: FloatArray, spread: FloatArray
) -> FloatArray:
    """Return features in units of their spread; 0 where nothing is known."""
    return np.asarray(np.nan_to_num((features - mean) / spread, nan=0.0), np.float32)


def suitable_base(bands: BandSet | None, *, height: bool) -> TerrainModel | None:
    """Return the embedded model that reads the same bands; None where none does."""
    if bands is not None and bands.names != RGB:
        return None
    return _embedded("default-height" if height else "default")


@cache
def _embedded(word: str) -> TerrainModel:
    """Return an embedded model that all share: it is never trained."""
    return model_to_run(word)


def unlearnt(
    describe: Describer,
    classes: Classes,
    bands: BandSet | None,
    *,
    scale: float = 1.0,
) -> TerrainModel:
    """Return a classifier that knows nothing yet, as a model, to prepare images for.

    Args:
        describe: What a pixel will be told by.
        classes: What it will tell apart.
        bands: The bands of its images; None for red, green and blue.
        scale: Working px per image px.
    """
    empty = np.zeros(0, np.float32)
    network = InstantClassifier(describe, empty, empty, empty, empty)
    return _as_model(network, classes, bands, scale)


def fit_instant(
    model: TerrainModel,
    features: FloatArray,
    labels: NDArray[np.uint8],
    weights: FloatArray | None = None,
) -> TerrainModel:
    """Learn from labelled pixels; the same pixels give the same classifier.

    Args:
        model: What `unlearnt` gave.
        features: (M, F) float32 of the labelled pixels.
        labels: (M,) uint8 class indices.
        weights: (M,) float32, how much each counts; None counts them alike.

    Raises:
        DatasetError: If the labels show fewer than two classes.
    """
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(labels)
    if len(seen) < 2:
        raise DatasetError(
            "the labels on the image show fewer than 2 classes, so there is nothing to "
            "tell apart. Label some pixels of another class."
        )
    with np.errstate(invalid="ignore"):
        mean = np.nan_to_num(np.nanmean(features, axis=0)).astype(np.float32)
        spread = np.nan_to_num(np.nanstd(features, axis=0)).astype(np.float32)
    spread[spread == 0] = 1
    describe: Describer = model.network.describe
    if describe.base is not None:
        count = len(describe.base.classes)
        spread[:-count] /= OWN_WEIGHT
        spread[-count:] /= BASE_WEIGHT
    fitted = LogisticRegression(C=STRENGTH, max_iter=_STEPS)
    fitted.fit(_in_spreads(features, mean, spread), labels, sample_weight=weights)
    learnt = np.zeros((features.shape[1], len(model.classes)), np.float32)
    unlabelled = np.log(_SMALLEST**2)
    bias = np.full(len(model.classes), unlabelled, np.float32)
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(seen) == 2:  # scikit-learn gives one row for two classes
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    learnt[:, seen], bias[seen] = coefficients.T, intercepts
    network = InstantClassifier(describe, mean, spread, learnt, bias)
    scale = 1.0 if model.scale is None else model.scale
    return _as_model(network, model.classes, model.record.band_set(), scale)


def save_instant(model: TerrainModel, path: Path) -> None:
    """Write a classifier as plain numbers.

    Raises:
        StorageError: If the file cannot be written.
    """
    network: InstantClassifier = model.network
    base = network.describe.base
    values = {name: getattr(network, name).tolist() for name in _LEARNT}
    facts = {"form": _FORM, "base": None if base is None else base.name}
    files.write_json(path, facts | {"record": model.record.to_dict()} | values)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the file of a classifier holds."""

    form: str
    base: str | None
    record: dict[str, Any]
    mean: _Numbers
    spread: _Numbers
    weights: Annotated[
        list[Annotated[list[_Number], Field(max_length=MAX_CLASSES)]],
        Field(max_length=_MAX_FEATURES),
    ]
    bias: Annotated[list[_Number], Field(max_length=MAX_CLASSES)]


def load_any(model: str | Path) -> TerrainModel:
    """Load a model to predict with, or an instant classifier of a `.json` file.

    Raises:
        ModelFileError: If there is no such file, or it is neither.
    """
    path = Path(model)
    return load_instant(path) if path.suffix == SUFFIX else model_to_run(model)


def read_any_record(path: Path) -> ModelRecord | None:
    """Return the record of a file that `load_any` takes; None where it is none."""
    if path.suffix != SUFFIX:
        return read_record(path)
    try:
        return _read_stored(path)[1]
    except ModelFileError:
        return None


def load_instant(path: Path) -> TerrainModel:
    """Return the classifier of a file that `save_instant` wrote.

    Raises:
        ModelFileError: If it is none.
    """
    stored, record = _read_stored(path)
    base = None if stored.base is None else _embedded(stored.base)
    describe = Describer(record.unet_config().height, base)
    arrays = [np.array(getattr(stored, name), np.float32) for name in _LEARNT]
    inputs, outputs = len(arrays[0]), len(record.classes)
    shapes = [array.shape for array in arrays]
    fits = shapes == [(inputs,), (inputs,), (inputs, outputs), (outputs,)]
    if not fits or inputs != _feature_count(describe, record):
        raise _no_classifier(path)
    return TerrainModel.of(record, path, InstantClassifier(describe, *arrays))


def _read_stored(path: Path) -> tuple[_Stored, ModelRecord]:
    require_readable(path)
    try:
        stored = checked(_Stored, json.loads(files.read_bytes(path, _MAX_BYTES)))
        record = ModelRecord.from_dict(stored.record)
    except (ValueError, OSError) as error:
        raise _no_classifier(path) from error
    if stored.form != _FORM or stored.base not in (None, *EMBEDDED_MODELS):
        raise _no_classifier(path)
    return stored, record


def _feature_count(describe: Describer, record: ModelRecord) -> int:
    channels = record.unet_config().input_channels
    return int(describe(np.zeros((8, 8, channels), np.float32)).shape[-1])


def _no_classifier(path: Path) -> ModelFileError:
    return ModelFileError(
        "this is not an instant classifier that can be used here. Give the file that "
        "`label` wrote, a .keras or an .h5 file.",
        file=path.name,
    )


def _as_model(
    network: InstantClassifier, classes: Classes, bands: BandSet | None, scale: float
) -> TerrainModel:
    """Return a classifier as a model; its configuration stands for input and output."""
    base = network.describe.base
    levels = 2 if base is None else len(base.config.filters)
    config = UNetConfig(
        image_size=128,
        filters=(1,) * levels,  # sizes are padded as the network needs it
        stem_stride=1 if base is None else base.config.stem_stride,
        classes=len(classes),
        bands=3 if bands is None else len(bands.bands),
        height=network.describe.height,
    )
    record = ModelRecord(
        config=config.to_dict(),
        classes=class_list(classes),
        name=NAME,
        bands=None if bands is None else bands.to_dict(),
        scale=scale,
        receptive_field=network.describe.reach_px,
    )
    return TerrainModel(network, classes, config, scale, record, NAME)
