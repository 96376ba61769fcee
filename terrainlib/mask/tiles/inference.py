"""Running a network: built once, by TensorFlow, one prediction at a time.

The weights of all but large networks are built in as constants: TensorFlow then folds
each normalisation into its convolution. On processors its convolutions come close to
what the processor can do; `python -m benchmarks.inference` compares it with other
runtimes. TensorFlow is loaded when the first network runs, not before, and uses a GPU
where there is one.
"""

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.model.baseline import PixelClassifier

FloatArray = NDArray[np.float32]

# Constants take about 16 times the memory of the weights: 0.1 GB for the preset `fast`,
# but 0.5 GB for `best`, which therefore reads its variables.
_MAX_CONSTANT_BYTES: Final = 2**24


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A network's forward pass, ready to run.

    Attributes:
        function: TensorFlow's, from (N, H, W, C) to (N, H, W, O), both float32.
        weights: What it was built with; None where it reads the network's own.
    """

    function: Callable[[FloatArray], Any]
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


# Sessions share loaded models: one runs at a time, so that memory is that of one.
_LOCK = threading.Lock()
_BUILT: "weakref.WeakKeyDictionary[Any, Built]" = weakref.WeakKeyDictionary()


def run_network(network: Any, batch: FloatArray) -> FloatArray:
    """Return the output of a network for a batch, dropout off.

    Every size of batch and image goes through one function of the network, which is
    built once, and once more where the network's weights have changed since. Safe to
    call from several threads.

    Args:
        network: `keras.Model` from (N, H, W, C) to (N, H, W, O), or a
            `PixelClassifier`, which needs no TensorFlow.
        batch: (N, H, W, C) float32, H and W multiples of the network's size multiple.

    Returns:
        (N, H, W, O) float32.
    """
    with _LOCK:
        if isinstance(network, PixelClassifier):
            return network(batch)
        built = _BUILT.get(network)
        if built is None or not built.fits(network):
            built = build(network, batch.shape[-1])
            _BUILT[network] = built
        return np.asarray(built.function(batch), np.float32)


def build(network: Any, channels: int) -> Built:
    """Build a network's forward pass for batches of any size.

    Args:
        network: `keras.Model`, or a callable of a batch and `training`.
        channels: Channels of its input.
    """
    import tensorflow as tf

    weights = _constants(network)
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
    return Built(tf.function(forward, input_signature=[signature]), weights)


def _variables(network: Any) -> list[Any]:
    return [*network.trainable_variables, *network.non_trainable_variables]


def _constants(network: Any) -> list[NDArray[Any]] | None:
    """Return a copy of the weights to build in; None where they are too many bytes."""
    if not hasattr(network, "stateless_call"):
        return None
    variables = _variables(network)
    if sum(4 * int(np.prod(v.shape)) for v in variables) > _MAX_CONSTANT_BYTES:
        return None
    return [variable.value.numpy() for variable in variables]  # copies
