"""The pairs at the size that training works at, compact and memory-mapped.

Training reads bytes from here, not from image files: uint8 images and masks (and
float32 heights) in `.npy` files under the cache folder, built once for a data set and a
size.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from terrainlib import files
from terrainlib.data._cachefiles import (
    ABOUT_FILE,
    HEIGHTS_FILE,
    IMAGES_FILE,
    MASKS_FILE,
    write_cache,
)
from terrainlib.data.dataset import Dataset, Problem, Progress
from terrainlib.errors import DatasetError
from terrainlib.types import PathText, Sentence, known_record

_VERSION: Final = 1  # of the content; a change of it makes old caches void


@dataclass(frozen=True, slots=True)
class PairCache:
    """Pairs at one square size S.

    Attributes:
        images: (N, S, S, 3) uint8 RGB.
        masks: (N, S, S) uint8 class indices, 255 = no data.
        heights: (N, S, S) float32 metres, NaN = no data; None where any pair has none.
        ids: Ids of the N pairs.
        scale: Cached px per original px, the median over the pairs.
        skipped: Pairs that could no longer be read, and why.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    heights: NDArray[np.float32] | None
    ids: tuple[str, ...]
    scale: float
    skipped: tuple[Problem, ...] = ()

    def subset(self, ids: Iterable[str]) -> Self:
        """Return the pairs of the given ids, in the order of the cache.

        Ids that are not in the cache are left out. Neighbouring pairs stay mapped;
        others are copied into memory, one byte a channel.
        """
        wanted = set(ids)
        rows = [row for row, name in enumerate(self.ids) if name in wanted]
        chosen: Any = rows
        if rows and rows[-1] - rows[0] == len(rows) - 1:
            chosen = slice(rows[0], rows[-1] + 1)
        return type(self)(
            images=self.images[chosen],
            masks=self.masks[chosen],
            heights=None if self.heights is None else self.heights[chosen],
            ids=tuple(self.ids[row] for row in rows),
            scale=self.scale,
            skipped=self.skipped,
        )


@dataclass(frozen=True, slots=True)
class _About:
    """What a cache's folder says of its arrays.

    Attributes:
        image_size: Height and width S in px.
        ids: Ids of the pairs.
        heights: Whether there are heights.
        scale: Cached px per original px.
        skipped: File and sentence of each pair that could not be read.
    """

    image_size: Annotated[int, Field(ge=1, le=2**16)]
    ids: tuple[PathText, ...]
    heights: bool
    scale: Annotated[float, Field(gt=0, le=1e6)]
    skipped: tuple[tuple[PathText, Sentence], ...]


def build_cache(
    dataset: Dataset,
    image_size: int,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PairCache:
    """Return the pairs of a data set at a square size, built once.

    Images and heights are averaged over areas, masks take the nearest pixel; pixels of
    an image without data have no class in its mask either.

    Args:
        dataset: The data set, or a part of one.
        image_size: Height and width S in px.
        progress: Called with the pairs done and their number.
        should_stop: Asked between pairs; nothing is kept of a build that was stopped.

    Raises:
        DatasetError: If no pair can be read.
        StoppedError: If `should_stop` said so.
        StorageError: If the cache cannot be written.
    """
    folder = files.cache_dir() / "pairs" / _key(dataset, image_size)
    ready = _open(folder)
    if ready is None:
        shutil.rmtree(folder, ignore_errors=True)
        write_cache(folder, dataset, image_size, progress, should_stop)
        ready = _open(folder)
    if ready is None:
        raise DatasetError(
            "the prepared pairs were removed while they were written. Try again.",
            file=dataset.name,
        )
    return ready


def _open(folder: Path) -> PairCache | None:
    """Return a cache that is complete and fits its description, else None."""
    limit = files.MAX_JSON_BYTES
    about = known_record(folder / ABOUT_FILE, _About, limit_bytes=limit)
    if about is None:
        return None
    size, ids = about.image_size, about.ids
    try:
        cache = PairCache(
            images=_mapped(folder / IMAGES_FILE, (len(ids), size, size, 3), "uint8"),
            masks=_mapped(folder / MASKS_FILE, (len(ids), size, size), "uint8"),
            heights=(
                _mapped(folder / HEIGHTS_FILE, (len(ids), size, size), "float32")
                if about.heights
                else None
            ),
            ids=ids,
            scale=about.scale,
            skipped=tuple(Problem(*problem) for problem in about.skipped),
        )
    except (OSError, ValueError):
        return None
    return cache if ids else None


def _mapped(path: Path, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Return a memory-mapped array.

    Raises:
        ValueError: If the file is cut off or of another shape or type.
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise ValueError
    return np.asarray(array)


def _key(dataset: Dataset, image_size: int) -> str:
    """Return the name of a cache: all that its content depends on."""
    facts = [
        str(_VERSION),
        str(image_size),
        str(dataset.folder),
        dataset.fingerprint,
        *(f"{entry.name}{entry.color}" for entry in dataset.classes),
        *dataset.ids,
    ]
    text = "\n".join(facts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]
