"""Writing the files of a cache of pairs: read, resize and append, in threads."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np

from terrainlib import files
from terrainlib.data._check import reading_problem
from terrainlib.data._maskstore import MaskStore
from terrainlib.data._npy import ArrayFile
from terrainlib.data._parallel import ordered_map
from terrainlib.data._resize import SmallPair, small_pair
from terrainlib.data._scan import kept_masks
from terrainlib.data.dataset import Dataset, Pair, Problem, Progress, read_labels
from terrainlib.data.imagery import read_raster
from terrainlib.data.palette import Classes
from terrainlib.errors import DatasetError, ImageError, StoppedError

ABOUT_FILE: Final = "about.json"
IMAGES_FILE: Final = "images.npy"
MASKS_FILE: Final = "masks.npy"
HEIGHTS_FILE: Final = "heights.npy"


def write_cache(
    folder: Path,
    dataset: Dataset,
    image_size: int,
    progress: Progress | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    """Write the pairs of a data set at a square size into a new folder.

    Raises:
        DatasetError: If no pair can be read.
        StoppedError: If `should_stop` said so.
        StorageError: If the files cannot be written.
    """
    bytes_a_pair = image_size * image_size * (8 if dataset.has_heights else 4)
    files.require_free_space(folder, len(dataset.pairs) * bytes_a_pair)
    skipped: list[Problem] = []
    ids: list[str] = []
    scales: list[float] = []

    with (
        files.atomic_folder(folder) as temporary,
        kept_masks(dataset.folder, dataset.fingerprint) as kept,
    ):

        def load(pair: Pair) -> SmallPair | Problem:
            return _load(pair, dataset.classes, kept, image_size)

        with _ArrayFiles(temporary, image_size, dataset.has_heights) as arrays:
            results = ordered_map(
                load, dataset.pairs, progress=progress, should_stop=should_stop
            )
            for result, pair in zip(results, dataset.pairs, strict=False):
                if isinstance(result, Problem):
                    skipped.append(result)
                    continue
                arrays.append(result)
                ids.append(pair.id)
                scales.append(result.scale)
        _require_complete(dataset, len(ids), skipped)
        about = {
            "image_size": image_size,
            "ids": ids,
            "heights": dataset.has_heights,
            "scale": float(np.median(scales)),
            "skipped": [[problem.file, problem.problem] for problem in skipped],
        }
        files.write_json(temporary / ABOUT_FILE, about)


class _ArrayFiles:
    """The array files of a cache, open together in a `with` block."""

    def __init__(self, folder: Path, size: int, heights: bool) -> None:
        self._stack = ExitStack()
        self._images = self._open(folder / IMAGES_FILE, (size, size, 3), "uint8")
        self._masks = self._open(folder / MASKS_FILE, (size, size), "uint8")
        self._heights = (
            self._open(folder / HEIGHTS_FILE, (size, size), "float32")
            if heights
            else None
        )

    def append(self, pair: SmallPair) -> None:
        """Add one pair to every file."""
        self._images.append(pair.image)
        self._masks.append(pair.mask)
        if self._heights is not None and pair.height is not None:
            self._heights.append(pair.height)

    def _open(self, path: Path, row_shape: tuple[int, ...], dtype: str) -> ArrayFile:
        return self._stack.enter_context(ArrayFile(path, row_shape, dtype))

    def __enter__(self) -> "_ArrayFiles":
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()


def _load(
    pair: Pair, classes: Classes, kept: MaskStore, size: int
) -> SmallPair | Problem:
    """Return a pair at its size, or why it could not be read."""
    try:
        picture = read_raster(pair.image)
        rows, columns = picture.valid.shape
        mask, height = read_labels(
            pair, classes, (rows, columns), kept_mask=kept.read(pair.id, pair.size)
        )
        return small_pair(picture, mask, height, size)
    except (ImageError, OSError) as error:
        name = getattr(error, "file", None) or pair.image.name
        return Problem(name, reading_problem(error))


def _require_complete(dataset: Dataset, done: int, skipped: list[Problem]) -> None:
    """Refuse a build that was stopped or in which nothing could be read."""
    if done + len(skipped) < len(dataset.pairs):
        raise StoppedError("the pairs were not all prepared: stopped, as asked.")
    if done == 0:
        first = [f" (first {problem.file}: {problem.problem})" for problem in skipped]
        raise DatasetError(
            f"no usable pair is left{''.join(first[:1])}. Check the files.",
            file=dataset.name,
        )
