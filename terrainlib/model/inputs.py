"""What a network is fed: bands and, where used, relief computed from the heights.

Training, the gallery and the studio all come through here, so that a model sees at
prediction what it saw in training. No TensorFlow.
"""

from typing import cast

import cv2
import numpy as np

from terrainlib.errors import InputError
from terrainlib.model.config import UNetConfig
from terrainlib.types import FloatArray

RELIEF_WINDOW_PX = 5
RELIEF_UNIT_M = 1000.0
_FAR_M = 1e9  # beyond every height


def network_input(
    pixels: FloatArray, height: FloatArray | None, config: UNetConfig
) -> FloatArray:
    """Return what the network of `config` is fed for one image or a batch.

    Args:
        pixels: (..., H, W, B) float32 in [0, 1].
        height: (..., H, W) float32 in metres at the same resolution, NaN where there is
            none; ignored by networks without relief.
        config: Shape of the network.

    Returns:
        (..., H, W, C) float32, C being B, or B + 1 with relief.

    Raises:
        InputError: If the network needs heights and `height` is None.
    """
    if not config.height:
        return np.asarray(pixels, dtype=np.float32)
    require_heights(config, height)
    metres = relief(cast("FloatArray", height))
    return np.concatenate([pixels, metres[..., None]], axis=-1, dtype=np.float32)


def require_bands(config: UNetConfig, bands: int, *, file: str | None = None) -> None:
    """Refuse an image of another number of bands than a network is fed.

    Args:
        config: Shape of the network.
        bands: Bands of the image.
        file: The image, for the message.

    Raises:
        InputError: If they differ.
    """
    if bands != config.bands:
        raise InputError(
            f"the image has {bands} {'band' if bands == 1 else 'bands'}, and the model "
            f"uses {config.bands}. Read it with the bands of the model.",
            file=file,
        )


def require_heights(
    config: UNetConfig, heights: object, *, file: str | None = None
) -> None:
    """Refuse a network that uses heights where there are none.

    Args:
        config: Shape of the network.
        heights: The heights, as an array or a file; None without.
        file: The image or the model, for the message.

    Raises:
        InputError: If they are missing.
    """
    if config.height and heights is None:
        raise InputError(
            "this model needs the heights beside the image, and there are none. Give a "
            "height file that covers the image (--height-file on the command line), or "
            "use a model for images alone.",
            file=file,
        )


def relief(height: FloatArray) -> FloatArray:
    """Return the local relief: highest minus lowest height around each pixel.

    It tells hills and mountains from plains wherever they lie, which metres above sea
    level do not. The square root spreads the low reliefs, where most land is.

    Args:
        height: (..., H, W) float32 in metres; NaN where there is none.

    Returns:
        (..., H, W) float32, sqrt(range / 1000 m) of the heights that there are in a
        window of 5 px, 0 where there are none; about 0 to 2.
    """
    metres = np.asarray(height, np.float32)
    planes = metres.reshape(-1, *metres.shape[-2:])
    window = np.ones((RELIEF_WINDOW_PX, RELIEF_WINDOW_PX), np.uint8)
    ranges = [
        cv2.dilate(np.nan_to_num(plane, nan=-_FAR_M), window)
        - cv2.erode(np.nan_to_num(plane, nan=_FAR_M), window)
        for plane in planes
    ]
    result = np.sqrt(np.maximum(np.stack(ranges), 0) / RELIEF_UNIT_M)
    return result.reshape(metres.shape).astype(np.float32)
