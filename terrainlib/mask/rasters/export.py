"""Masks as PNG pictures for others.

Everything is encoded in memory; writing is the caller's business, through `files`.
Masks on the grid of their image are the business of `geotiff`.
"""

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from terrainlib.data.palette import Classes, colorize
from terrainlib.errors import ImageError, require_number
from terrainlib.mask.tiles.bands import to_bytes

__all__ = [
    "encode_png",
    "index_png",
    "mask_png",
    "overlay",
    "to_bytes",
]

Bytes = NDArray[np.uint8]

_PNG_COMPRESSION: Final = (
    4  # a tenth larger than the smallest, at three times the speed
)


def overlay(rgb: NDArray[Any], mask_rgb: NDArray[Any], opacity: float) -> Bytes:
    """Lay a coloured mask over an image.

    Args:
        rgb: (H, W, 3) uint8, or float32 in [0, 1].
        mask_rgb: (H, W, 3) of the same size, uint8, or float32 in [0, 1].
        opacity: 0 shows the image alone, 1 the mask alone.

    Returns:
        (H, W, 3) uint8: image + opacity * (mask - image), rounded.

    Raises:
        ConfigError: If the opacity is not 0 to 1.
        ImageError: If the sizes differ.
    """
    require_number("opacity", opacity, 0, 1)
    if rgb.shape != mask_rgb.shape:
        raise ImageError(
            f"the image is {rgb.shape} and the mask {mask_rgb.shape}; both must have "
            "the same size. Use the mask that belongs to the image."
        )
    below = _unit(rgb)
    return to_bytes(below + np.float32(opacity) * (_unit(mask_rgb) - below))


def encode_png(picture: NDArray[Any]) -> bytes:
    """Return a picture as a PNG file.

    Args:
        picture: (H, W) or (H, W, 3) uint8, or float32 in [0, 1].
    """
    return _png(PillowImage.fromarray(np.ascontiguousarray(to_bytes(picture))), {})


def mask_png(mask: Bytes, classes: Classes) -> bytes:
    """Return a class mask as an RGB PNG in the colours of its classes, no data black.

    Args:
        mask: (H, W) uint8 class indices, 255 = no data.
        classes: The K classes.
    """
    return encode_png(colorize(mask, classes))


def index_png(
    mask: Bytes, classes: Classes, *, texts: Mapping[str, str] | None = None
) -> bytes:
    """Return a class mask as a palette PNG: indices inside, colours on the screen.

    Args:
        mask: (H, W) uint8 class indices, 255 = no data.
        classes: The K classes.
        texts: Text chunks to store before the pixels, by keyword.
    """
    picture = PillowImage.fromarray(np.ascontiguousarray(mask))
    table = colorize(np.arange(256, dtype=np.uint8), classes)
    picture.putpalette(table.tobytes())
    return _png(picture, texts or {})


def _unit(picture: NDArray[Any]) -> NDArray[np.float32]:
    """Return pixels as float32 in [0, 1]."""
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / np.float32(255)
    return np.asarray(picture, np.float32)


def _png(picture: PillowImage.Image, texts: Mapping[str, str]) -> bytes:
    """Encode with Pillow."""
    stream = io.BytesIO()
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    picture.save(stream, "PNG", compress_level=_PNG_COMPRESSION, pnginfo=info)
    return stream.getvalue()
