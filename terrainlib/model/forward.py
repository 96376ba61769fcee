"""What a network is fed, and how it runs.

It is fed bands and, where used, relief computed from the heights. Training, the gallery
and the studio all come through here, so that a model sees at prediction what it saw in
training. TensorFlow is loaded when a network runs, not before.
"""

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import InputError
from terrainlib.model.config import UNetConfig
from terrainlib.model.pixelclassifier import Classifier
from terrainlib.types import FloatArray

RELIEF_WINDOW_PX = 5
RELIEF_UNIT_M = 1000.0
_FAR_M = 1e9  # beyond every height


def network_input(
    pixels: FloatArray, height: FloatArray | None, config: UNetConfig
) -> FloatArray:
    """Return what the network of `config` is fed for one image or a batch.

    Args:
        pixels: (..., H, W, B) float32 in [0, 1].
        height: (..., H, W) float32 in metres at the same resolution, NaN where there is
            none; ignored by networks without relief.
        config: Shape of the network.

    Returns:
        (..., H, W, C) float32, C being B, or B + 1 with relief.

    Raises:
        InputError: If the network needs heights and `height` is None.
    """
    if not config.height:
        return np.asarray(pixels, dtype=np.float32)
    require_heights(config, height)
    metres = relief(cast("FloatArray", height))
    return np.concatenate([pixels, metres[..., None]], axis=-1, dtype=np.float32)


def require_bands(config: UNetConfig, bands: int, *, file: str | None = None) -> None:
    """Refuse an image of another number of bands than a network is fed.

    Args:
        config: Shape of the network.
        bands: Bands of the image.
        file: The image, for the message.

    Raises:
        InputError: If they differ.
    """
    if bands != config.bands:
        raise InputError(
            f"the image has {bands} {'band' if bands == 1 else 'bands'}, and the model "
            f"uses {config.bands}. Read it with the bands of the model.",
            file=file,
        )


def require_heights(
    config: UNetConfig, heights: object, *, file: str | None = None
) -> None:
    """Refuse a network that uses heights where there are none.

    Args:
        config: Shape of the network.
        heights: The heights, as an array or a file; None without.
        file: The image or the model, for the message.

    Raises:
        InputError: If they are missing.
    """
    if config.height and heights is None:
        raise InputError(
            "this model needs the heights beside the image, and there are none. Give a "
            "height file that covers the image (--height-file on the command line), or "
            "use a model for images alone.",
            file=file,
        )


def relief(height: FloatArray) -> FloatArray:
    """Return the local relief: highest minus lowest height around each pixel.

    It tells hills and mountains from plains wherever they lie, which metres above sea
    level do not. The square root spreads the low reliefs, where most land is.

    Args:
        height: (..., H, W) float32 in metres; NaN where there is none.

    Returns:
        (..., H, W) float32, sqrt(range / 1000 m) of the heights that there are in a
        window of 5 px, 0 where there are none; about 0 to 2.
    """
    metres = np.asarray(height, np.float32)
    planes = metres.reshape(-1, *metres.shape[-2:])
    window = np.ones((RELIEF_WINDOW_PX, RELIEF_WINDOW_PX), np.uint8)
    ranges = [
        cv2.dilate(np.nan_to_num(plane, nan=-_FAR_M), window)
        - cv2.erode(np.nan_to_num(plane, nan=_FAR_M), window)
        for plane in planes
    ]
    result = np.sqrt(np.maximum(np.stack(ranges), 0) / RELIEF_UNIT_M)
    return result.reshape(metres.shape).astype(np.float32)


# Constants take about 16 times the memory of the weights: 0.1 GB for the preset `fast`,
# but 0.5 GB for `best`, which therefore reads its variables.
_MAX_CONSTANT_BYTES: Final = 2**24


@dataclass(frozen=True, slots=True, eq=False)
class _Built:
    """A network's forward pass, ready to run."""

    function: Callable[[FloatArray], Any]  # (N, H, W, C) to (N, H, W, O), float32
    weights: list[NDArray[Any]] | None  # None where it reads the network's own

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
# A classifier may ask a network of its own.
_LOCK = threading.RLock()
_BUILT: "weakref.WeakKeyDictionary[Any, _Built]" = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Distant:
    """What stands for a network that another process has loaded.

    Attributes:
        run: Gives its output for a batch, as `run_network` does.
    """

    run: Callable[[FloatArray], FloatArray]


def run_network(network: Any, batch: FloatArray) -> FloatArray:
    """Return the output of a network for a batch, dropout off.

    Every size of batch and image goes through one function of the network, which is
    built once, and once more where the network's weights have changed since. Safe to
    call from several threads.

    Args:
        network: `keras.Model` from (N, H, W, C) to (N, H, W, O), or `Distant`, or a
            `Classifier`, which needs no TensorFlow.
        batch: (N, H, W, C) float32, H and W multiples of the network's size multiple.

    Returns:
        (N, H, W, O) float32.
    """
    with _LOCK:
        if isinstance(network, Classifier):
            return network(batch)
        if isinstance(network, Distant):
            return network.run(batch)
        built = _BUILT.get(network)
        if built is None or not built.fits(network):
            built = build(network, batch.shape[-1])
            _BUILT[network] = built
        return np.asarray(built.function(batch), np.float32)


def build(network: Any, channels: int) -> _Built:
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
    return _Built(tf.function(forward, input_signature=[signature]), weights)


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
