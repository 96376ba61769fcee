"""A patch with the ground it shares outlined."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data.overlaps import Overlap
from terrainlib.mask.rasters.export import to_bytes

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

OUTLINE_COLOR: Final = (255, 214, 10)
SIDE_PX: Final = 480
_HALO: Final = (20, 20, 20)
_DIMMED: Final = 0.55  # brightness outside the shared ground
_SHIFT: Final = 4  # OpenCV draws in sixteenths of a pixel


def overlap_pictures(
    first: Floats, second: Floats, overlap: Overlap, *, side_px: int = SIDE_PX
) -> tuple[Bytes, Bytes]:
    """Draw two patches with the ground they share outlined in both.

    What they do not share is darker. A dot marks one corner of the shared ground, the
    same in both.

    Args:
        first: Image of the overlap's first patch, float32 RGB in [0, 1], (H, W, 3).
        second: Image of its second, alike.
        overlap: The overlap.
        side_px: Longer side of the pictures.

    Returns:
        Two pictures, (h, w, 3) uint8 RGB.
    """
    sizes = [(image.shape[1], image.shape[0]) for image in (first, second)]
    own = overlap.outline(sizes[0], sizes[1])
    other = overlap.reversed().outline(sizes[1], sizes[0])
    dot = own[:1]
    matrix = np.array(overlap.matrix)
    same = dot @ matrix[:, :2].T + matrix[:, 2]
    return _outlined(first, own, dot, side_px), _outlined(second, other, same, side_px)


def _outlined(
    image: Floats,
    outline: NDArray[np.float64],
    dot: NDArray[np.float64],
    side_px: int,
) -> Bytes:
    """Draw one patch with an outline and a dot, both in its own px."""
    height, width = image.shape[:2]
    scale = side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = cv2.resize(to_bytes(image), size, interpolation=way)
    if len(outline) < 3:
        return np.asarray(picture, np.uint8)
    points = [np.round(outline * scale).astype(np.int32)]
    inside = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(inside, points, 1)
    drawn = np.where(inside[..., None] > 0, picture, picture * _DIMMED).astype(np.uint8)
    fixed = [np.round(outline * scale * 2**_SHIFT).astype(np.int32)]
    for line, color in ((5, _HALO), (2, OUTLINE_COLOR)):
        cv2.polylines(drawn, fixed, True, color, line, cv2.LINE_AA, _SHIFT)
    x, y = (round(float(value)) for value in dot[0] * scale)
    for radius, color in ((8, _HALO), (6, OUTLINE_COLOR)):
        cv2.circle(drawn, (x, y), radius, color, cv2.FILLED, cv2.LINE_AA)
    return drawn
