"""Running a network: one compiled function for each, one prediction at a time.

It loads TensorFlow when the first network runs, not before.
"""

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrainlib.model.baseline import PixelClassifier

FloatArray = NDArray[np.float32]

# Sessions share loaded models: one runs at a time, so that memory is that of one.
_LOCK = threading.Lock()
_COMPILED: "weakref.WeakKeyDictionary[Any, Callable[[FloatArray], Any]]" = (
    weakref.WeakKeyDictionary()
)


def run_network(network: Any, batch: FloatArray) -> FloatArray:
    """Return the output of a network for a batch, dropout off.

    Every size of batch and image goes through one compiled function of the network,
    which is compiled once. Safe to call from several threads.

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
        compiled = _COMPILED.get(network)
        if compiled is None:
            compiled = _compile(network, batch.shape[-1])
            _COMPILED[network] = compiled
        return np.asarray(compiled(batch), np.float32)


def _compile(network: Any, channels: int) -> Callable[[FloatArray], Any]:
    """Return the network's forward pass as a function for any size."""
    import tensorflow as tf

    # The function must not keep the network alive, or no model would ever be freed.
    reference = weakref.ref(network)
    signature = tf.TensorSpec((None, None, None, channels), tf.float32)

    def forward(batch: Any) -> Any:
        network = reference()
        if network is None:
            raise ReferenceError("the network was freed while its function was built")
        return network(batch, training=False)

    compiled: Callable[[FloatArray], Any] = tf.function(
        forward, input_signature=[signature]
    )
    return compiled
