"""Terrain classes: their names, their colours, and masks turned into colours and back.

A class mask is a uint8 (H, W) array of class indices; `NO_DATA` marks pixels without a
class. Reading mask files is the business of `masks`, not of this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import DatasetError
from terrainlib.files import is_file, read_json, write_json
from terrainlib.types import Byte, Text

NO_DATA: Final = 255
MAX_CLASSES: Final = 64
MAX_NAME_CHARACTERS: Final = 60
MAX_JSON_KB: Final = 256


@dataclass(frozen=True, slots=True)
class TerrainClass:
    """One terrain class.

    Attributes:
        name: What the class is called, for example `Forest`.
        color: Red, green and blue, each 0 to 255.
    """

    name: Text
    color: tuple[Byte, Byte, Byte]


Classes = tuple[TerrainClass, ...]

KAGGLE_CLASSES: Final[Classes] = (
    TerrainClass("Water", (17, 141, 215)),
    TerrainClass("Grassland", (225, 227, 155)),
    TerrainClass("Forest", (127, 173, 123)),
    TerrainClass("Hills", (185, 122, 87)),
    TerrainClass("Desert", (230, 200, 181)),
    TerrainClass("Mountain", (150, 150, 150)),
    TerrainClass("Tundra", (193, 190, 175)),
)


def color_table(classes: Classes) -> NDArray[np.uint8]:
    """Return the colours of the classes, (K, 3) uint8, RGB.

    Example:
        >>> color_table(KAGGLE_CLASSES)[0].tolist()
        [17, 141, 215]
    """
    return np.array([item.color for item in classes], np.uint8).reshape(-1, 3)


def colorize(mask: NDArray[np.uint8], classes: Classes) -> NDArray[np.uint8]:
    """Return a class mask in the colours of its classes.

    Args:
        mask: (H, W) uint8 class indices; `NO_DATA` and every index without a class
            become black.
        classes: The K classes.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    table = np.zeros((256, 3), np.uint8)
    table[: len(classes)] = color_table(classes)
    return table[mask]


def soft_colors(
    probabilities: NDArray[np.float32], classes: Classes
) -> NDArray[np.float32]:
    """Return the class colours weighted by the class probabilities.

    Args:
        probabilities: (H, W, K) float32 in [0, 1], summing to 1 along K.
        classes: The K classes.

    Returns:
        (H, W, 3) float32 in [0, 1], RGB.
    """
    table = color_table(classes).astype(np.float32) / np.float32(255)
    colors = np.asarray(probabilities, np.float32) @ table
    return np.clip(colors, 0.0, 1.0, out=colors)


def nearest_class(
    rgb: NDArray[np.uint8], classes: Classes
) -> tuple[NDArray[np.uint8], float]:
    """Return the class whose colour is nearest to each pixel's.

    Nearest by the squared distance in RGB; between equally near classes the first wins.

    Args:
        rgb: (H, W, 3) uint8, RGB.
        classes: The K classes.

    Returns:
        The class mask, (H, W) uint8, and the share (0 to 1) of pixels whose colour is
        not exactly the colour of a class.
    """
    keys = color_keys(rgb)
    index = _exact_table(classes)[keys]
    strange = index == 0
    index -= 1
    if not strange.any():
        return index, 0.0
    unknown, inverse = np.unique(keys[strange], return_inverse=True)
    colors = np.stack([unknown >> 16, unknown >> 8 & 255, unknown & 255], axis=1)
    index[strange] = _nearest(colors.astype(np.int64), classes)[inverse.ravel()]
    return index, float(strange.mean())


@lru_cache(maxsize=4)
def _exact_table(classes: Classes) -> NDArray[np.uint8]:
    """Return 1 + the class of every colour, (2**24,) uint8, 0 where there is none.

    Nearly all of it is zeros that the system never gives memory for.
    """
    table = np.zeros(1 << 24, np.uint8)
    for index, key in reversed(list(enumerate(color_keys(color_table(classes))))):
        table[key] = index + 1
    return table


def _nearest(colors: NDArray[np.int64], classes: Classes) -> NDArray[np.uint8]:
    """Return the nearest class of each of (n, 3) colours: (n,) uint8."""
    best = np.full(len(colors), np.iinfo(np.int64).max, np.int64)
    index = np.zeros(len(colors), np.uint8)
    for number, color in enumerate(color_table(classes).astype(np.int64)):
        distance = ((colors - color) ** 2).sum(axis=1)
        closer = distance < best
        best[closer] = distance[closer]
        index[closer] = number
    return index


def color_keys(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return each pixel's colour as one number, red first.

    Args:
        rgb: (..., 3) uint8, RGB.

    Returns:
        (...) uint32, 0xRRGGBB.
    """
    if rgb.size == 0:
        return np.zeros(rgb.shape[:-1], np.uint32)
    width = rgb.shape[-2] if rgb.ndim > 1 else 1
    pixels = np.ascontiguousarray(rgb).reshape(-1, width, 3)
    wide = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGRA))
    keys = wide.view("<u4").reshape(rgb.shape[:-1])
    return keys & np.uint32(0xFFFFFF)


def load_classes(path: Path) -> Classes:
    """Read the classes of a `classes.json`.

    Raises:
        DatasetError: If the file is missing, no JSON, or lists no valid classes.
    """
    path = Path(path)
    if is_file(path) and path.stat().st_size > MAX_JSON_KB * 1024:
        raise DatasetError(
            f"the file is larger than {MAX_JSON_KB} kB, the limit for a list of "
            "classes. Check that it is the right file.",
            file=path.name,
        )
    value = read_json(path)
    if not isinstance(value, list) or not value:
        raise _bad(path, "it is no list of classes")
    if len(value) > MAX_CLASSES:
        raise _bad(path, f"it lists {len(value)} classes, the limit is {MAX_CLASSES}")
    classes = tuple(_parse(path, number, item) for number, item in enumerate(value, 1))
    for what in ("name", "color"):
        if len({getattr(item, what) for item in classes}) < len(classes):
            raise _bad(path, f"two classes have the same {what}")
    return classes


def save_classes(path: Path, classes: Classes) -> None:
    """Write the classes as a `classes.json`, atomically.

    Raises:
        StorageError: If it cannot be written.
    """
    write_json(
        Path(path), [{"name": item.name, "color": list(item.color)} for item in classes]
    )


def _parse(path: Path, number: int, item: Any) -> TerrainClass:
    if not isinstance(item, Mapping):
        raise _bad(path, f"class {number} has no name and color")
    name, color = item.get("name"), item.get("color")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= MAX_NAME_CHARACTERS:
        raise _bad(
            path,
            f"the name of class {number} is no text of 1 to {MAX_NAME_CHARACTERS} "
            "characters",
        )
    if not name.isprintable():
        raise _bad(path, f"the name of class {number} holds unprintable characters")
    if not (isinstance(color, list) and len(color) == 3 and all(map(_is_byte, color))):
        raise _bad(path, f"the color of class {number} is not three numbers 0 to 255")
    return TerrainClass(name.strip(), (color[0], color[1], color[2]))


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def _bad(path: Path, what: str) -> DatasetError:
    return DatasetError(
        f"not a valid list of classes: {what}. "
        'Write it as [{"name": "Water", "color": [17, 141, 215]}, ...].',
        file=path.name,
    )
