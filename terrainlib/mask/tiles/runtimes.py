"""What runs a network on this machine: TensorFlow, or OpenVINO where that is wished.

TensorFlow is the default, with the weights of all but large networks as constants: it
then folds each normalisation into its convolution. On processors its convolutions come
close to what the processor can do, so that no other runtime has much left to gain;
`python -m benchmarks.inference` compares them all. TensorFlow also uses a GPU.

The variable `TERRAINLIB_RUNTIME`, read when a network first runs, chooses:

- `tensorflow`: the default;
- `openvino`: OpenVINO (`pip install openvino`), which may be ahead on other processors.
  Its first result is compared with TensorFlow's. Where it is missing, fails or differs,
  TensorFlow takes over and the log says why.
"""

import logging
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import ConfigError
from terrainlib.mask.tiles._openvino import OpenVino

FloatArray = NDArray[np.float32]
Forward = Callable[[FloatArray], FloatArray]
Runtime = Literal["tensorflow", "openvino"]

RUNTIME_VARIABLE: Final = "TERRAINLIB_RUNTIME"
RUNTIMES: Final[tuple[Runtime, ...]] = get_args(Runtime)
MAX_DIFFERENCE: Final = 1e-3  # of a probability or a colour, from TensorFlow's

# TensorFlow needs about 16 times the memory of the weights for constants: 0.1 GB for
# the preset `fast`, but 0.5 GB for `best`, which therefore reads its variables.
_MAX_CONSTANT_BYTES: Final = 2**24
_MAX_CONVERTED_BYTES: Final = 2**30  # a graph of constants may not exceed 2 GiB
_CHECKED_PX: Final = 128  # a multiple of every network's size multiple

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A network's forward pass, ready to run.

    Attributes:
        forward: From (N, H, W, C) to (N, H, W, O), both float32.
        weights: What it was built with; None where it reads the network's own.
    """

    forward: Forward
    weights: list[NDArray[Any]] | None

    def fits(self, network: Any) -> bool:
        """Return whether the network still has the weights that are built in."""
        if self.weights is None:
            return True
        now = _variables(network)
        return len(now) == len(self.weights) and all(
            np.array_equal(was, variable.value.numpy())
            for was, variable in zip(self.weights, now, strict=True)
        )


class Guarded:
    """Another runtime's forward pass, given up for TensorFlow's at its first failure.

    Args:
        other: The other runtime's.
        tensorflow: TensorFlow's.
    """

    def __init__(self, other: Forward, tensorflow: Forward) -> None:
        self._other: Forward | None = other
        self._tensorflow = tensorflow

    def __call__(self, batch: FloatArray) -> FloatArray:
        """Return the network's output, (N, H, W, O) float32."""
        if self._other is not None:
            try:
                return self._other(batch)
            except Exception as error:  # noqa: BLE001 - TensorFlow does what it cannot
                _give_up(error)
                self._other = None
        return self._tensorflow(batch)


def wanted_runtime() -> Runtime:
    """Return the runtime that the environment asks for.

    Raises:
        ConfigError: If there is no such runtime.
    """
    name = os.environ.get(RUNTIME_VARIABLE) or RUNTIMES[0]
    for runtime in RUNTIMES:
        if name == runtime:
            return runtime
    raise ConfigError(
        f"the variable {RUNTIME_VARIABLE} must be {' or '.join(RUNTIMES)}, not "
        f"{name!r}. Set it to one of them, or leave it out."
    )


def build(network: Any, channels: int) -> Built:
    """Build a network's forward pass for batches of any size.

    Args:
        network: `keras.Model`, or a callable of a batch and `training`.
        channels: Channels of its input.

    Raises:
        ConfigError: If the environment asks for a runtime that does not exist.
    """
    openvino = wanted_runtime() == "openvino"
    limit = _MAX_CONVERTED_BYTES if openvino else _MAX_CONSTANT_BYTES
    weights = _constants(network, limit)
    function = _function(network, channels, weights)

    def tensorflow(batch: FloatArray) -> FloatArray:
        return np.asarray(function(batch), np.float32)

    if openvino and weights is None:
        _give_up("the network is too large to convert")
    elif openvino:
        other = _checked_openvino(function, tensorflow, channels)
        if other is not None:
            return Built(Guarded(other, tensorflow), weights)
    return Built(tensorflow, weights)


def _variables(network: Any) -> list[Any]:
    return [*network.trainable_variables, *network.non_trainable_variables]


def _constants(network: Any, limit: int) -> list[NDArray[Any]] | None:
    """Return a copy of the weights to build in; None where they are too many bytes."""
    if not hasattr(network, "stateless_call"):
        return None
    variables = _variables(network)
    if sum(4 * int(np.prod(v.shape)) for v in variables) > limit:
        return None
    return [variable.value.numpy() for variable in variables]  # copies


def _function(network: Any, channels: int, weights: list[NDArray[Any]] | None) -> Any:
    """Return the network's forward pass as a TensorFlow function for any size."""
    import tensorflow as tf

    # The function must not keep the network alive, or no model would ever be freed.
    reference = weakref.ref(network)

    def forward(batch: Any) -> Any:
        network = reference()
        if network is None:
            raise ReferenceError("the network was freed while its function was built")
        if weights is None:
            return network(batch, training=False)
        trained = len(network.trainable_variables)
        outputs, _ = network.stateless_call(
            weights[:trained], weights[trained:], batch, training=False
        )
        return outputs

    signature = tf.TensorSpec((None, None, None, channels), tf.float32)
    return tf.function(forward, input_signature=[signature])


def _checked_openvino(
    function: Any, tensorflow: Forward, channels: int
) -> Forward | None:
    """Return OpenVINO's forward pass where it is there and agrees with TensorFlow."""
    rng = np.random.default_rng(0)
    batch = rng.random((1, _CHECKED_PX, _CHECKED_PX, channels), np.float32)
    expected = tensorflow(batch)
    try:
        other = OpenVino(function.get_concrete_function())
        difference = float(np.abs(other(batch) - expected).max())
    except Exception as error:  # noqa: BLE001 - TensorFlow does what it cannot
        _give_up(error)
        return None
    if not difference <= MAX_DIFFERENCE:  # no number is no agreement
        _logger.warning(
            "OpenVINO differs from TensorFlow by %.2g; the limit is %g. "
            "TensorFlow is used.",
            difference,
            MAX_DIFFERENCE,
        )
        return None
    _logger.info("OpenVINO is used; it differs by %.2g from TensorFlow", difference)
    return other


def _give_up(reason: Exception | str) -> None:
    _logger.warning("OpenVINO cannot be used, so TensorFlow is: %s", reason)
