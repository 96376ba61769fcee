"""A training of ours, reported epoch by epoch. A worker's module.

The options it is told: `config` (the training), `split` and `data` (a folder; without
it the embedded sample). Where the split names pairs to be `watched`, the training looks
at those, and what it ends with is scored on the validation pairs. The clock starts when
the pairs lie in memory, before the network is built.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._pairs import (
    config_of,
    dataset_of,
    float_arrays,
    iou_list,
    miou_of,
    split_pairs,
    watched_pairs,
)
from benchmarks._worker import Channel
from terrainlib.model.forward import run_network
from terrainlib.model.learning.epochs import train
from terrainlib.model.learning.reports import EpochLog, Predict, TrainingHooks


def main() -> None:
    """Train as told and tell the score of each epoch."""
    channel = Channel()
    config = config_of(channel.options)
    train_pairs, validation_pairs = split_pairs(channel.options, config)
    watched = watched_pairs(channel.options, config)
    classes = dataset_of(channel.options).classes
    with tempfile.TemporaryDirectory(prefix="terrain-benchmark-") as folder:
        begun = time.monotonic()

        def report(log: EpochLog, _predict: Predict) -> None:
            seconds = time.monotonic() - begun
            channel.tell(epoch=log.epoch, seconds=seconds, miou=log.val_miou)

        result = train(
            config,
            train_pairs,
            watched or validation_pairs,
            classes=classes,
            checkpoints=Path(folder),
            hooks=TrainingHooks(on_epoch=report),
        )
    weights = [np.prod(v.shape) for v in result.network.trainable_variables]
    iou = iou_list(result.confusion)
    if watched:
        inputs, masks = float_arrays(validation_pairs, config)
        told = [run_network(result.network, one[None]).argmax(-1) for one in inputs]
        miou, iou = miou_of(masks, np.concatenate(told), len(classes))
        seconds = time.monotonic() - begun
        channel.tell(epoch=result.epochs_done + 1, seconds=seconds, miou=miou)
    channel.tell(done=True, parameters=int(sum(weights)), iou=iou)


if __name__ == "__main__":
    main()
