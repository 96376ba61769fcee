"""Running a network: built once for each, one prediction at a time.

It loads TensorFlow when the first network runs, not before. Which library runs the
networks, and why, is told in `runtimes`.
"""

import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrainlib.mask.tiles.runtimes import Built, build
from terrainlib.model.baseline import PixelClassifier

FloatArray = NDArray[np.float32]

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

    Raises:
        ConfigError: If `TERRAINLIB_RUNTIME` names no runtime.
    """
    with _LOCK:
        if isinstance(network, PixelClassifier):
            return network(batch)
        built = _BUILT.get(network)
        if built is None or not built.fits(network):
            built = build(network, batch.shape[-1])
            _BUILT[network] = built
        return built.forward(batch)
