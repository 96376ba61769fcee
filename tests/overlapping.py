"""Data sets whose patches are cut from one map, some of them over each other."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from terrainlib.data.overlaps import Overlap
from terrainlib.data.palette import KAGGLE_CLASSES, colorize
from tests.synthetic import terrain

SIDE_PX = 96
# Row and column of each patch: 1 to 3 are a chain, 4 and 5 a pair, 6 and 7 alone.
PLACES = ((0, 0), (48, 30), (96, 60), (300, 300), (250, 280), (300, 0), (0, 300))
OVERLAPPING = {("0001", "0002"), ("0002", "0003"), ("0004", "0005")}


def write_overlapping_dataset(
    folder: Path, places: Sequence[tuple[int, int]] = PLACES, *, seed: int = 3
) -> Path:
    """Cut patches of 96 px from a map of 400 px; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rgb, mask, _ = terrain(400, seed)
    for number, (row, column) in enumerate(places, 1):
        window = (slice(row, row + SIDE_PX), slice(column, column + SIDE_PX))
        Image.fromarray(rgb[window]).save(folder / f"{number:04d}_t.png")
        colors = colorize(mask[window], KAGGLE_CLASSES)
        Image.fromarray(colors).save(folder / f"{number:04d}_i2.png")
    return folder


def shifted(
    first: str, second: str, *, right: float, down: float, share: float = 0.5
) -> Overlap:
    """Return the overlap of two patches, the second one further right and down."""
    return Overlap(first, second, share, ((1.0, 0.0, -right), (0.0, 1.0, -down)))
