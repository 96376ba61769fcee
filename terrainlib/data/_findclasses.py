"""Which classes a set of masks has, where no `classes.json` says so."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from terrainlib.data._maskvalues import (
    BINARY_COLORS,
    as_colors,
    color_class,
    index_classes,
    is_binary,
    no_data_values,
    values_of,
)
from terrainlib.data.imagery import read_raster
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    MAX_CLASSES,
    Classes,
    color_keys,
    color_table,
)
from terrainlib.errors import DatasetError, ImageError

ClassesSource = Literal["kaggle", "found"]

_EXACT_SHARE: Final = 0.99
_PROBED_MASKS: Final = 64
_KEPT_COLORS: Final = 1024
_THREADS: Final = 4
_KAGGLE_INDICES: Final = range(2, len(KAGGLE_CLASSES))


@dataclass(frozen=True, slots=True)
class _Found:
    """What one mask file holds.

    Attributes:
        pixels: Pixels with data.
        kaggle: Those in a colour of the Kaggle palette.
        colors: The most common colours (0xRRGGBB) with their pixels.
        indices: Values of a single band that mean data; None for a colour mask.
        binary: Whether the single band holds only 0 and full scale.
    """

    pixels: int
    kaggle: int
    colors: Counter[int]
    indices: frozenset[float] | None
    binary: bool


def find_classes(paths: Iterable[Path]) -> tuple[Classes, ClassesSource]:
    """Return the classes of a set of masks.

    Where at least 99 % of the pixels have exact Kaggle colours, over the set or in more
    than half of its masks (judged on 64 masks spread evenly over the set), or the
    highest index of single-band masks is 2 to 6, they are the Kaggle classes. Otherwise
    they are the colours found, named `#RRGGBB`; for masks of indices, colours of our
    own. Files that cannot be read do not count, nor does a minority of masks that hold
    more colours than there may be classes.

    Args:
        paths: All mask files of the set.

    Returns:
        The classes, and whether they are the Kaggle palette or were found.

    Raises:
        DatasetError: If no file can be read, or there are more than 64 classes.
    """
    files = sorted(paths)
    probe = _inspect(files[:: -(-len(files) // _PROBED_MASKS) or 1])
    if _mostly_colors(probe) and _fit_kaggle(probe):
        return KAGGLE_CLASSES, "kaggle"
    found = _inspect(files) if len(files) > _PROBED_MASKS else probe
    if not found:
        raise DatasetError(
            f"none of the {len(files)} masks can be read. Save them as PNG or TIFF "
            "with class colours or class indices."
        )
    if _mostly_colors(found):
        return _color_classes(found), "found"
    return _value_classes(found)


def _inspect(paths: Sequence[Path]) -> list[_Found]:
    """Read the masks in threads, leaving out those that cannot be read."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return [found for found in threads.map(_inspect_one, paths) if found]


def _inspect_one(path: Path) -> _Found | None:
    indices, binary = None, False
    try:
        raster = read_raster(path)
        if raster.palette is None and raster.pixels.shape[2] == 1:
            values = values_of(raster)
            indices, binary = values - no_data_values(raster), is_binary(values, raster)
        rgb = as_colors(raster, path.name)
    except ImageError:
        return None if indices is None else _Found(0, 0, Counter(), indices, binary)
    keys, counts = np.unique(color_keys(rgb)[raster.valid], return_counts=True)
    kaggle = counts[np.isin(keys, color_keys(color_table(KAGGLE_CLASSES)))].sum()
    colors = Counter(dict(zip(keys.tolist(), counts.tolist(), strict=True)))
    common = Counter(dict(colors.most_common(_KEPT_COLORS)))
    return _Found(int(counts.sum()), int(kaggle), common, indices, binary)


def _mostly_colors(found: Sequence[_Found]) -> bool:
    return 2 * sum(item.indices is None for item in found) > len(found)


def _fit_kaggle(found: Sequence[_Found]) -> bool:
    """Say whether the colours are Kaggle's, whatever a few bad masks hold."""
    masks = [item for item in found if item.indices is None]
    fitting = sum(item.kaggle >= _EXACT_SHARE * item.pixels for item in masks)
    exact = sum(item.kaggle for item in masks)
    pixels = sum(item.pixels for item in masks)
    return 2 * fitting > len(masks) or exact >= _EXACT_SHARE * pixels


def _color_classes(found: Sequence[_Found]) -> Classes:
    """Return the colours of the masks as classes, in the order of their numbers."""
    moderate = [item for item in found if len(item.colors) <= MAX_CLASSES]
    if 2 * len(moderate) > len(found):
        found = moderate
    colors: Counter[int] = Counter()
    pixels = 0
    for item in found:
        colors.update(item.colors)
        pixels += item.pixels
    kept = colors.most_common(MAX_CLASSES)
    if len(colors) > MAX_CLASSES:
        if sum(count for _, count in kept) < _EXACT_SHARE * pixels:
            raise DatasetError(
                f"{len(colors)} or more colours in the masks; the limit is "
                f"{MAX_CLASSES} classes. Save the masks without smoothing or JPEG "
                "compression, or add a classes.json."
            )
        kept = _prefix(kept, _EXACT_SHARE * pixels)
    return tuple(
        color_class((key >> 16, key >> 8 & 255, key & 255)) for key, _ in sorted(kept)
    )


def _prefix(ranked: list[tuple[int, int]], pixels: float) -> list[tuple[int, int]]:
    """Return the most common colours that make up the given number of pixels."""
    sums = np.cumsum([count for _, count in ranked])
    return ranked[: int(np.searchsorted(sums, pixels)) + 1]


def _value_classes(found: Sequence[_Found]) -> tuple[Classes, ClassesSource]:
    """Return the classes of single-band masks."""
    single = [item for item in found if item.indices is not None]
    values = frozenset().union(*(item.indices or () for item in single))
    if any(item.binary for item in single) and values <= {0.0}:
        return tuple(color_class(color) for color in BINARY_COLORS), "found"
    highest = int(max(values, default=0))
    whole = all(value >= 0 and value.is_integer() for value in values)
    if whole and highest in _KAGGLE_INDICES:
        return KAGGLE_CLASSES, "kaggle"
    if whole and highest < MAX_CLASSES:
        return index_classes(max(2, highest + 1)), "found"
    return _color_classes(single), "found"
