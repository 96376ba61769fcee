"""The pairs that the benchmarks learn from. No TensorFlow, no PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrainlib import metrics
from terrainlib.data.cache import PairCache, build_cache
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.sample import open_sample
from terrainlib.model.config import TrainingConfig
from terrainlib.model.forward import network_input


def sample_pairs(config: TrainingConfig, count: int | None = None) -> PairCache:
    """Return the sample's pairs at the size that a training works at.

    Args:
        config: The training.
        count: How many of them; None for all.
    """
    pairs = build_cache(open_sample(), config.network.image_size)
    return pairs if count is None else pairs.subset(pairs.ids[:count])


def float_arrays(
    cache: PairCache, config: TrainingConfig
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the inputs (N, S, S, C) float32 and masks (N, S, S) uint8 in memory.

    The sample's images are squares of one size.
    """
    rgb = np.asarray(cache.images, np.float32) / np.float32(255)
    heights = None if cache.heights is None else np.stack(cache.heights)
    inputs = network_input(rgb, heights, config.network)
    return np.ascontiguousarray(inputs), np.array(cache.masks)


def config_of(options: dict[str, Any]) -> TrainingConfig:
    """Return the training that a worker was told, from its JSON form."""
    return TrainingConfig.from_dict(options["config"])


def dataset_of(options: dict[str, Any]) -> Dataset:
    """Return the data set that a worker was told: `data`, or the embedded sample."""
    folder = options.get("data")
    return open_sample() if folder is None else open_dataset(Path(folder))


def split_pairs(
    options: dict[str, Any], config: TrainingConfig
) -> tuple[PairCache, PairCache]:
    """Return the training and validation pairs of the split that a worker was told."""
    split = options["split"]
    pairs = build_cache(dataset_of(options), config.network.image_size)
    return pairs.subset(split["train"]), pairs.subset(split["validation"])


def watched_pairs(options: dict[str, Any], config: TrainingConfig) -> PairCache | None:
    """Return the pairs that a training looks at in place of those it is scored on."""
    watched = options["split"].get("watched")
    if not watched:
        return None
    return build_cache(dataset_of(options), config.network.image_size).subset(watched)


def miou_of(
    masks: NDArray[np.uint8], predicted: NDArray[Any], classes: int
) -> tuple[float, list[float | None]]:
    """Return the mIoU over the classes that occur, and the IoU of each class."""
    confusion = metrics.confusion_matrix(masks, predicted.astype(np.uint8), classes)
    return metrics.miou(confusion), iou_list(confusion)


def iou_list(confusion: NDArray[np.int64]) -> list[float | None]:
    """Return the IoU of each class; None where it does not occur."""
    return [metrics.none_if_nan(value) for value in metrics.iou(confusion)]
