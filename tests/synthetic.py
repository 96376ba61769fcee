"""Small seeded terrain and data sets for the tests.

The land is a sum of smooth blobs: heights and moisture decide the class, and the class
decides the colour (with some noise), so that a tiny network can learn it in seconds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terrainlib.data.palette import KAGGLE_CLASSES, colorize, save_classes

# What the ground of each Kaggle class looks like from above.
_GROUND = np.array(
    [
        (20, 40, 110),  # Water
        (120, 160, 60),  # Grassland
        (25, 80, 35),  # Forest
        (130, 95, 60),  # Hills
        (225, 195, 140),  # Desert
        (95, 90, 95),  # Mountain
        (235, 240, 245),  # Tundra
    ],
    np.float32,
)


def terrain(
    size: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint16]]:
    """Return an image (S, S, 3), its class mask (S, S) and its heights in metres."""
    rng = np.random.default_rng(seed)
    land = _blobs(rng, size)
    wet = _blobs(rng, size)
    mask = np.select(
        [land < 0.3, land > 0.88, land > 0.76, land > 0.64, wet > 0.66, wet < 0.33],
        [0, 6, 5, 3, 2, 4],
        default=1,
    ).astype(np.uint8)
    noise = rng.normal(0, 6, (size, size, 3))
    rgb = np.clip(_GROUND[mask] + noise, 0, 255).astype(np.uint8)
    height = np.where(land < 0.3, 0, (land - 0.3) * 5000).astype(np.uint16)
    return rgb, mask, height


def write_kaggle_dataset(
    folder: Path, *, pairs: int = 6, size: int = 32, seed: int = 0, heights: bool = True
) -> Path:
    """Write `ID_t.png`, `ID_i2.png` and, if wanted, `ID_h.png`; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, pairs + 1):
        rgb, mask, height = terrain(size, seed * 1000 + number)
        Image.fromarray(rgb).save(folder / f"{number:04d}_t.png")
        colors = colorize(mask, KAGGLE_CLASSES)
        Image.fromarray(colors).save(folder / f"{number:04d}_i2.png")
        if heights:
            Image.fromarray(height).save(folder / f"{number:04d}_h.png")
    return folder


def write_folders_dataset(
    folder: Path,
    *,
    pairs: int = 6,
    size: int = 32,
    seed: int = 0,
    heights: bool = True,
    masks: Literal["colors", "indices"] = "colors",
    classes: bool = False,
) -> Path:
    """Write `images/`, `masks/` and `heights/` of `tile_NN.png`; return the folder.

    Masks are written in the Kaggle colours or as class indices; `classes` adds a
    `classes.json` with the Kaggle classes.
    """
    for part in ("images", "masks", *(["heights"] if heights else [])):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number in range(1, pairs + 1):
        rgb, mask, height = terrain(size, seed * 1000 + number)
        name = f"tile_{number:02d}.png"
        Image.fromarray(rgb).save(folder / "images" / name)
        pixels = colorize(mask, KAGGLE_CLASSES) if masks == "colors" else mask
        Image.fromarray(pixels).save(folder / "masks" / name)
        if heights:
            Image.fromarray(height).save(folder / "heights" / name)
    if classes:
        save_classes(folder / "classes.json", KAGGLE_CLASSES)
    return folder


def write_sized_dataset(folder: Path, sizes: Sequence[tuple[int, int]]) -> Path:
    """Write `images/` and `masks/` of `tile_NN.png`, (H, W) px each."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, (height, width) in enumerate(sizes, start=1):
        rgb, mask, _ = terrain(max(height, width), number)
        name = f"tile_{number:02d}.png"
        Image.fromarray(rgb[:height, :width]).save(folder / "images" / name)
        colors = colorize(mask[:height, :width], KAGGLE_CLASSES)
        Image.fromarray(colors).save(folder / "masks" / name)
    return folder


def _blobs(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Return smooth noise whose values are spread evenly over [0, 1]."""
    cells = max(3, size // 8)
    coarse = rng.random((cells, cells), dtype=np.float32)
    smooth = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    ranks = np.argsort(np.argsort(smooth.ravel()))
    return (ranks / max(1, ranks.size - 1)).reshape(size, size).astype(np.float32)
