"""The yardstick: a classifier of single pixels, fitted in seconds and never saved.

A U-Net deserves its place where it is clearly ahead of this. Each pixel is described by
its colour (and height), and by blur and local spread around it at three scales;
boosted trees on histograms name its class. Files of such a classifier are pickles,
which run code when they are opened: it is therefore fitted again from its data.
scikit-learn is loaded when a classifier is fitted, no TensorFlow at all.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.cache import PairCache
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import DatasetError, StoppedError
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import TerrainModel
from terrainlib.model.pixelfeatures import (
    classifier_input,
    pixel_features,
    reach_px,
)
from terrainlib.model.record import ModelRecord, class_list

__all__ = [
    "BASELINE_NAME",
    "BASELINE_VERSION",
    "PixelClassifier",
    "classifier_input",
    "fit_baseline",
    "pixel_features",
]

FloatArray = NDArray[np.float32]
ShouldStop = Callable[[], bool]

BASELINE_NAME: Final = "Pixel classifier"
BASELINE_VERSION: Final = 2  # of features and fit; a change makes older scores void

_SAMPLES: Final = 200_000
_MAX_READ_PX: Final = 2**26  # of the training images, so that large sets fit in time
_TREES: Final = 60
_ROUND_TREES: Final = 20
_LEARNING_RATE: Final = 0.1
_LEAF_SHARE: Final = 1e-3  # of the pixels; fewer in a leaf learn single places by heart
_MIN_LEAF: Final = 20
_LEAF_PENALTY: Final = 10.0
_ROWS: Final = 2**16


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PixelClassifier:
    """What stands in a `TerrainModel` in place of a network.

    Attributes:
        trees: The fitted classifier of scikit-learn.
        classes: Number of classes K.
        height: Whether it needs heights.
        digest: Names the data and options it was fitted with.
    """

    trees: Any = field(repr=False)
    classes: int
    height: bool
    digest: str

    def __call__(self, batch: FloatArray) -> FloatArray:
        """Return the class probabilities of a batch.

        Args:
            batch: (N, H, W, 3) float32 RGB in [0, 1], or (N, H, W, 4) with metres.

        Returns:
            (N, H, W, K) float32, summing to 1 along K.
        """
        return np.stack([self._predict(pixels) for pixels in batch])

    def _predict(self, pixels: FloatArray) -> FloatArray:
        """Return the probabilities of one image, some rows of features at a time."""
        features = pixel_features(pixels)
        flat = features.reshape(-1, features.shape[-1])
        result = np.zeros((len(flat), self.classes), np.float32)
        seen = np.asarray(self.trees.classes_, np.intp)
        with _one_thread():
            for start in range(0, len(flat), _ROWS):
                rows = slice(start, start + _ROWS)
                result[rows, seen] = self.trees.predict_proba(flat[rows])
        return result.reshape(*pixels.shape[:2], self.classes)


def fit_baseline(
    train: PairCache,
    classes: Classes,
    *,
    height: bool = False,
    seed: int = 0,
    should_stop: ShouldStop | None = None,
) -> TerrainModel:
    """Fit the pixel classifier; the same data and seed give the same one.

    Args:
        train: The training pairs at the working size.
        classes: The K classes of their masks.
        height: Use the heights too.
        seed: Seed of the choice of pixels.
        should_stop: Asked between images and every 20 trees of a class.

    Returns:
        A model that predicts and is judged like any other; it has no file.

    Raises:
        InputError: If heights are asked for and pairs have none.
        DatasetError: If the masks show fewer than two classes.
        StoppedError: If `should_stop` said so.
    """
    watch = _Watch(should_stop)
    features, labels = _sample(train, height, seed, watch)
    if len(np.unique(labels)) < 2:
        raise DatasetError(
            "the masks of the training pairs show fewer than 2 classes, so there is "
            "nothing to tell apart. Add pairs with other classes."
        )
    digest = hashlib.sha256(f"{BASELINE_VERSION} {seed}".encode())
    digest.update(features.tobytes())
    digest.update(labels.tobytes())
    network = PixelClassifier(
        trees=_fit(features, labels, seed, watch),
        classes=len(classes),
        height=height,
        digest=digest.hexdigest(),
    )
    return _as_model(network, train, classes)


def _as_model(
    network: PixelClassifier, train: PairCache, classes: Classes
) -> TerrainModel:
    """Return a classifier as a model; its configuration stands for input and output."""
    side = train.images.shape[1]
    config = UNetConfig(
        image_size=max(16, side + side % 2),
        filters=(1, 1),  # the smallest: sizes are padded to multiples of 2 only
        stem_stride=1,
        classes=len(classes),
        height=network.height,
    )
    record = ModelRecord(
        config=config.to_dict(),
        classes=class_list(classes),
        name=BASELINE_NAME,
        scale=train.scale,
        receptive_field=reach_px(use_height=network.height),
    )
    return TerrainModel(network, classes, config, train.scale, record, BASELINE_NAME)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Who may end the fit early, if anybody."""

    should_stop: ShouldStop | None

    def check(self) -> None:
        if self.should_stop is not None and self.should_stop():
            raise StoppedError("stopped while the pixel classifier learnt, as asked.")


def _sample(
    train: PairCache, height: bool, seed: int, watch: _Watch
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Return features (M, F) and classes (M,) of pixels, as many of each image."""
    rng = np.random.default_rng(seed)
    count, side = train.masks.shape[:2]
    chosen = min(count, max(1, _MAX_READ_PX // side**2))
    rows = np.sort(rng.permutation(count)[:chosen])
    share = -(-_SAMPLES // chosen)
    features, labels = [], []
    for row in rows:
        watch.check()
        rgb = train.images[row].astype(np.float32) / 255
        heights = None if train.heights is None else train.heights[row]
        pixels = classifier_input(rgb, heights, use_height=height)
        mask = train.masks[row].ravel()
        places = np.flatnonzero(mask != NO_DATA)
        places = rng.choice(places, min(share, len(places)), replace=False)
        table = pixel_features(pixels)
        features.append(table.reshape(-1, table.shape[-1])[places])
        labels.append(mask[places])
    return np.concatenate(features), np.concatenate(labels)


def _fit(
    features: FloatArray, labels: NDArray[np.uint8], seed: int, watch: _Watch
) -> Any:
    """Fit the trees, some at a time, so that it can be stopped in between."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        learning_rate=_LEARNING_RATE,
        min_samples_leaf=max(_MIN_LEAF, round(_LEAF_SHARE * len(labels))),
        l2_regularization=_LEAF_PENALTY,
        early_stopping=False,
        warm_start=True,
        random_state=seed,
    )
    with _one_thread():
        for number in range(_ROUND_TREES, _TREES + 1, _ROUND_TREES):
            watch.check()
            trees.set_params(max_iter=number).fit(features, labels)
    return trees


def _one_thread() -> Any:
    """Return a block in which the trees keep to one thread.

    Their work comes in thousands of tiny pieces: threads that wait for each other while
    a training has the processor make it ten times slower.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="openmp")
