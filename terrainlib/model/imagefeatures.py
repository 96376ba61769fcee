"""What an image looks like in a few numbers: brightness, colours, contrast, detail.

They are measured on windows of the size that a model was trained with, at its working
scale, for its training images and for an image that somebody brings alike. No
TensorFlow.
"""

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]

FEATURES: Final = (
    "brightness",
    "red",
    "blue",
    "contrast",
    "vividness",
    "variety",
    "detail",
    "coarse_detail",
)
COLOR_LEVELS: Final = 6
COLOR_CELLS: Final = COLOR_LEVELS**3
MIN_PIXELS: Final = 256
MIN_SIDE_PX: Final = 8
MIN_VALID_SHARE: Final = 0.25

_DARK: Final = 0.02  # keeps the logarithm of a black image finite
_FLAT: Final = 0.01  # and that of a flat one
_OFFSETS: Final = {
    "brightness": _DARK,
    "contrast": _FLAT,
    "vividness": _DARK,
    "variety": _FLAT,
}
_ROUNDING: Final = 1 / (12 * 255**2)  # variance of rounding to 8 bits


def image_features(rgb: FloatArray, valid: Flags | None = None) -> Vector | None:
    """Return the features of one window, in the order of `FEATURES`.

    All are logarithms to base 2, so that a difference of 1 is a factor of 2:

    - `brightness`: mean of all channels.
    - `red`, `blue`: mean of the channel over the mean of green.
    - `contrast`: spread of the brightness of pixels.
    - `vividness`: mean of the largest minus the smallest channel of a pixel.
    - `variety`: spread of that.
    - `detail`: amplitude between neighbouring pixels over the amplitude at twice the
      distance, within blocks of 2 x 2 and 4 x 4 px (the Haar wavelet); 0 where both are
      equal, -1 where the image is as smooth as a slope. Contrast does not change it.
    - `coarse_detail`: the same at twice the distance.

    Args:
        rgb: (H, W, 3) float32 in [0, 1]; not modified.
        valid: (H, W) bool, which pixels have data; all where it is None.

    Returns:
        (8,) float64; None where fewer than 256 pixels, or less than a quarter of them,
        have data, or a side is shorter than 8 px.
    """
    height, width = rgb.shape[:2]
    known = np.ones((height, width), bool) if valid is None else valid
    count = int(np.count_nonzero(known))
    enough = count >= max(MIN_PIXELS, MIN_VALID_SHARE * known.size)
    if not enough or min(height, width) < MIN_SIDE_PX:
        return None
    # One plane a channel: NumPy is several times slower along an axis of three values.
    planes = [np.ascontiguousarray(rgb[..., band], np.float32) for band in range(3)]
    inside = planes if count == known.size else [plane[known] for plane in planes]
    red, green, blue = (float(band.mean(dtype=float)) + _DARK for band in inside)
    vivid = functools.reduce(np.maximum, inside) - functools.reduce(np.minimum, inside)
    brightness = (planes[0] + planes[1] + planes[2]) / np.float32(3)
    values = [
        (red + green + blue) / 3,
        red / green,
        blue / green,
        float(brightness[known].std(dtype=float)) + _FLAT,
        float(vivid.mean(dtype=float)) + _DARK,
        float(vivid.std(dtype=float)) + _FLAT,
        *_details(brightness, known),
    ]
    return np.log2(values)


def natural_value(name: str, value: float) -> float:
    """Return a feature without its logarithm.

    Args:
        name: One of the `FEATURES`.
        value: Its value as `image_features` gives it.

    Returns:
        For brightness, contrast, vividness and variety a value in [0, 1], for the
        others a ratio.
    """
    return max(0.0, float(2**value) - _OFFSETS.get(name, 0.0))


def mean_color(features: Vector) -> Vector:
    """Return the mean red, green and blue, (3,) float64 in [0, 1], out of features."""
    total, red, blue = (float(2 ** features[number]) for number in range(3))
    green = 3 * total / (1 + red + blue)
    color = np.array([red * green, green, blue * green]) - _DARK
    return np.maximum(color, 0)


def color_cells(rgb: FloatArray) -> NDArray[np.intp]:
    """Return which of the 216 cells of the colour cube each pixel lies in.

    Each channel is cut into 6 levels of its square root: dark colours, which satellite
    images are full of, are told apart more finely than bright ones.

    Args:
        rgb: (..., 3) float32 in [0, 1].

    Returns:
        (...) indices below 216.

    Example:
        >>> color_cells(np.array([[0, 0, 0], [1, 1, 1]], np.float32)).tolist()
        [0, 215]
    """
    levels = (np.sqrt(np.clip(rgb, 0, 1)) * COLOR_LEVELS).astype(np.intp)
    np.minimum(levels, COLOR_LEVELS - 1, out=levels)
    red, green, blue = levels[..., 0], levels[..., 1], levels[..., 2]
    return np.asarray((red * COLOR_LEVELS + green) * COLOR_LEVELS + blue, np.intp)


def color_shares(rgb: FloatArray, valid: Flags | None = None) -> Vector:
    """Return the share of the pixels with data in each cell of the colour cube.

    Args:
        rgb: (H, W, 3) float32 in [0, 1].
        valid: (H, W) bool, which pixels have data; all where it is None.

    Returns:
        (216,) float64 that sums to 1, or zeros without data.
    """
    cells = color_cells(rgb if valid is None else rgb[valid]).ravel()
    counts = np.bincount(cells, minlength=COLOR_CELLS)
    return counts / max(1, cells.size)


def _details(brightness: FloatArray, known: Flags) -> list[float]:
    """Return the ratios of amplitudes at 1, 2 and 4 px; 1 where too little is known."""
    height, width = (side // 8 * 8 for side in brightness.shape)
    plane, inside = brightness[:height, :width], known[:height, :width]
    energies: list[float] = []
    for _ in range(3):
        halved, complete = _halved(plane), _halved(inside)
        parts = plane - halved.repeat(2, axis=0).repeat(2, axis=1)
        whole = np.asarray(complete == 1).repeat(2, axis=0).repeat(2, axis=1)
        energy = (
            float(np.square(parts[whole], dtype=float).mean()) if whole.any() else 0
        )
        energies.append(energy + _ROUNDING)
        plane, inside = halved, complete == 1
    return [(energies[n] / energies[n + 1]) ** 0.5 for n in range(2)]


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the means of blocks of 2 x 2 px."""
    values = plane.astype(np.float32, copy=False)
    pairs = values[::2] + values[1::2]
    return np.asarray((pairs[:, ::2] + pairs[:, 1::2]) / np.float32(4))
