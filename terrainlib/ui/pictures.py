"""Pictures for the browser: made small, and encoded once.

Images become JPEG; masks become PNG (JPEG would invent colours between classes), by
`mask.rasters.export`.
"""

from typing import Any

import cv2
from numpy.typing import NDArray

from terrainlib.mask.tiles.bands import to_bytes

JPEG_QUALITY = 88


def encode_jpeg(rgb: NDArray[Any]) -> bytes:
    """Return a uint8 or float32 [0, 1] picture, (H, W, 3) or (H, W), as JPEG."""
    picture: NDArray[Any] = to_bytes(rgb)
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return bytes(cv2.imencode(".jpg", picture, quality)[1].tobytes())


def shrink(picture: NDArray[Any], longest_px: int, *, nearest: bool) -> NDArray[Any]:
    """Return a picture whose longer side is at most `longest_px`.

    Args:
        picture: (H, W) or (H, W, C).
        longest_px: Limit of height and width.
        nearest: True for masks, whose values may not be mixed; else areas are averaged.
    """
    height, width = picture.shape[:2]
    factor = longest_px / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return cv2.resize(picture, size, interpolation=method)
