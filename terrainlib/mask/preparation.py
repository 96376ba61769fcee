"""From an image to what a model's network is fed, and from its output back.

Owns the model's working resolution: images are shrunk or enlarged to it and padded to
what the network takes; the output is enlarged to the image's size. No TensorFlow.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Image
from terrainlib.errors import ConfigError, ImageError, InputError
from terrainlib.mask.tiling import round_up
from terrainlib.model.baseline import PixelClassifier
from terrainlib.model.inputs import network_input
from terrainlib.model.pixelfeatures import classifier_input

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

FloatArray = NDArray[np.float32]
Size = tuple[int, int]

MIN_SCALE: Final = 0.001
MAX_SCALE: Final = 16.0
MAX_WORKING_MEGAPIXELS: Final = 100


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image ready for a network.

    Attributes:
        pixels: (H', W', C) float32 network input, H' and W' multiples of the network's
            size multiple.
        working_size: (h, w) of the part of `pixels` that is not padding.
        valid: (H, W) bool at the image's own size.
    """

    pixels: FloatArray
    working_size: Size
    valid: NDArray[np.bool_]


def prepare(
    model: "TerrainModel",
    image: Image,
    *,
    height: FloatArray | None = None,
    scale: float | None = None,
) -> Prepared:
    """Bring an image to a model's working resolution and pad it.

    Shrinking averages areas, enlarging is bilinear. A model without a scale, from the
    original notebook, gets the whole image bilinearly at the size it was trained with,
    as the notebook does it. The lower and right rims are padded by reflection. Pixels
    without data weigh nothing in averages and are black where nothing else is there.

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
    config = model.config
    size = (image.height, image.width)
    heights = _heights(model, image, height)
    factor = model.scale if scale is None else _checked_scale(scale)
    target = _working_size(size, factor, config.image_size, image.name)
    method = _interpolation(size, target, whole=factor is None)
    rgb = _resample(image.rgb, image.valid, target, method)
    if heights is not None:
        heights = _resample_heights(heights, target, method)
    if isinstance(model.network, PixelClassifier):
        pixels = classifier_input(rgb, heights, use_height=config.height)
    else:
        pixels = network_input(rgb, heights, config)
    return Prepared(_padded(pixels, config.size_multiple), target, image.valid)


def enlarge(plane: FloatArray, size: Size) -> FloatArray:
    """Bring an output at working resolution to the image's size.

    Args:
        plane: (h, w) or (h, w, 3) float32.
        size: (H, W) in px.

    Returns:
        (H, W) or (H, W, 3) float32: enlarged bilinearly, shrunk by averaging areas.
    """
    return _resize(plane, size, _interpolation((plane.shape[0], plane.shape[1]), size))


def _heights(model: "TerrainModel", image: Image, height: Any) -> FloatArray | None:
    """Return the heights where the model uses them; raise where they do not fit."""
    if not model.config.height:
        return None
    if height is None:
        raise InputError(
            "the model needs the heights beside the image, and there are none. "
            "Give a height file of the image's size, or use a model for images alone.",
            file=image.name,
        )
    heights = np.asarray(height, np.float32)
    if heights.shape != (image.height, image.width):
        found = " x ".join(str(length) for length in heights.shape)
        raise ImageError(
            f"the heights are {found} and the image is {image.height} x {image.width} "
            "(rows x columns); both must have the same size. Give the heights that "
            "belong to this image.",
            file=image.name,
        )
    return heights


def _checked_scale(scale: float) -> float:
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise ConfigError(
            f"the scale must be {MIN_SCALE:g} to {MAX_SCALE:g} working pixels per "
            f"image pixel, not {scale!r}. Leave it out to use the model's own."
        )
    return float(scale)


def _working_size(size: Size, scale: float | None, whole_px: int, name: str) -> Size:
    """Return the size at which the network works, without padding."""
    if scale is None:
        return whole_px, whole_px
    height, width = (max(1, math.floor(length * scale + 0.5)) for length in size)
    megapixels = height * width / 1e6
    if megapixels > MAX_WORKING_MEGAPIXELS:
        raise InputError(
            f"at the scale {scale:g} the image has {megapixels:.0f} megapixels; the "
            f"limit is {MAX_WORKING_MEGAPIXELS}. Use a smaller scale or crop it.",
            file=name,
        )
    return height, width


def _interpolation(size: Size, target: Size, *, whole: bool = False) -> int:
    """Return OpenCV's method: areas where both sides shrink, else bilinear."""
    shrinks = target[0] <= size[0] and target[1] <= size[1] and not whole
    return cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR


def _resample(
    values: FloatArray, known: NDArray[np.bool_], target: Size, method: int
) -> FloatArray:
    """Resize with pixels that are not known left out of every average; 0 for none."""
    if known.all():
        return _resize(values, target, method)
    weights = _resize(known.astype(np.float32), target, method)
    inside = known if values.ndim == 2 else known[..., None]
    total = _resize(np.where(inside, values, np.float32(0)), target, method)
    divisor = np.where(weights > 0, weights, np.float32(1))
    total /= divisor if values.ndim == 2 else divisor[..., None]
    return total


def _resample_heights(heights: FloatArray, target: Size, method: int) -> FloatArray:
    """Resize heights; NaN where nothing is known."""
    known = np.isfinite(heights)
    low = _resample(heights, known, target, method)
    if not known.all():
        low[_resize(known.astype(np.float32), target, method) <= 0] = np.nan
    return low


def _resize(values: FloatArray, target: Size, method: int) -> FloatArray:
    """Resize (H, W) or (H, W, 3) to (H, W) `target`."""
    if values.shape[:2] == target:
        return np.asarray(values, np.float32)
    resized = cv2.resize(values, (target[1], target[0]), interpolation=method)
    return np.asarray(resized, np.float32)


def _padded(pixels: FloatArray, multiple: int) -> FloatArray:
    """Pad (H, W, C) below and on the right by reflection; one pixel is repeated."""
    missing = [round_up(length, multiple) - length for length in pixels.shape[:2]]
    if not any(missing):
        return pixels
    return np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="reflect")
