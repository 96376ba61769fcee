"""A tiny model file for the tests: seeded weights, nothing learnt, quickly made."""

from dataclasses import replace
from pathlib import Path

import pytest

from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.model.config import UNetConfig

# Keras 3.15 reads variables with `np.array`, which TensorFlow 2.21 answers without the
# `copy` keyword of NumPy 2; harmless, and not ours to mend.
KERAS_COPY_WARNING = (
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning:"
    "keras.src.backend.tensorflow.core"
)


def write_model(folder: Path, name: str = "tiny", *, height: bool = False) -> Path:
    """Write `NAME.keras` into a folder and return its path.

    Its classes are the Kaggle ones; it takes 32 px images at their own scale, and the
    heights beside them if asked for.
    """
    import keras

    from terrainlib.model.modelfile import receptive_field
    from terrainlib.model.network import build_unet
    from terrainlib.model.reading.writer import save_model
    from terrainlib.model.record import ModelRecord

    config = UNetConfig(image_size=32, filters=(4, 8), height=height)
    keras.utils.set_random_seed(7)
    record = ModelRecord(
        config=config.to_dict(),
        classes=[{"name": c.name, "color": list(c.color)} for c in KAGGLE_CLASSES],
        name=name,
        scale=1.0,
        receptive_field=receptive_field(config),
    )
    written, _ = save_model(build_unet(config), record, folder / f".{name}")
    folder.mkdir(parents=True, exist_ok=True)
    return written.rename(folder / f"{name}.keras")


def write_instant(folder: Path, name: str = "instant") -> Path:
    """Write `NAME.json`, an instant classifier of the Kaggle classes: no TensorFlow."""
    import numpy as np

    from terrainlib.model.instant import (
        Describer,
        InstantClassifier,
        save_instant,
        unlearnt,
    )

    describe = Describer(height=False)
    count = describe(np.zeros((8, 8, 3), np.float32)).shape[-1]
    rng = np.random.default_rng(7)
    ones = np.ones(count, np.float32)
    weights = rng.normal(size=(count, len(KAGGLE_CLASSES))).astype(np.float32)
    bias = np.zeros(len(KAGGLE_CLASSES), np.float32)
    network = InstantClassifier(describe, ones / 2, ones / 4, weights, bias)
    model = unlearnt(describe, KAGGLE_CLASSES, None)
    folder.mkdir(parents=True, exist_ok=True)
    save_instant(replace(model, network=network), folder / f"{name}.json")
    return folder / f"{name}.json"


def hide_embedded_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test run as if no model were embedded."""
    for word in tuple(EMBEDDED_MODELS):
        monkeypatch.setitem(EMBEDDED_MODELS, word, Path("not-there.keras"))
