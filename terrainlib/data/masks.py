"""Reading mask files of every kind as class indices.

A mask holds the classes' colours (RGB, a palette, or grey), or class indices in one
band, or 0 and full scale for two classes. Pixels without data (alpha 0, the file's
no-data value, index 255) get `NO_DATA`. What classes a set of masks without a
`classes.json` has is found by `find_classes`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data._findclasses import ClassesSource, find_classes
from terrainlib.data._maskvalues import as_colors, as_indices
from terrainlib.data._source import source_name
from terrainlib.data.imagery import ImageSource, read_raster
from terrainlib.data.palette import NO_DATA, Classes, nearest_class

__all__ = ["ClassesSource", "Mask", "find_classes", "read_mask"]

# A palette whose colours are strangers on more pixels than this is decoration: the
# indices themselves are the classes.
_MAX_PALETTE_STRANGERS: Final = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A class mask.

    Attributes:
        index: (H, W) uint8 class indices, `NO_DATA` where there is no class.
        strangers: Share (0 to 1) of the pixels with data whose colour is no class
            colour; they count as the nearest class. 0 for masks of indices.
    """

    index: NDArray[np.uint8]
    strangers: float


def read_mask(
    source: ImageSource, classes: Classes, *, name: str | None = None
) -> Mask:
    """Read a mask file as indices of the given classes.

    Args:
        source: Path or bytes of a PNG, TIFF or (lossy, so with strangers) JPEG file.
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
    if raster.palette is not None and mask.strangers > _MAX_PALETTE_STRANGERS:
        index = as_indices(raster, classes)
    return mask if index is None else Mask(index, 0.0)


def _by_color(
    rgb: NDArray[np.uint8], valid: NDArray[np.bool_], classes: Classes
) -> Mask:
    """Return the nearest classes; only pixels with data can be strangers."""
    if valid.all():
        return Mask(*nearest_class(rgb, classes))
    index = np.full(valid.shape, NO_DATA, np.uint8)
    nearest, strangers = nearest_class(rgb[valid][np.newaxis], classes)
    index[valid] = nearest[0]
    return Mask(index, strangers)
