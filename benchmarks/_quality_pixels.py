"""The pixel classifier, fitted and scored. A worker's module.

The options it is told: `config` (for size, classes, heights and seed) and `split`. The
clock starts when the pairs lie in memory.
"""

import time

import numpy as np

from benchmarks._pairs import config_of, dataset_of, miou_of, split_pairs
from benchmarks._worker import Channel
from terrainlib.model.pixelclassifier import classifier_input, fit_pixel_classifier


def main() -> None:
    """Fit the classifier and tell its score on the validation pairs."""
    channel = Channel()
    config = config_of(channel.options)
    train_pairs, pairs = split_pairs(channel.options, config)
    height, classes = config.network.height, dataset_of(channel.options).classes
    begun = time.monotonic()
    model = fit_pixel_classifier(train_pairs, classes, height=height, seed=config.seed)
    rgb = np.asarray(pairs.images, np.float32) / np.float32(255)
    heights = None if pairs.heights is None else np.stack(pairs.heights)
    inputs = classifier_input(rgb, heights, use_height=height)
    predicted = np.argmax(model.network(inputs), axis=-1)
    miou, iou = miou_of(np.stack(pairs.masks), predicted, len(classes))
    channel.tell(epoch=1, seconds=time.monotonic() - begun, miou=miou)
    channel.tell(done=True, iou=iou)


if __name__ == "__main__":
    main()
