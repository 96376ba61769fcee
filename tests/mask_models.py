"""Models and data for the tests of prediction, scores and galleries."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.palette import KAGGLE_CLASSES, color_table, colorize
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import TerrainModel
from terrainlib.model.record import ModelRecord, class_list
from tests.synthetic import terrain


class ColorReader:
    """A network that knows the class colours: right wherever the image shows them.

    It takes and gives what a real one of its configuration does.
    """

    weights = ()

    def __init__(self, config: UNetConfig) -> None:
        self.config = config

    def __call__(self, batch: Any, training: bool) -> Any:
        import tensorflow as tf

        assert training is False  # dropout would be on
        colors = batch[..., :3]
        if self.config.output == "colors":
            return colors
        table = tf.constant(color_table(KAGGLE_CLASSES), tf.float32) / 255
        distances = tf.reduce_sum((colors[..., None, :] - table) ** 2, axis=-1)
        return tf.nn.softmax(-40 * distances)


def make_model(network: Any, config: UNetConfig, **record: Any) -> TerrainModel:
    """Return a model around a network; further options are those of its record."""
    name = record.pop("name", "tested")
    path = record.pop("path", None)
    values = {"scale": 1.0, "receptive_field": 16, **record}
    facts = ModelRecord(
        config=config.to_dict(), classes=class_list(KAGGLE_CLASSES), name=name, **values
    )
    return TerrainModel(network, KAGGLE_CLASSES, config, facts.scale, facts, name, path)


def paint_dataset(folder: Path, *, pairs: int = 5, size: int = 32) -> Dataset:
    """Write and open pairs; of pair n the first 10 * n pixels are of a wrong colour."""
    folder.mkdir()
    for number in range(pairs):
        _, mask, height = terrain(size, 40 + number)
        shown = mask.copy()
        wrong = shown.reshape(-1)[: 10 * number]
        wrong[:] = (wrong + 1) % len(KAGGLE_CLASSES)
        for kind, pixels in (
            ("t", colorize(shown, KAGGLE_CLASSES)),
            ("i2", colorize(mask, KAGGLE_CLASSES)),
            ("h", height),
        ):
            PillowImage.fromarray(pixels).save(folder / f"{number:04d}_{kind}.png")
    return open_dataset(folder)


def with_record(model: TerrainModel, **changes: Any) -> TerrainModel:
    """Return a model whose record says something else."""
    return replace(model, record=replace(model.record, **changes))
