"""A U-Net trained in PyTorch, reported epoch by epoch. A worker's module.

The options it is told: `config` (for size, classes, heights, batch, seed and minutes)
and `split`. The network is segmentation_models_pytorch's U-Net with a ResNet-18
encoder and no downloaded weights; where that cannot be loaded, a plain U-Net of the
original notebook's layers with classes as its output. It is trained on class
cross-entropy with Adam, a cosine schedule over its minutes and random flips. The clock
starts when the pairs lie in memory, before the network is built.
"""

import importlib
import math
import os
import sys
import time
from typing import Any

import numpy as np

from benchmarks._pairs import config_of, float_arrays, miou_of, split_pairs
from benchmarks._torch_network import TorchNetwork, parameters, torch
from benchmarks._worker import Channel
from terrainlib.data.palette import NO_DATA
from terrainlib.model.config import TrainingConfig, UNetConfig

LEARNING_RATE = 1e-3
_VALIDATED_AT_ONCE = 32
_DECLARED: list[Any] = []  # keeps the declarations of operators alive


class Peer:
    """The network and its data.

    Args:
        config: Batch size and classes.
        pairs: Inputs (N, S, S, C) float32 and masks (N, S, S) uint8, to train on and
            to validate on.
        network: The module, from (N, C, S, S) to logits (N, K, S, S).
    """

    def __init__(self, config: TrainingConfig, pairs: Any, network: Any) -> None:
        self.config = config
        (inputs, masks), (held_inputs, self.held_masks) = pairs
        layout = torch.channels_last  # the faster one on processors
        self.images = torch.from_numpy(inputs).permute(0, 3, 1, 2)
        self.held_images = torch.from_numpy(held_inputs).permute(0, 3, 1, 2)
        self.masks = torch.from_numpy(masks.astype(np.int64))
        self.network = network.to(memory_format=layout)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)

    def train_epoch(self, begun: float, seconds: float) -> None:
        """Train one epoch, or as much of it as the time allows."""
        self.network.train()
        batch = self.config.batch_size
        order = torch.randperm(len(self.images))
        for rows in order[: max(1, len(order) // batch) * batch].split(batch):
            progress = min(1.0, (time.monotonic() - begun) / seconds)
            if progress == 1.0:
                return
            rate = LEARNING_RATE * (1 + math.cos(math.pi * progress)) / 2
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            images, masks = _flipped(self.images[rows], self.masks[rows])
            loss = torch.nn.functional.cross_entropy(
                self.network(images), masks, ignore_index=NO_DATA
            )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()

    def validate(self) -> tuple[float, list[float | None]]:
        """Return the mIoU on the validation pairs, and the IoU of each class."""
        self.network.eval()
        with torch.no_grad():
            predicted = [
                self.network(images).argmax(1).numpy()
                for images in self.held_images.split(_VALIDATED_AT_ONCE)
            ]
        classes = self.config.network.classes
        return miou_of(self.held_masks, np.concatenate(predicted), classes)


def main() -> None:
    """Train for the minutes told and tell the score of each epoch."""
    channel = Channel()
    config = config_of(channel.options)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(config.seed)
    build, note = _builder(config.network)
    pairs = [
        float_arrays(part, config) for part in split_pairs(channel.options, config)
    ]
    seconds = 60 * (config.minutes or 0)
    begun = time.monotonic()
    peer = Peer(config, pairs, build())
    epoch, iou = 0, None
    every = not channel.options["split"].get("watched")
    while epoch == 0 or time.monotonic() - begun < seconds:
        peer.train_epoch(begun, seconds)
        epoch += 1
        if every or time.monotonic() - begun >= seconds:
            miou, iou = peer.validate()
            channel.tell(epoch=epoch, seconds=time.monotonic() - begun, miou=miou)
    channel.tell(done=True, parameters=parameters(peer.network), iou=iou, note=note)


def _builder(config: UNetConfig) -> tuple[Any, str]:
    """Return a function that makes the network, and a sentence on which it is."""
    try:
        models = _segmentation_models()
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        return _plain(config), (
            "segmentation_models_pytorch cannot be loaded here "
            f"({type(error).__name__}: {reason}): this is a plain PyTorch U-Net of the "
            "notebook's layers."
        )

    def build() -> Any:
        return models.Unet(
            "resnet18",
            encoder_weights=None,
            in_channels=config.input_channels,
            classes=config.classes,
        )

    note = f"segmentation_models_pytorch {models.__version__}, U-Net, ResNet-18"
    if _DECLARED:
        note += "; torchvision's compiled operators, which it does not use, do not load"
    return build, note


def _segmentation_models() -> Any:
    """Import the library, also beside a torchvision that was built for CUDA.

    Its compiled operators then do not load with a PyTorch for processors, and its
    import stops where two of them are described. No U-Net calls them: declaring their
    names is enough.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        operators = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            arguments = "Tensor dets, Tensor scores, float iou_threshold"
            operators.define(f"{name}({arguments}) -> Tensor")
        _DECLARED.append(operators)
    return importlib.import_module("segmentation_models_pytorch")


def _plain(config: UNetConfig) -> Any:
    """Return a function that makes the notebook's layers with classes as output."""
    from terrainlib.model.network import build_unet
    from terrainlib.model.reading.layers import graph_of

    changes = {"output": "classes", "classes": config.classes, "height": config.height}
    graph = graph_of(build_unet(UNetConfig.preset("notebook", **changes)))
    return lambda: TorchNetwork(graph, logits=True)


def _flipped(images: Any, masks: Any) -> tuple[Any, Any]:
    """Mirror each image and its mask at random, left-right and up-down."""
    images, masks = images.clone(), masks.clone()
    for axis in (-1, -2):
        chosen = torch.rand(len(images)) < 0.5
        images[chosen] = images[chosen].flip(axis)
        masks[chosen] = masks[chosen].flip(axis)
    return images.contiguous(memory_format=torch.channels_last), masks


if __name__ == "__main__":
    main()
