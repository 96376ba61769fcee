"""Temperature scaling: probabilities that mean what they say.

A network that is trained for minutes is mostly too sure of itself. Dividing its logits
by one number, the temperature, mends that without changing which class is the most
probable (Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, 2017,
arXiv:1706.04599). It loads TensorFlow.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.cache import PairCache
from terrainlib.data.palette import NO_DATA
from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning.pipeline import validation_batches
from terrainlib.model.network import OUTPUT_NAME
from terrainlib.types import FloatArray, Forward

MIN_TEMPERATURE: Final = 0.25
MAX_TEMPERATURE: Final = 4.0
MIN_PIXELS: Final = 1000

_DECIMALS: Final = 4
_MAX_VALUES: Final = 2**23  # probabilities looked at: 32 MiB
_MAX_RUN_PX: Final = 2**22  # pixels the network runs on: some seconds of two cores
_MAX_ROUNDS: Final = 60
_PRECISION: Final = 1e-6


def network_temperature(
    forward: Forward, pairs: PairCache, config: TrainingConfig
) -> float:
    """Return the temperature that fits a network best to pairs it was not trained on.

    Of many pairs, some are taken at even distances, so that it is a matter of seconds.

    Args:
        forward: The network: (N, h, w, C) float32 to (N, h, w, K) class probabilities.
        pairs: The validation pairs at the working size.
        config: The training, for the network's input and the size of batches.

    Returns:
        The temperature as `fit_temperature` finds it; 1 for a network that gives
        colours, which has no probabilities.
    """
    if config.network.output != "classes":
        return 1.0
    some = _some(pairs)
    pixels = sum(math.prod(shape) for shape in some.shapes)
    step = -(-pixels * config.network.classes // _MAX_VALUES)
    probabilities, truths = [], []
    for inputs, masks in validation_batches(some, config):
        output, truth = forward(inputs.numpy()), masks.numpy()
        known = truth != NO_DATA
        probabilities.append(output[known][::step])
        truths.append(truth[known][::step])
    return fit_temperature(np.concatenate(probabilities), np.concatenate(truths))


def fit_temperature(probabilities: FloatArray, truth: NDArray[np.uint8]) -> float:
    """Return the temperature with the smallest negative log-likelihood.

    The likelihood of softmax(log(p) / T) is a convex function of 1 / T with a known
    slope and curvature: Newton's method finds its lowest point, and halving takes over
    where a step would leave the interval that is left.

    Args:
        probabilities: (..., K) float32 softmax outputs.
        truth: (...) uint8 class indices below K; 255 does not count.

    Returns:
        The temperature, 0.25 to 4 with four decimals; above 1 for a network that is
        too sure. 1 where fewer than 1000 pixels count.
    """
    known = truth != NO_DATA
    if known.sum() < MIN_PIXELS:
        return 1.0
    smallest = np.finfo(np.float32).tiny
    logits = np.log(np.maximum(probabilities[known], smallest), dtype=np.float32)
    logits -= logits.max(axis=-1, keepdims=True)
    rightful = logits[np.arange(len(logits)), truth[known]]
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    if _slope(logits, rightful, low)[0] > 0:
        return MAX_TEMPERATURE
    if _slope(logits, rightful, high)[0] < 0:
        return MIN_TEMPERATURE
    factor = 1.0
    for _ in range(_MAX_ROUNDS):
        slope, curvature = _slope(logits, rightful, factor)
        low, high = (low, factor) if slope > 0 else (factor, high)
        step = slope / curvature if curvature > 0 else 0.0
        if abs(step) < _PRECISION:
            break
        factor -= step
        if not low < factor < high:
            factor = (low + high) / 2
    return round(1 / factor, _DECIMALS)


def fold_temperature(network: Any, temperature: float) -> None:
    """Divide the logits of a network by a temperature, for good.

    The kernel and the bias of its last convolution, which softmax follows, are divided:
    whoever runs the network then gets calibrated probabilities and need not know.

    Args:
        network: `keras.Model` of `build_unet` with class probabilities; it is changed.
        temperature: A positive number; 1 changes nothing.
    """
    if temperature == 1:
        return
    layer = network.get_layer(OUTPUT_NAME)
    divisor = np.float32(temperature)
    layer.set_weights([weight / divisor for weight in layer.get_weights()])


def _some(pairs: PairCache) -> PairCache:
    """Return pairs at even distances, few enough to be run in some seconds."""
    count = len(pairs.ids)
    area = sum(math.prod(shape) for shape in pairs.shapes) / count
    wanted = min(count, max(1, int(_MAX_RUN_PX / area)))
    rows = np.unique(np.linspace(0, count - 1, wanted).astype(int))
    return pairs.subset(pairs.ids[row] for row in rows)


def _slope(
    logits: FloatArray, rightful: FloatArray, factor: float
) -> tuple[float, float]:
    """Return the first two derivatives of the mean negative log-likelihood.

    Args:
        logits: (N, K) float32, the largest of each row 0.
        rightful: (N,) float32, those of the true classes.
        factor: One over the temperature, by which the likelihood is derived.
    """
    weights = np.exp(logits * np.float32(factor))
    total = weights.sum(axis=-1)
    mean = np.einsum("nk,nk->n", weights, logits) / total
    square = np.einsum("nk,nk,nk->n", weights, logits, logits) / total
    slope = float((mean - rightful).mean(dtype=np.float64))
    return slope, float((square - mean**2).mean(dtype=np.float64))
