"""Sharpening of masks and images: the Laplacian of the original, and an unsharp mask.

The arithmetic is written down exactly, because the live view in the browser does the
same and stays within 1/255 of it. With v the pixels of one channel:

    laplacian:  v + amount * (8 * v - sum of the eight neighbours)
    unsharp:    v + amount * (v - gaussian(v))

Outside the image pixels are mirrored without repeating the edge (reflect-101: the pixel
left of column 0 is column 1; in an image one pixel wide it is that pixel). The Gaussian
is separable with weights exp(-x^2 / (2 radius^2)) for x = -r..r, r = ceil(3 * radius),
divided by their sum. The result is clipped to the range of the dtype, and for integers
rounded first, halves to even.
"""

import math
from typing import Any, Final, Literal, TypeVar, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import ConfigError, ImageError, require_number

Method = Literal["laplacian", "unsharp"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
MAX_AMOUNT: Final = 10.0
MIN_RADIUS_PX: Final = 0.1
MAX_RADIUS_PX: Final = 50.0

_PIXEL_TYPES: Final = ("uint8", "uint16", "float32", "float64")
_MAX_CHANNELS: Final = 4

_Pixels = TypeVar("_Pixels", bound=NDArray[Any])


def sharpen(
    image: _Pixels,
    amount: float,
    *,
    method: Method = "laplacian",
    radius: float = 1.0,
) -> _Pixels:
    """Sharpen an image or a soft mask.

    `laplacian` filters with the 3x3 kernel identity + amount x Laplacian-8; amount 1 is
    the original notebook's kernel, nine in the middle of minus ones. `unsharp` adds
    what a Gaussian blur takes away. The formulas are at the top of this module.

    Args:
        image: (H, W) or (H, W, C), C up to 4; uint8, uint16, or float32 or
            float64 in [0, 1]. Of any size from one pixel on. Not modified.
        amount: Strength, 0 to 10; 0 changes nothing.
        method: `laplacian` or `unsharp`.
        radius: Standard deviation in px of the unsharp mask's Gaussian, 0.1 to 50;
            `laplacian` has none.

    Returns:
        A new array like `image`, clipped to the range of its dtype.

    Raises:
        ConfigError: If an option is out of its bounds.
        ImageError: If `image` is no such array.

    Example:
        >>> edge = np.array([[100, 100, 110, 110]], np.uint8)
        >>> sharpen(edge, 1.0).tolist()
        [[100, 70, 140, 110]]
    """
    _check_options(amount, method, radius)
    _check_image(image)
    if amount == 0:
        return image.copy()
    if method == "laplacian":
        sharp = _laplacian(image, amount)
    else:
        sharp = _unsharp(image, amount, radius)
    sharp = sharp.reshape(image.shape)
    if sharp.dtype.kind == "f":
        np.clip(sharp, 0.0, 1.0, out=sharp)
    return cast("_Pixels", sharp)


def check_amount(amount: Any) -> None:
    """Refuse an amount of sharpening out of its bounds.

    Raises:
        ConfigError: If it is none from 0 to 10.
    """
    require_number("sharpening amount", amount, 0.0, MAX_AMOUNT)


def gaussian_weights(radius: float) -> NDArray[np.float64]:
    """Return the 2 * ceil(3 * radius) + 1 weights of the blur; their sum is 1."""
    reach = math.ceil(3 * radius)
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    weights = np.exp(-(x**2) / (2 * radius**2))
    return np.asarray(weights / weights.sum())


def _laplacian(image: NDArray[Any], amount: float) -> NDArray[Any]:
    """Filter with identity + amount x Laplacian-8; OpenCV rounds and clips integers."""
    kernel = np.full((3, 3), -amount, np.float32)
    kernel[1, 1] = 1 + 8 * amount
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def _unsharp(image: NDArray[Any], amount: float, radius: float) -> NDArray[Any]:
    weights = gaussian_weights(radius)
    planes = image.reshape(*image.shape[:2], -1)
    sharp = np.empty_like(planes)
    for channel in range(planes.shape[2]):
        plane = planes[:, :, channel].astype(np.result_type(image.dtype, np.float32))
        blurred = cv2.sepFilter2D(
            plane, -1, weights, weights, borderType=cv2.BORDER_REFLECT_101
        )
        plane += amount * (plane - blurred)
        if sharp.dtype.kind == "u":
            highest = 2 ** (8 * sharp.dtype.itemsize) - 1
            np.clip(np.rint(plane, out=plane), 0, highest, out=plane)
        sharp[:, :, channel] = plane
    return sharp


def _check_options(amount: float, method: str, radius: float) -> None:
    """Raise for a method that does not exist or a number out of its bounds."""
    if method not in METHODS:
        raise ConfigError(
            f"the sharpening method must be one of {', '.join(METHODS)}, not "
            f"{method!r}. Choose one of them."
        )
    check_amount(amount)
    require_number("sharpening radius", radius, MIN_RADIUS_PX, MAX_RADIUS_PX)


def _check_image(image: NDArray[Any]) -> None:
    if not isinstance(image, np.ndarray) or image.dtype.name not in _PIXEL_TYPES:
        kind = getattr(image, "dtype", type(image).__name__)
        raise ImageError(
            f"sharpening takes pixels of type {', '.join(_PIXEL_TYPES)}, not {kind}. "
            "Convert the image first."
        )
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or not 1 <= channels <= _MAX_CHANNELS or not image.size:
        raise ImageError(
            f"sharpening takes one image, (H, W) or (H, W, 1 to {_MAX_CHANNELS}), not "
            f"an array of shape {image.shape}. Give a single image that is not empty."
        )
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ImageError(
            "the image holds values that are not numbers (NaN or Inf). "
            "Replace them before sharpening."
        )
