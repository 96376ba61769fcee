"""The pixel classifier: it knows no shapes, is fitted in seconds and never saved.

A U-Net deserves its place where it is clearly ahead of this. Each pixel is described by
its bands (and height), and by blur and local spread around it at three scales;
boosted trees on histograms name its class. Files of such a classifier are pickles,
which run code when they are opened: it is therefore fitted again from its data.
scikit-learn is loaded when a classifier is fitted, no TensorFlow at all.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data.cache import PairCache
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import DatasetError, InputError, StoppedError
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import TerrainModel
from terrainlib.model.record import PIXEL_CLASSIFIER_NAME, ModelRecord, class_list
from terrainlib.types import FloatArray, ShouldStop

COLOR_WINDOWS_PX: Final = (3, 7, 15)
HEIGHT_WINDOWS_PX: Final = (5, 13, 33)


def reach_px(*, use_height: bool) -> int:
    """Return how far in px a pixel's features look in each direction."""
    windows = COLOR_WINDOWS_PX + (HEIGHT_WINDOWS_PX if use_height else ())
    return max(windows) // 2


def classifier_input(
    bands: FloatArray, height: FloatArray | None, *, use_height: bool
) -> FloatArray:
    """Return what a pixel classifier is fed: bands, and metres as they are.

    Args:
        bands: (..., H, W, B) float32 in [0, 1].
        height: (..., H, W) float32 in metres, NaN where there is none.
        use_height: Whether the classifier was fitted with heights.

    Returns:
        (..., H, W, B) float32, or (..., H, W, B + 1) with heights.

    Raises:
        InputError: If heights are needed and `height` is None.
    """
    if not use_height:
        return np.asarray(bands, np.float32)
    if height is None:
        raise InputError(
            "the pixel classifier was asked to use heights, and there are none. Give "
            "pairs that all have a height file, or leave the heights out."
        )
    return np.concatenate([bands, height[..., None]], axis=-1, dtype=np.float32)


def pixel_features(pixels: FloatArray, *, use_height: bool) -> FloatArray:
    """Return what each pixel is judged by.

    Bands count in steps of 1/255 and heights in whole metres: sums over windows are
    then whole numbers and exact, so that a tile gives what the whole image gives.

    Args:
        pixels: (H, W, B) float32, bands in [0, 1], or (H, W, B + 1) with metres behind,
            NaN where there is no height.
        use_height: Whether there are heights.

    Returns:
        (H, W, 7 B) float32, or 7 more with heights: the bands, then their means and
        standard deviations in each window of `COLOR_WINDOWS_PX`, mirrored at the
        border; then the same of the heights with `HEIGHT_WINDOWS_PX`.
    """
    bands = pixels.shape[-1] - use_height
    values = pixels.astype(np.float64)
    values[..., :bands] *= 255
    values = np.rint(values)
    features = _described(values[..., :bands], COLOR_WINDOWS_PX)
    if use_height:
        features += _described(values[..., bands:], HEIGHT_WINDOWS_PX)
    return np.concatenate(features, axis=-1, dtype=np.float32)


def _described(
    values: NDArray[np.float64], windows: tuple[int, ...]
) -> list[NDArray[np.float64]]:
    """Return channels, and mean and spread of them in each window, (H, W, C) each."""
    known = np.isfinite(values)
    whole = bool(known.all())
    filled = np.where(known, values, 0.0)
    features = [values]
    for window in windows:
        weights = None if whole else known.astype(np.float64)
        features += _mean_and_spread(filled, weights, window)
    return features


def _mean_and_spread(
    values: NDArray[np.float64], weights: NDArray[np.float64] | None, window: int
) -> list[NDArray[np.float64]]:
    """Return mean and deviation around each pixel, (H, W, C); NaN of nothing known."""
    count: Any = float(window**2)
    if weights is not None:
        count = _sums(weights, window)
        count[count == 0] = np.nan
    mean = _sums(values, window) / count
    variance = _sums(values * values, window) / count - mean * mean
    return [mean, np.sqrt(np.maximum(variance, 0))]


def _sums(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the sums over square windows, (H, W, C); exact for whole numbers."""
    size = (window, window)
    sums = cv2.boxFilter(
        values, cv2.CV_64F, size, normalize=False, borderType=cv2.BORDER_REFLECT_101
    )
    return np.asarray(sums, np.float64).reshape(values.shape)


FIT_VERSION: Final = 4  # of features and fit; a change makes older scores void

_SAMPLES: Final = 50_000  # with four times as many the score moves by 0.002
_MAX_READ_PX: Final = 2**26  # of the training images, so that large sets fit in time
_TREES: Final = 30
_LEARNING_RATE: Final = 0.2
_LEAF_SHARE: Final = 1e-3  # of the pixels; fewer in a leaf learn single places by heart
_MIN_LEAF: Final = 20
_LEAF_PENALTY: Final = 10.0
_ROWS: Final = 2**16


class Classifier(ABC):
    """What is fed bands and metres in place of a network.

    Attributes:
        digest: Names what it learnt.
    """

    __slots__ = ()
    digest: str

    @abstractmethod
    def __call__(self, batch: FloatArray) -> FloatArray:
        """Return class probabilities (N, H, W, K) of (N, H, W, C), both float32."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PixelClassifier(Classifier):
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
            batch: (N, H, W, B) float32 in [0, 1], or (N, H, W, B + 1) with metres.

        Returns:
            (N, H, W, K) float32, summing to 1 along K.
        """
        with _one_thread(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return np.stack(list(pool.map(self._predict, batch)))

    def _predict(self, pixels: FloatArray) -> FloatArray:
        """Return the probabilities of one image, some rows of features at a time."""
        features = pixel_features(pixels, use_height=self.height)
        flat = features.reshape(-1, features.shape[-1])
        result = np.zeros((len(flat), self.classes), np.float32)
        seen = np.asarray(self.trees.classes_, np.intp)
        for start in range(0, len(flat), _ROWS):
            rows = slice(start, start + _ROWS)
            result[rows, seen] = self.trees.predict_proba(flat[rows])
        return result.reshape(*pixels.shape[:2], self.classes)


def fit_pixel_classifier(
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
        should_stop: Asked between images.

    Returns:
        A model that predicts and is judged like any other; it has no file.

    Raises:
        InputError: If heights are asked for and pairs have none.
        DatasetError: If the masks show fewer than two classes.
        StoppedError: If `should_stop` said so.
    """
    features, labels = _sample(train, height, seed, should_stop)
    if len(np.unique(labels)) < 2:
        raise DatasetError(
            "the masks of the training pairs show fewer than 2 classes, so there is "
            "nothing to tell apart. Add pairs with other classes."
        )
    digest = hashlib.sha256(f"{FIT_VERSION} {seed}".encode())
    digest.update(features.tobytes())
    digest.update(labels.tobytes())
    network = PixelClassifier(
        trees=_fit(features, labels, seed),
        classes=len(classes),
        height=height,
        digest=digest.hexdigest(),
    )
    return _as_model(network, train, classes)


def _as_model(
    network: PixelClassifier, train: PairCache, classes: Classes
) -> TerrainModel:
    """Return a classifier as a model; its configuration stands for input and output."""
    side = train.side
    config = UNetConfig(
        image_size=max(16, side + side % 2),
        filters=(1, 1),  # the smallest: sizes are padded to multiples of 2 only
        stem_stride=1,
        classes=len(classes),
        bands=train.images[0].shape[2],
        height=network.height,
    )
    record = ModelRecord(
        config=config.to_dict(),
        classes=class_list(classes),
        name=PIXEL_CLASSIFIER_NAME,
        bands=None if train.bands is None else train.bands.to_dict(),
        scale=train.scale,
        receptive_field=reach_px(use_height=network.height),
    )
    return TerrainModel(
        network, classes, config, train.scale, record, PIXEL_CLASSIFIER_NAME
    )


def _sample(
    train: PairCache, height: bool, seed: int, should_stop: ShouldStop | None
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Return features (M, F) and classes (M,) of pixels, as many of each image."""
    rng = np.random.default_rng(seed)
    count = len(train.ids)
    area = sum(mask.size for mask in train.masks) / count
    chosen = min(count, max(1, int(_MAX_READ_PX / area)))
    rows = np.sort(rng.permutation(count)[:chosen])
    share = -(-_SAMPLES // chosen)
    features, labels = [], []
    for row in rows:
        if should_stop is not None and should_stop():
            raise StoppedError("stopped while the pixel classifier learnt, as asked.")
        bands = train.images[row].astype(np.float32) / 255
        heights = None if train.heights is None else train.heights[row]
        pixels = classifier_input(bands, heights, use_height=height)
        mask = train.masks[row].ravel()
        places = np.flatnonzero(mask != NO_DATA)
        places = rng.choice(places, min(share, len(places)), replace=False)
        table = pixel_features(pixels, use_height=height)
        features.append(table.reshape(-1, table.shape[-1])[places])
        labels.append(mask[places])
    return np.concatenate(features), np.concatenate(labels)


def _fit(features: FloatArray, labels: NDArray[np.uint8], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        learning_rate=_LEARNING_RATE,
        max_iter=_TREES,
        min_samples_leaf=max(_MIN_LEAF, round(_LEAF_SHARE * len(labels))),
        l2_regularization=_LEAF_PENALTY,
        early_stopping=False,
        random_state=seed,
    )
    with _one_thread():
        return trees.fit(features, labels)


def _one_thread() -> Any:
    """Return a block with one thread: on a busy machine many wait for each other."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="openmp")
