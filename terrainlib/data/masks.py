"""Reading mask files of every kind as class indices.

A mask holds the classes' colours (RGB, a palette, or grey), or class indices in one
band, or 0 and full scale for two classes. Pixels without data (alpha 0, the file's
no-data value, index 255) get `NO_DATA`. What classes a set of masks without a
`classes.json` has is found by `find_classes`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.raster import Raster
from terrainlib.data.formats.source import ImageSource, source_name
from terrainlib.data.imagery import read_raster
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    MAX_CLASSES,
    NO_DATA,
    Classes,
    TerrainClass,
    color_keys,
    color_table,
    nearest_class,
)
from terrainlib.errors import DatasetError, ImageError

# Told apart by people with any kind of colour vision (after Okabe and Ito, and Tol).
_QUALITATIVE: Final = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (136, 34, 85),
)
BINARY_COLORS: Final = ((0, 0, 0), (255, 255, 255))


def color_class(color: tuple[int, int, int]) -> TerrainClass:
    """Return a class named by its colour, `#RRGGBB`."""
    return TerrainClass("#{:02X}{:02X}{:02X}".format(*color), color)


def index_classes(count: int) -> Classes:
    """Return classes for masks that hold indices and no colours.

    From the ninth on they are darker shades of the first eight.

    Args:
        count: Number of classes, 1 to 64.
    """
    shades = [1 - number // len(_QUALITATIVE) / 9 for number in range(count)]
    colors = [_QUALITATIVE[number % len(_QUALITATIVE)] for number in range(count)]
    return tuple(
        color_class((int(red * shade), int(green * shade), int(blue * shade)))
        for (red, green, blue), shade in zip(colors, shades, strict=True)
    )


def no_data_values(raster: Raster) -> frozenset[float]:
    """Return the values of a single band that mean no data: 255 and 16-bit 65,535."""
    wide = raster.maximum is not None and raster.maximum > NO_DATA
    return frozenset({float(NO_DATA), float(raster.maximum or 0)} if wide else {255.0})


def values_of(raster: Raster) -> frozenset[float]:
    """Return the distinct values of a single band among the pixels with data."""
    values = raster.pixels[..., 0]
    if values.dtype == np.uint8:
        counts = np.bincount(values[raster.valid], minlength=256)
        return frozenset(float(value) for value in np.flatnonzero(counts))
    return frozenset(float(value) for value in np.unique(values[raster.valid]))


def is_binary(values: frozenset[float], raster: Raster) -> bool:
    """Say whether all values are 0 or full scale, and some are full scale."""
    full = {float(raster.maximum or NO_DATA), float(NO_DATA)} - {1.0}
    return bool(values & full) and values <= full | {0.0}


def as_indices(raster: Raster, classes: Classes) -> NDArray[np.uint8] | None:
    """Return the single band's values as class indices, None where they are none.

    Values that are the greys of classes that all are grey are left to `as_colors`. With
    two classes, 0 and full scale are the first and the second, unless the classes were
    made for index masks.

    Returns:
        (H, W) uint8, `NO_DATA` where the value means it; or None.
    """
    values = raster.pixels[..., 0]
    found = values_of(raster)
    table = color_table(classes)
    if (table == table[:, :1]).all() and found <= {float(grey) for grey in table[:, 0]}:
        return None
    indexed = np.array_equal(table, color_table(index_classes(2)))
    index = np.full(values.shape, NO_DATA, np.uint8)
    if len(classes) == 2 and is_binary(found, raster) and not indexed:
        index[raster.valid] = values[raster.valid] != 0
        return index
    known = {float(index) for index in range(len(classes))}
    if not found <= known | no_data_values(raster):
        return None
    inside = raster.valid & (values < len(classes))
    index[inside] = values[inside].astype(np.uint8)
    return index


def as_colors(raster: Raster, name: str) -> NDArray[np.uint8]:
    """Return the pixels as 8-bit colours, grey repeated: (H, W, 3) uint8.

    Raises:
        ImageError: If they are numbers that are no colours, or too many bands.
    """
    if raster.bands > 4:
        raise ImageError(
            f"{raster.bands} bands; a mask has 1, 3 or 4. Save the colours or the "
            "class indices as a file of their own.",
            file=name,
        )
    pixels = raster.colors()
    if raster.palette is None and raster.maximum == 65535:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif raster.palette is None and raster.maximum in (1, 3, 15):
        pixels = pixels * np.uint8(255 // raster.maximum)
    if pixels.dtype != np.uint8:
        raise ImageError(
            f"the values are neither class indices nor 8-bit colours ({pixels.dtype}); "
            "a mask holds class colours, or indices from 0 on with 255 for no data. "
            "Save it as one of these.",
            file=name,
        )
    return pixels if pixels.shape[2] == 3 else pixels.repeat(3, axis=2)


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


# A palette whose colours are unknown on more pixels than this is decoration: the
# indices themselves are the classes.
_MAX_PALETTE_UNKNOWN: Final = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A class mask.

    Attributes:
        index: (H, W) uint8 class indices, `NO_DATA` where there is no class.
        unknown: Share (0 to 1) of the pixels with data whose colour is no class
            colour; they count as the nearest class. 0 for masks of indices.
    """

    index: NDArray[np.uint8]
    unknown: float


def read_mask(
    source: ImageSource, classes: Classes, *, name: str | None = None
) -> Mask:
    """Read a mask file as indices of the given classes.

    Args:
        source: Path or bytes of a PNG, TIFF or JPEG file (lossy: with unknown colours).
        classes: The K classes of the data set.
        name: Name for messages; without it the file's.

    Returns:
        The mask, upright, of the file's own size.

    Raises:
        ImageError: If the file cannot be read or holds neither colours nor indices.
    """
    raster = read_raster(source, name=name)
    single = raster.palette is None and raster.pixels.shape[2] == 1
    index = as_indices(raster, classes) if single else None
    if index is not None:
        return Mask(index, 0.0)
    rgb = as_colors(raster, source_name(source, name))
    mask = _by_color(rgb, raster.valid, classes)
    if raster.palette is not None and mask.unknown > _MAX_PALETTE_UNKNOWN:
        index = as_indices(raster, classes)
    return mask if index is None else Mask(index, 0.0)


def _by_color(
    rgb: NDArray[np.uint8], valid: NDArray[np.bool_], classes: Classes
) -> Mask:
    """Return the nearest classes; only pixels with data can have unknown colours."""
    if valid.all():
        return Mask(*nearest_class(rgb, classes))
    index = np.full(valid.shape, NO_DATA, np.uint8)
    nearest, unknown = nearest_class(rgb[valid][np.newaxis], classes)
    index[valid] = nearest[0]
    return Mask(index, unknown)
