"""A network in OpenVINO, converted from TensorFlow's function. OpenVINO is optional."""

import importlib
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

_SETTINGS: Final = {
    # Else it rounds to bfloat16 where the processor has it: probabilities off by 0.04.
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    # A training beside it would be pinned to the same cores.
    "ENABLE_CPU_PINNING": False,
}
_SHAPES_KEPT: Final = 2
_REPORTER: Final = "openvino_telemetry"


class OpenVino:
    """A network's forward pass on the processor, in float32.

    It is compiled for each shape of batch, which is faster than once for all of them;
    the last two are kept.

    Args:
        function: Concrete TensorFlow function of one batch, its weights constants.

    Raises:
        ImportError: If OpenVINO is not installed.
    """

    def __init__(self, function: Any) -> None:
        with nothing_reported():
            openvino = importlib.import_module("openvino")
            self._model = openvino.convert_model(function)
        self._core = openvino.Core()
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def __call__(self, batch: FloatArray) -> FloatArray:
        """Return the network's output, (N, H, W, O) float32."""
        compiled = self._compiled.get(batch.shape)
        if compiled is None:
            while len(self._compiled) >= _SHAPES_KEPT:
                self._compiled.popitem(last=False)
            compiled = self._compile(batch.shape)
            self._compiled[batch.shape] = compiled
        self._compiled.move_to_end(batch.shape)
        inputs = [np.ascontiguousarray(batch, np.float32)]
        result = compiled(inputs, share_outputs=True)
        return np.array(result[0], np.float32)  # the next call overwrites its own

    def _compile(self, shape: tuple[int, ...]) -> Any:
        model = self._model.clone()
        model.reshape(list(shape))
        return self._core.compile_model(model, "CPU", _SETTINGS)


@contextmanager
def nothing_reported() -> Iterator[None]:
    """Keep OpenVINO from reporting its use over the network while it is imported.

    By default it tells a statistics service of each import and conversion. Where the
    package for that cannot be imported, it does without.
    """
    there = sys.modules.get(_REPORTER)
    sys.modules[_REPORTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_REPORTER]
        if there is not None:
            sys.modules[_REPORTER] = there
