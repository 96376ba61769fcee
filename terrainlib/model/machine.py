"""What this machine has for a training: memory, cores and a GPU. No TensorFlow."""

import os

_MAX_INPUT_THREADS = 8


def input_threads(cores: int | None = None) -> int:
    """Return how many threads prepare batches: one on two cores, up to eight.

    The network's own threads have all cores to do with; one thread in four is enough to
    keep them fed, since a batch costs a small part of a step.

    Args:
        cores: Processor cores; None asks the machine.
    """
    cores = cores or os.cpu_count() or 1
    return min(_MAX_INPUT_THREADS, max(1, cores // 4))
