"""What this machine has for a training: memory, cores and a GPU. No TensorFlow."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, Self

import psutil

from terrainlib.model.config import (
    ENCODER_BLOCKS,
    ENCODER_STEM_FILTERS,
    TrainingConfig,
    UNetConfig,
)

_MAX_INPUT_THREADS: Final = 8
_CONTAINER: Final = Path("/sys/fs/cgroup")
_HAS_AFFINITY: Final = hasattr(psutil.Process, "cpu_affinity")  # not on macOS
_PROCESSOR: Final = Path("/proc/cpuinfo")
_BFLOAT16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16"})
_GPU_TIMEOUT_S: Final = 60
_MIB: Final = 2**20
_COUNT_GPUS: Final = (
    "import tensorflow; print(len(tensorflow.config.list_physical_devices('GPU')))"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a training may use.

    Attributes:
        memory: Bytes of main memory that are free, within the limit of a container.
        cores: Processor cores.
        gpu_memory: Free bytes of the GPU that TensorFlow uses; None without one.
        bfloat16: Whether the processor multiplies bfloat16 numbers.
    """

    memory: int
    cores: int
    gpu_memory: int | None = None
    bfloat16: bool = False

    @classmethod
    def here(cls) -> Self:
        """Return this machine as it is now."""
        free = min(psutil.virtual_memory().available, _left_in_container())
        cores = os.cpu_count() or 1
        return cls(free, cores, gpu_memory(), multiplies_bfloat16())


def input_threads(cores: int | None = None) -> int:
    """Return how many threads prepare batches: one up to seven cores, at most eight.

    The network's own threads have all cores to do with, and a batch costs a hundredth
    of a step: one thread in four cores keeps them fed.

    Args:
        cores: Processor cores; None asks the machine.
    """
    cores = cores or os.cpu_count() or 1
    return min(_MAX_INPUT_THREADS, max(1, cores // 4))


_PROBE_SECONDS: Final = 0.5
_PROBE_BYTES: Final = 2**20  # hashed at a time, without Python's lock: 1 ms


def free_share(seconds: float = _PROBE_SECONDS) -> float:
    """Return the share of the processor that other programs leave to this process.

    It has as many threads as there are cores to do with for a moment, and compares the
    time that they were given with the time that passed: 1 where nobody else works.

    Args:
        seconds: How long to look.
    """
    cores, block = usable_cores(), bytes(_PROBE_BYTES)
    end = time.perf_counter() + seconds

    def given(_number: int) -> float:
        before = time.thread_time()
        while time.perf_counter() < end:
            hashlib.sha256(block)
        return time.thread_time() - before

    begun = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        total = sum(pool.map(given, range(cores)))
    return min(1.0, total / (cores * (time.perf_counter() - begun)))


def usable_cores() -> int:
    """Return how many cores this process may keep busy at once, at least one."""
    cores = len(psutil.Process().cpu_affinity() or ()) if _HAS_AFFINITY else 0
    cores = cores or os.cpu_count() or 1
    try:
        quota, period = (_CONTAINER / "cpu.max").read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no limit, "max", or no such file
        return cores


def address_space_limit() -> int | None:
    """Return how many bytes this process may map, None where nobody has set a limit."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else int(limit)


@lru_cache(maxsize=2)
def multiplies_bfloat16(facts: Path = _PROCESSOR) -> bool:
    """Return whether the processor multiplies bfloat16 numbers in hardware.

    Args:
        facts: What the kernel says of the processor. Where there is no such file, as on
            other systems than Linux, the answer is no.
    """
    try:
        text = facts.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = (line for line in text.splitlines() if line.startswith("flags"))
    return any(not _BFLOAT16_FLAGS.isdisjoint(line.split()) for line in flags)


@lru_cache(maxsize=1)
def gpu_memory() -> int | None:
    """Return the free bytes of the GPU that TensorFlow would use, None without one.

    TensorFlow is asked in a process of its own, and only where the driver's own tool
    has found a GPU; the answer is kept.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = (tool, "--query-gpu=memory.free", "--format=csv,noheader,nounits")
    free = _lines(query)
    seen = _lines((sys.executable, "-c", _COUNT_GPUS))
    try:
        return int(free[0]) * _MIB if int(seen[-1]) else None
    except (IndexError, ValueError):
        return None


def _lines(command: tuple[str, ...]) -> list[str]:
    """Return what a command prints; nothing where it fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_GPU_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()


def _left_in_container() -> int:
    """Return the bytes that a container's limit leaves; very many without a limit."""
    try:
        limit = int((_CONTAINER / "memory.max").read_text())
        return max(0, limit - int((_CONTAINER / "memory.current").read_text()))
    except (OSError, ValueError):
        return sys.maxsize


_BYTES: Final = 4  # float32
# Beside the values that a convolution gives, training keeps those of its normalisation,
# activation, dropout and concatenation, and their gradients: measured, about 4.5 times.
_VALUES_KEPT: Final = 5
# Weights, their gradients, two moments of Adam, the average, and its copy.
_COPIES_OF_WEIGHTS: Final = 6
# No step goes back through the encoder, but its few channels wait for the memory:
# measured, a multiplication takes about three times as long all the same.
_NARROW: Final = 3
_LIBRARY_BYTES: Final = 900 * 2**20  # TensorFlow, loaded and with its work space


class _Convolution(NamedTuple):
    """One convolution of a network, for one image."""

    pixels: int  # of its output
    weights: int  # of its kernel
    filters: int  # values of each pixel of its output
    multiplications: int


def convolutions(network: UNetConfig, size: int) -> Iterator[_Convolution]:
    """Yield a network's convolutions but the last for an image of `size` px squared."""
    first, side = network.filters[0], size // network.stem_stride
    channels, skips = network.input_channels, []
    if network.stem_stride == 2:
        yield _convolution(size, channels, first // 2)
        yield _convolution(size, first + first // 2, first, kernel=1)
    if network.encoder == "imagenet":
        yield from _learnt_convolutions(network, size)
        for filters in network.beside_filters:
            yield _convolution(side, channels, filters)
            skips.append(filters + _learnt_channels(size // side))
            channels, side = filters, side // 2
        channels, side = skips.pop(), 2 * side
    else:
        if network.stem_stride == 2:
            yield _convolution(side, channels, first)
            channels = first
        for filters in network.filters[:-1]:
            yield _convolution(side, channels, filters)
            yield _convolution(side, filters, filters)
            skips.append(filters)
            channels, side = filters, side // 2
    yield _convolution(side, channels, network.filters[-1])
    yield _convolution(side, network.filters[-1], network.filters[-1])
    channels = network.filters[-1]
    for filters in network.filters[-2::-1]:
        side *= 2
        up = _convolution(side, channels, filters)  # a quarter of its input is not 0
        yield up._replace(multiplications=up.multiplications // 4)
        yield _convolution(side, filters + skips.pop(), filters)
        yield _convolution(side, filters, filters)
        channels = filters


def _learnt_channels(shrink: int) -> int:
    """Return the channels that the encoder gives at 1 / `shrink` of the resolution."""
    found, at = {}, 2
    for block in ENCODER_BLOCKS:
        at *= block.stride
        found[at] = block.filters
    return found.get(shrink, 0)


def _learnt_convolutions(network: UNetConfig, size: int) -> Iterator[_Convolution]:
    """Yield those of the encoder that was learnt before.

    A depthwise one has a kernel for each channel, as if it were given one.
    """
    side, channels = size // 2, ENCODER_STEM_FILTERS
    layers = [_convolution(size, network.input_channels, 3, kernel=1)]
    layers.append(_convolution(side, 3, channels))
    for block in ENCODER_BLOCKS:
        if side // block.stride < size // network.size_multiple:
            break
        wide = channels * block.expansion
        if block.expansion > 1:
            layers.append(_convolution(side, channels, wide, kernel=1))
        side, channels = side // block.stride, block.filters
        layers.append(_convolution(side, 1, wide, kernel=block.kernel))
        layers.append(_convolution(side, wide, channels, kernel=1))
    for layer in layers:
        yield layer._replace(multiplications=_NARROW * layer.multiplications)


def activation_values(network: UNetConfig, size: int) -> int:
    """Return how many values the convolutions give for one image of `size` px."""
    return sum(layer.pixels * layer.filters for layer in convolutions(network, size))


def training_bytes(config: TrainingConfig) -> int:
    """Return about how much memory a training takes, its pairs left out."""
    size = config.crop_px
    values = activation_values(config.network, size) * config.batch_size
    weights = sum(layer.weights for layer in convolutions(config.network, size))
    kept = _VALUES_KEPT * values + _COPIES_OF_WEIGHTS * weights
    return _LIBRARY_BYTES + _BYTES * kept


def pair_bytes(size: int, *, bands: int = 3, heights: bool) -> int:
    """Return what a prepared pair of `size` px takes: image, mask and any height."""
    return size**2 * (bands + (5 if heights else 1))


def multiplications(network: UNetConfig, size: int) -> int:
    """Return the multiplications of one step for one image: forward and twice back."""
    return 3 * sum(layer.multiplications for layer in convolutions(network, size))


def _convolution(
    side: int, channels: int, filters: int, *, kernel: int = 3
) -> _Convolution:
    weights = kernel**2 * channels * filters
    return _Convolution(side * side, weights, filters, side * side * weights)
