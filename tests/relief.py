"""A large seeded map with detail at all scales, to cut overlapping patches from."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terrainlib.data.palette import KAGGLE_CLASSES, colorize


def relief_map(size: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return a map's colours (S, S, 3) and its heights in metres (S, S)."""
    rng = np.random.default_rng(seed)
    land, wet = _fractal(rng, size), _fractal(rng, size)
    slope = np.gradient(land)[0] + np.gradient(land)[1]
    light = np.clip(0.5 + 6 * slope, 0, 1)[..., None]
    tint = np.stack([land, 0.5 * land + 0.5 * wet, wet], axis=2)
    rgb = np.clip(255 * (0.6 * light + 0.4 * tint), 0, 255).astype(np.uint8)
    return rgb, (land * 6000).astype(np.uint16)


def write_patches(
    folder: Path,
    patches: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint16] | None]],
) -> Path:
    """Write images (and heights) with masks of one class each; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, (rgb, height)) in enumerate(sorted(patches.items())):
        mask = np.full(rgb.shape[:2], number % len(KAGGLE_CLASSES), np.uint8)
        Image.fromarray(rgb).save(folder / f"{name}_t.png")
        Image.fromarray(colorize(mask, KAGGLE_CLASSES)).save(folder / f"{name}_i2.png")
        if height is not None:
            Image.fromarray(height).save(folder / f"{name}_h.png")
    return folder


def _fractal(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Return noise of all sizes, larger ones stronger, in [0, 1]."""
    total = np.zeros((size, size), np.float32)
    cells = 4
    while cells <= size // 2:
        noise = rng.random((cells, cells), dtype=np.float32) - 0.5
        total += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) / cells
        cells *= 2
    low, high = float(total.min()), float(total.max())
    return ((total - low) / (high - low)).astype(np.float32)
