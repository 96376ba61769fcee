"""A whole image as its network takes it, for images that fit into memory.

No TensorFlow.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Image
from terrainlib.data.scene import heights_of, scene_of
from terrainlib.errors import ImageError, InputError
from terrainlib.mask.tiles.feeding import Feed, Geometry, Known
from terrainlib.mask.tiles.resampling import FloatArray

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

MAX_WORKING_MEGAPIXELS: Final = 100


def mirrored_rows(length: int, padded: int) -> NDArray[np.int64]:
    """Return which rows the padded rows below an image repeat: its last ones, mirrored.

    Args:
        length: Rows of the image.
        padded: Rows in all.

    Returns:
        (padded - length,) row numbers.
    """
    return np.pad(np.arange(length), (0, padded - length), mode="reflect")[length:]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image ready for a network.

    Attributes:
        pixels: (H', W', C) float32 network input, H' and W' multiples of the network's
            size multiple.
        geometry: The sizes on the way.
        valid: (H, W) bool at the image's own size.
    """

    pixels: FloatArray
    geometry: Geometry
    valid: Known


def prepare(
    model: "TerrainModel",
    image: Image,
    *,
    height: Any = None,
    scale: float | None = None,
) -> Prepared:
    """Bring a whole image to a model's working resolution and pad it.

    Args:
        model: The model to prepare for.
        image: The image.
        height: (H, W) float32 in metres, NaN where there is none; ignored by models
            that use no heights.
        scale: Working px per image px instead of the model's own.

    Raises:
        ConfigError: If `scale` is out of bounds.
        InputError: If heights are missing or of another size, or the image is too
            large at this scale.
    """
    heights = None
    if height is not None and model.config.height:
        heights = heights_of(_two_axes(height, image))
    feed = Feed(model, scene_of(image), heights, scale)
    geometry = feed.geometry
    _check_megapixels(geometry, image.name)
    rows, step = geometry.working[0], feed.rows_at_once
    pixels = np.empty((*geometry.padded, feed.channels), np.float32)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        pixels[start:stop] = feed.read(start, stop)[0]
    pixels[rows:] = pixels[mirrored_rows(rows, geometry.padded[0])]
    return Prepared(pixels, geometry, image.valid)


def _two_axes(height: Any, image: Image) -> FloatArray:
    metres = np.asarray(height, np.float32)
    if metres.ndim != 2:
        raise ImageError(
            f"the heights have {metres.ndim} axes; they must be (rows, columns). Give "
            "one band of metres.",
            file=image.name,
        )
    return metres


def _check_megapixels(geometry: Geometry, name: str) -> None:
    megapixels = geometry.working[0] * geometry.working[1] / 1e6
    if megapixels > MAX_WORKING_MEGAPIXELS:
        scale = geometry.working[1] / geometry.size[1]
        raise InputError(
            f"at the scale {scale:.3g} the image has {megapixels:.0f} megapixels; the "
            f"limit is {MAX_WORKING_MEGAPIXELS}. Use a smaller scale or crop it.",
            file=name,
        )
