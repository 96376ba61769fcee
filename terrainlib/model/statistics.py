"""What the training images of a model look like, as plain numbers in its record.

Single numbers tell people (the model card); the distribution over the images tells
whether another image is like them. No TensorFlow.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA
from terrainlib.model.imagefeatures import Vector, color_shares, image_features
from terrainlib.model.looks import MIN_IMAGES, looks_of

if TYPE_CHECKING:
    from terrainlib.data.cache import PairCache

MAX_IMAGES: Final = 400
MAX_GROUPS: Final = 50
MAX_GROUPS_NUMBERS: Final = 20_000
LOOKS_KEY: Final = "looks"

Bytes = NDArray[np.uint8]


def training_statistics(train: "PairCache") -> dict[str, Any]:
    """Return what the training images look like, from 400 of them at most.

    Pixels that have no class in the mask do not count.

    Returns:
        `images` looked at; `color_mean` and `color_std`, three values each in [0, 1];
        `contrast`, the mean over the images of the spread of their brightness; and from
        8 images on `looks`, the JSON form of `Looks`.
    """
    count = len(train.ids)
    rows = np.unique(np.linspace(0, count - 1, MAX_IMAGES).astype(int))
    pairs = ((train.images[row], train.masks[row] != NO_DATA) for row in rows)
    return {"images": len(rows), **_statistics(pairs)}


def class_shares(train: "PairCache", names: Sequence[str]) -> dict[str, float]:
    """Return the share of each class among the training pixels with data, 0 to 1."""
    counts = np.bincount(np.asarray(train.masks).ravel(), minlength=256)[: len(names)]
    total = max(int(counts.sum()), 1)
    return {
        name: round(int(count) / total, 5)
        for name, count in zip(names, counts, strict=True)
    }


def confusion_groups(confusions: NDArray[np.int64]) -> list[Any] | None:
    """Return the confusion matrices of groups of images, small enough for a record.

    Pixels of one image err together; how far the groups are apart tells how much a sum
    over all images is worth (random groups, Wolter: Introduction to variance
    estimation, 2007, chapter 2).

    Args:
        confusions: (N, K, K) int64 pixels of each image, rows by truth.

    Returns:
        (G, K, K) as nested lists, G up to 50, fewer for many classes; every G-th image
        belongs to the same group. None where G would be below 8.
    """
    count, classes = confusions.shape[:2]
    groups = min(count, MAX_GROUPS, MAX_GROUPS_NUMBERS // classes**2)
    if groups < MIN_IMAGES:
        return None
    return [confusions[number::groups].sum(axis=0).tolist() for number in range(groups)]


def _statistics(pairs: Iterable[tuple[Bytes, NDArray[np.bool_]]]) -> dict[str, Any]:
    """Return the statistics of images with their valid pixels."""
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    contrasts: list[float] = []
    features: list[Vector] = []
    shares: list[Vector] = []
    side = 0
    for image, known in pairs:
        rgb = np.asarray(image, np.float32) / np.float32(255)
        inside = rgb[known].astype(float)
        if not inside.size:
            continue
        total += inside.sum(axis=0)
        squares += np.square(inside).sum(axis=0)
        pixels += len(inside)
        contrasts.append(float(inside.mean(axis=-1).std()))
        side = max(rgb.shape[:2])
        if (found := image_features(rgb, known)) is not None:
            features.append(found)
            shares.append(color_shares(rgb, known))
    mean = total / max(1, pixels)
    spread = np.sqrt(np.maximum(squares / max(1, pixels) - mean**2, 0))
    result: dict[str, Any] = {
        "color_mean": [round(float(value), 5) for value in mean],
        "color_std": [round(float(value), 5) for value in spread],
        "contrast": round(float(np.mean(contrasts or [0.0])), 5),
    }
    if len(features) >= MIN_IMAGES:
        looks = looks_of(np.stack(features), np.stack(shares), side)
        result[LOOKS_KEY] = looks.to_dict()
    return result
