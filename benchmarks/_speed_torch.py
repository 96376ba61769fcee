"""Training speed of the same network in PyTorch, eager, on the CPU. A worker's module.

The options it is told at its start: `config` (the training), `pairs` (how many; None
for all), `network` (the Keras network's description) and `settings`, of which it knows
`channels_last` and `bfloat16`.
"""

import json
import os
import time

import numpy as np

from benchmarks._pairs import config_of, float_arrays, sample_pairs
from benchmarks._torch_network import TorchNetwork, parameters, torch
from benchmarks._worker import Channel
from terrainlib.data.cache import PairCache
from terrainlib.model.config import TrainingConfig
from terrainlib.model.reading.layers import read_graph


class TorchLoop:
    """AdamW and cross-entropy on float32 tensors in memory."""

    def __init__(
        self,
        config: TrainingConfig,
        pairs: PairCache,
        description: str,
        *,
        channels_last: bool,
        bfloat16: bool,
    ) -> None:
        self.batch_size = config.batch_size
        self.bfloat16 = bfloat16
        layout = torch.channels_last if channels_last else torch.contiguous_format
        inputs, masks = float_arrays(pairs, config)
        images = torch.from_numpy(inputs).permute(0, 3, 1, 2)
        self.images = images.contiguous(memory_format=layout)
        self.masks = torch.from_numpy(masks.astype(np.int64))
        network = TorchNetwork(read_graph(json.loads(description)), logits=True)
        self.network = network.to(memory_format=layout).train()
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.epoch()

    def measure(self, seconds: float) -> tuple[int, float]:
        """Train whole epochs for at least so long; return images and seconds."""
        images, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            images += self.epoch()
        return images, time.perf_counter() - begun

    def epoch(self) -> int:
        """Train one epoch and return its images."""
        order = torch.randperm(len(self.images))
        for rows in order.split(self.batch_size):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                logits = self.network(self.images[rows])
            logits = logits.float()
            loss = torch.nn.functional.cross_entropy(logits, self.masks[rows])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            loss.item()  # as the others tell the loss of each step
        return len(order)


def main() -> None:
    """Build the network and measure it as often as is asked."""
    channel = Channel()
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    config = config_of(channel.options)
    settings = channel.options["settings"]
    loop = TorchLoop(
        config,
        sample_pairs(config, channel.options["pairs"]),
        channel.options["network"],
        channels_last=settings.get("channels_last", False),
        bfloat16=settings.get("bfloat16", False),
    )
    channel.tell(parameters=parameters(loop.network), version=torch.__version__)
    for request in channel.requests():
        images, seconds = loop.measure(request["seconds"])
        channel.tell(images=images, seconds=seconds)


if __name__ == "__main__":
    main()
