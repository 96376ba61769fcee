"""What people bring that is not like the training images of the sample."""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.mask.gap import Gap, gap_windows, judge_windows, window_px

FloatImage = NDArray[np.float32]


def measure_gap(
    statistics: Mapping[str, Any],
    rgb: FloatImage,
    valid: NDArray[np.bool_] | None = None,
) -> Gap:
    """Compare an image in memory, at the working scale, with the training images."""
    places = gap_windows((rgb.shape[0], rgb.shape[1]), window_px(statistics))
    pieces = ((rgb[p], None if valid is None else valid[p]) for p in places)
    return judge_windows(statistics, pieces)


def rounded(rgb: NDArray[np.floating]) -> FloatImage:
    """Return an image as a file of 8 bits would give it."""
    return (np.rint(np.clip(rgb, 0, 1) * 255) / 255).astype(np.float32)


def grey_photo(rgb: FloatImage) -> FloatImage:
    """Return grey noise with the spectrum of photographs (1 / f), of the same size."""
    rng = np.random.default_rng(11)
    height, width = rgb.shape[:2]
    spectrum = np.fft.fft2(rng.standard_normal((height, width)))
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = 1
    plane = np.fft.ifft2(spectrum / frequency).real
    plane = 0.45 + 0.18 * (plane - plane.mean()) / plane.std()
    return rounded(np.repeat(plane[..., None], 3, axis=-1))


def screenshot(rgb: FloatImage) -> FloatImage:
    """Return dark writing on white, of the same size."""
    height, width = rgb.shape[:2]
    picture = np.full((height, width, 3), 255, np.uint8)
    for row in range(14, height, 16):
        words = "The quick brown fox jumps over the lazy dog. " * 4
        place = (4 - row % 9, row)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(picture, words, place, font, 0.38, (20, 20, 20), 1, cv2.LINE_AA)
    return picture.astype(np.float32) / 255


def magnified(rgb: FloatImage, factor: int = 4) -> FloatImage:
    """Return the middle of an image, enlarged to its size."""
    height, width = rgb.shape[:2]
    top, left = height // 2 - height // factor // 2, width // 2 - width // factor // 2
    part = rgb[top : top + height // factor, left : left + width // factor]
    return rounded(cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC))


def infrared(rgb: FloatImage) -> FloatImage:
    """Return false colours as of near infrared, red and green."""
    return rounded(np.stack([rgb[..., 1] * 1.6, rgb[..., 0], rgb[..., 1]], axis=-1))


def as_jpeg(rgb: FloatImage) -> FloatImage:
    """Return an image as a JPEG file of quality 80 gives it back."""
    picture = np.rint(rgb * 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return (cv2.imdecode(data, cv2.IMREAD_COLOR) / np.float32(255)).astype(np.float32)


FOREIGN: dict[str, Callable[[FloatImage], FloatImage]] = {
    "grey photo": grey_photo,
    "grey": lambda rgb: rounded(rgb.mean(axis=-1, keepdims=True).repeat(3, axis=-1)),
    "much darker": lambda rgb: rounded(rgb * 0.25),
    "darker": lambda rgb: rounded(rgb * 0.4),
    "much brighter": lambda rgb: rounded(rgb * 2),
    "washed out": lambda rgb: rounded(rgb * 0.3 + 0.45),
    "inverted": lambda rgb: rounded(1 - rgb),
    "red and blue swapped": lambda rgb: rgb[..., ::-1],
    "green and blue swapped": lambda rgb: rgb[..., [0, 2, 1]],
    "infrared": infrared,
    "blurred": lambda rgb: rounded(cv2.GaussianBlur(rgb, (0, 0), 3)),
    "magnified": magnified,
    "screenshot": screenshot,
    "white": np.ones_like,
    "black": np.zeros_like,
}
HARMLESS: dict[str, Callable[[FloatImage], FloatImage]] = {
    "as it is": lambda rgb: rgb,
    "as a JPEG": as_jpeg,
    "a little brighter": lambda rgb: rounded(rgb * 1.04 + 0.01),
    "upside down": lambda rgb: rgb[::-1],
    "turned": lambda rgb: np.swapaxes(rgb, 0, 1),
}
