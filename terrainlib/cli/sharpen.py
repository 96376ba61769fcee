"""The command `sharpen`."""

import argparse

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.cli.console import note
from terrainlib.data.imagery import read_image
from terrainlib.errors import FailureError, InputError
from terrainlib.mask.rasters.png import encode_png
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.bands import to_bytes
from terrainlib.types import ByteArray

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_JPEG_QUALITY = 95


def sharpen_image(options: argparse.Namespace) -> int:
    """Sharpen an image into a new file of the same size.

    Raises:
        InputError: If the image or an option is not usable; nothing is written then.
    """
    if options.out.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"the format is chosen by the name's end, and {options.out.suffix!r} is "
            "none of .png, .jpg, .jpeg, .tif and .tiff. Rename it.",
            file=options.out.name,
        )
    if options.out.is_dir():
        raise InputError("is a folder. Name a file to write.", file=options.out.name)
    both = options.out.exists() and options.image.exists()
    if both and options.out.samefile(options.image):
        raise InputError(
            "would be overwritten. Give the result another name.",
            file=options.image.name,
        )
    image = read_image(options.image)
    for text in image.notes:
        note(f"{image.name}: {text}")
    result = sharpen(
        _as_stored(image.rgb),
        options.amount,
        method=options.method,
        radius=options.radius,
    )
    files.write_bytes(options.out, encode(to_bytes(result), options.out.suffix))
    return 0


def encode(rgb: ByteArray, suffix: str) -> bytes:
    """Return RGB pixels (H, W, 3) as a PNG, JPEG or TIFF file, by the name's end.

    Raises:
        FailureError: If the pixels cannot be encoded.
    """
    import cv2

    if suffix.lower() == ".png":
        return encode_png(rgb)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    options = quality if suffix.lower() in (".jpg", ".jpeg") else []
    done, data = cv2.imencode(suffix.lower(), rgb[..., ::-1], options)
    if not done:
        raise FailureError(f"{rgb.shape[1]} x {rgb.shape[0]} px cannot be encoded.")
    return bytes(data)


def _as_stored(rgb: NDArray[np.float32]) -> ByteArray | NDArray[np.float32]:
    """Return pixels that were bytes as bytes, so that they are sharpened as such."""
    pixels = to_bytes(rgb)
    return pixels if np.allclose(pixels / np.float32(255), rgb, atol=1e-6) else rgb
