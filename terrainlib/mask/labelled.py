"""Labelled pixels, however they were found: drawn, weighed, and held out to judge."""

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrainlib.model.instant import fit_instant
from terrainlib.model.modelfile import TerrainModel
from terrainlib.types import FloatArray

MOST_PIXELS: Final = 4_000  # of a class, for the whole image
VIEW_PIXELS: Final = 1_000  # of a class, for what comes at once
WEAK_WEIGHT: Final = 0.1

Labelled = tuple[FloatArray, NDArray[np.uint8]]  # features (n, F), classes (n,)
_Item = TypeVar("_Item")


def evenly(items: Sequence[_Item], most: int) -> Sequence[_Item]:
    """Return the items, or so many of them at even distances."""
    if len(items) <= most:
        return items
    return [items[n] for n in np.linspace(0, len(items) - 1, most).astype(int)]


def joined(parts: Sequence[Labelled]) -> Labelled:
    """Return labelled pixels of several places as those of one."""
    features, labels = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(labels)


def drawn(
    features: FloatArray, labels: NDArray[np.uint8], *, most: int = MOST_PIXELS
) -> Labelled:
    """Return at most so many pixels of each class, evenly spread."""
    kept: list[NDArray[np.intp]] = []
    for number in np.unique(labels):
        places = np.flatnonzero(labels == number)
        if len(places) > most:
            places = places[np.linspace(0, len(places) - 1, most).astype(np.intp)]
        kept.append(places)
    rows = np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.intp)
    return features[rows], labels[rows]


def fit_labelled(
    model: TerrainModel, found: Labelled, weak: Labelled | None
) -> TerrainModel:
    """Learn from labelled pixels, and a little from those that another model told.

    Args:
        model: What `unlearnt` gave.
        found: Labelled pixels.
        weak: Those that count little; None without.

    Raises:
        DatasetError: If they show fewer than two classes.
    """
    if weak is None:
        return fit_instant(model, *found)
    weights = np.ones(len(found[1]) + len(weak[1]), np.float32)
    weights[len(found[1]) :] = WEAK_WEIGHT
    return fit_instant(model, *joined([found, weak]), weights)


def held_out(
    blocks: Sequence[Labelled], model: TerrainModel, folds: int = 4
) -> NDArray[np.int64] | None:
    """Return how well labels are told by what was learnt from others.

    Blocks of labels take turns: each is judged by what the others taught.

    Args:
        blocks: What is labelled, block by block.
        model: The classifier that learnt from all of them.
        folds: Into how many groups the blocks are divided.

    Returns:
        (K, K) confusion matrix, truth by prediction; None where there are too few
        blocks to tell: fewer than four, or a class in fewer than two of them.
    """
    count = len(model.classes)
    seen = [np.unique(labels) for _, labels in blocks]
    if len(blocks) < folds:
        return None
    spread = np.bincount(np.concatenate(seen), minlength=count)
    if (spread == 1).any():
        return None
    confusion = np.zeros((count, count), np.int64)
    for fold in range(folds):
        others = [b for n, b in enumerate(blocks) if n % folds != fold]
        features, labels = drawn(*joined(others), most=VIEW_PIXELS)
        if len(np.unique(labels)) < 2:
            return None
        judge = fit_instant(model, features, labels).network
        for own, truth in list(blocks)[fold::folds]:
            told = judge.judge(own).argmax(axis=1)
            np.add.at(confusion, (truth.astype(np.intp), told), 1)
    return confusion
