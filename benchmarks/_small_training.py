"""A training on a few tiles of the embedded sample, over in seconds."""

import shutil
from pathlib import Path

from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.training.config import RunConfig

TILES = 14


def small_training(folder: Path, epochs: int) -> RunConfig:
    """Copy tiles of the sample and return a training on them."""
    folder.mkdir()
    names = sorted(path.name for path in SAMPLE_DIR.glob("*_t.png"))[:TILES]
    for name in names:
        for kind in ("_t.png", "_i2.png"):
            tile = name.replace("_t.png", kind)
            shutil.copy(SAMPLE_DIR / tile, folder / tile)
    network = {"image_size": 64, "filters": (8, 16), "dropout": 0.1}
    training = TrainingConfig.preset(
        "fast", network=network, epochs=epochs, batch_size=2, validation_share=0.3
    )
    return RunConfig("Kills", str(folder), training)
