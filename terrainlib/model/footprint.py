"""What a network needs, from its configuration alone: memory and arithmetic.

Its convolutions decide both. No TensorFlow, so that pages can ask.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from terrainlib.model.config import TrainingConfig, UNetConfig

_BYTES: Final = 4  # float32
# Beside the values that a convolution gives, training keeps those of its normalisation,
# activation, dropout and concatenation, and their gradients: measured, about 4.5 times.
_VALUES_KEPT: Final = 5
# Weights, their gradients, two moments of Adam, the average, and its copy.
_COPIES_OF_WEIGHTS: Final = 6
_LIBRARY_BYTES: Final = 900 * 2**20  # TensorFlow, loaded and with its work space


class Convolution(NamedTuple):
    """One convolution of a network.

    Attributes:
        pixels: Pixels of its output.
        weights: Of its kernel.
        filters: Values of each pixel of its output.
        multiplications: For one image.
    """

    pixels: int
    weights: int
    filters: int
    multiplications: int


def convolutions(network: UNetConfig, size: int) -> Iterator[Convolution]:
    """Yield a network's convolutions but the last for an image of `size` px squared."""
    first, stem = network.filters[0], network.stem_stride
    side, channels = size // stem, network.input_channels
    if stem == 2:
        yield _convolution(side, channels, first)
        yield _convolution(size, channels, first // 2)
        yield _convolution(size, first + first // 2, first, kernel=1)
        channels = first
    for filters in network.filters:
        yield _convolution(side, channels, filters)
        yield _convolution(side, filters, filters)
        channels, side = filters, side // 2
    side *= 2
    for filters in network.filters[-2::-1]:
        side *= 2
        up = _convolution(side, channels, filters)  # a quarter of its input is not 0
        yield up._replace(multiplications=up.multiplications // 4)
        yield _convolution(side, 2 * filters, filters)
        yield _convolution(side, filters, filters)
        channels = filters


def activation_values(network: UNetConfig, size: int) -> int:
    """Return how many values the convolutions give for one image of `size` px."""
    return sum(layer.pixels * layer.filters for layer in convolutions(network, size))


def training_bytes(config: TrainingConfig) -> int:
    """Return about how much memory a training takes, its pairs left out."""
    size = config.crop_size or config.network.image_size
    values = activation_values(config.network, size) * config.batch_size
    weights = sum(layer.weights for layer in convolutions(config.network, size))
    kept = _VALUES_KEPT * values + _COPIES_OF_WEIGHTS * weights
    return _LIBRARY_BYTES + _BYTES * kept


def pair_bytes(size: int, *, heights: bool) -> int:
    """Return what a prepared pair of `size` px takes: image, mask and any height."""
    return size**2 * (8 if heights else 4)


def multiplications(network: UNetConfig, size: int) -> int:
    """Return the multiplications of one step for one image: forward and twice back."""
    return 3 * sum(layer.multiplications for layer in convolutions(network, size))


def _convolution(
    side: int, channels: int, filters: int, *, kernel: int = 3
) -> Convolution:
    weights = kernel**2 * channels * filters
    return Convolution(side * side, weights, filters, side * side * weights)
