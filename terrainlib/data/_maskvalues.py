"""What the stored pixels of a mask file can mean: colours, or values of one band."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data._raster import Raster
from terrainlib.data.palette import NO_DATA, Classes, TerrainClass, color_table
from terrainlib.errors import ImageError

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
