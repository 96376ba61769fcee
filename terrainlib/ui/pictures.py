"""Pictures for the browser: made small, and encoded once.

Images become JPEG, masks PNG (JPEG would invent colours between classes).
"""

from typing import Any

import cv2
from numpy.typing import NDArray

from terrainlib.mask.rasters.export import to_bytes

JPEG_QUALITY = 88

# Run lengths alone: of masks, soft ones too, a third faster and no larger than a search
# for repetitions.
_PNG = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]


def encode_jpeg(rgb: NDArray[Any]) -> bytes:
    """Return a uint8 or float32 [0, 1] picture, (H, W, 3) or (H, W), as JPEG."""
    return _encode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def encode_png(rgb: NDArray[Any]) -> bytes:
    """Return a uint8 or float32 [0, 1] picture, (H, W), (H, W, 3) or 4, as PNG."""
    return _encode(".png", rgb, _PNG)


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


def _encode(suffix: str, picture: NDArray[Any], options: list[int]) -> bytes:
    picture = to_bytes(picture)
    if picture.ndim == 3:
        order = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        picture = cv2.cvtColor(picture, order)
    return bytes(cv2.imencode(suffix, picture, options)[1].tobytes())
