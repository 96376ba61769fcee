"""Who is right about the pixels of each class."""

from collections.abc import Callable

import numpy as np

from terrainlib.data.dataset import Dataset
from terrainlib.data.palette import NO_DATA
from terrainlib.mask.scores.agreement import BOTH, NEITHER_ALIKE, _count, who_tells
from terrainlib.mask.scores.gallery import open_gallery
from terrainlib.model.modelfile import TerrainModel


def test_each_pixel_counts_once_where_all_three_know_it() -> None:
    truth = np.array([[0, 0, 0, 0, 0, 1, NO_DATA, 1]], np.uint8)
    one = np.array([[0, 0, 1, 1, 1, 1, 1, NO_DATA]], np.uint8)
    other = np.array([[0, 2, 0, 1, 2, 1, 1, 1]], np.uint8)

    counts = _count(truth, one, other, 3)

    assert counts.tolist() == [[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_a_model_beside_itself_is_right_or_wrong_alike(
    painted: Dataset, color_model: Callable[..., TerrainModel]
) -> None:
    gallery = open_gallery(color_model(), painted, split="all")

    counts, confusion = who_tells(gallery, gallery), gallery.evaluation.confusion

    assert counts[:, BOTH].tolist() == confusion.diagonal().tolist()
    wrong = confusion.sum(axis=1) - confusion.diagonal()
    assert counts[:, NEITHER_ALIKE].tolist() == wrong.tolist()
