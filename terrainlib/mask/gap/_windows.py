"""Windows of an image, measured as they are and shrunk, for the gap meter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.model.imagefeatures import Vector, color_shares, image_features
from terrainlib.model.looks import Looks

FloatArray = NDArray[np.float32]
Flags = NDArray[np.bool_]

SCALES: Final = (1.0, 0.5, 0.25, 0.125)
NEARER: Final = 0.75  # a scale is worth trying from this share of the distance on
AS_NEAR: Final = 1.15  # and a larger one is as good as the best up to here


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredWindow:
    """One window.

    Attributes:
        features: (4, 8) float64, its features at each of the `SCALES`; NaN where it is
            too small then.
        shares: (216,) float64, share of its pixels in each cell of the colour cube.
    """

    features: Vector
    shares: Vector


def measured_window(rgb: FloatArray, valid: Flags | None) -> MeasuredWindow | None:
    """Measure a window; None where too little of it has data.

    Args:
        rgb: (h, w, 3) float32 in [0, 1].
        valid: (h, w) bool, which pixels have data; all where it is None.
    """
    if (own := image_features(rgb, valid)) is None:
        return None
    known = np.ones(rgb.shape[:2], bool) if valid is None else valid
    rows = [own]
    for scale in SCALES[1:]:
        found = _shrunk_features(rgb, known, scale)
        rows.append(np.full_like(own, np.nan) if found is None else found)
    return MeasuredWindow(np.stack(rows), color_shares(rgb, valid))


def distances_of(looks: Looks, windows: Sequence[MeasuredWindow]) -> Vector:
    """Return (N, 4) distances of N windows at each of the `SCALES`, NaN as above."""
    rows = [[looks.distance(row) for row in window.features] for window in windows]
    return np.array(rows, np.float64)


def better_scale(distances: Vector, limit: float) -> float | None:
    """Return the scale at which windows are clearly less far off, if there is one.

    Args:
        distances: (N, 4) float64 of N windows.
        limit: The largest distance that is still like the training images.
    """
    whole = ~np.isnan(distances).any(axis=0)
    middle = np.median(distances[:, whole], axis=0)
    near = middle <= min(limit, NEARER * middle[0], AS_NEAR * middle.min())
    return SCALES[int(np.argmax(near))] if near.any() else None


def _shrunk_features(rgb: FloatArray, known: Flags, scale: float) -> Vector | None:
    """Return the features of a window that is shrunk by averaging areas."""
    height, width = (int(length * scale) for length in known.shape)
    if min(height, width) < 1:
        return None
    size = (width, height)
    pixels = np.ascontiguousarray(rgb, np.float32)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return image_features(np.asarray(small, np.float32), np.asarray(weight >= 1))
