"""The ways to run a network that are compared, and a worker that runs one of them.

The options it is told at its start:

- `model`: a model of the library, or the name of a preset, which gets random weights;
- `size` and `tile`: sides in px of the image and of the tiles it is cut into;
- `way`: one of `WAYS`;
- `settings`: what to change, see each way.

It answers with the number of weights, then runs all tiles on request; `save` names the
file for its output of the first one.
"""

import importlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks._worker import Channel
from terrainlib.data.imagery import read_image
from terrainlib.data.sample import SCENES_DIR
from terrainlib.model.config import PRESETS, UNetConfig
from terrainlib.model.forward import run_network
from terrainlib.model.modelfile import load_model
from terrainlib.model.network import build_unet

FloatArray = NDArray[np.float32]
Run = Callable[[list[FloatArray]], list[FloatArray]]  # tiles (1, T, T, C), in and out


def predict(network: Any, _tile: FloatArray, _settings: dict[str, Any]) -> Run:
    """Keras' own loop, called for each tile."""
    return _each(lambda tile: network.predict(tile, verbose=0))


def terrainlib(network: Any, _tile: FloatArray, _settings: dict[str, Any]) -> Run:
    """As the library runs it."""
    return _each(lambda tile: run_network(network, tile))


def function(network: Any, tile: FloatArray, settings: dict[str, Any]) -> Run:
    """A `tf.function` that reads the variables; `xla`: compiled by XLA for a size."""
    xla = settings.get("xla", False)
    shape = tile.shape if xla else (None, None, None, tile.shape[-1])
    compiled = tf.function(
        lambda batch: network(batch, training=False),
        input_signature=[tf.TensorSpec(shape, tf.float32)],
        jit_compile=xla,
    )
    return _each(lambda tile: compiled(tile).numpy())


def openvino(network: Any, tile: FloatArray, settings: dict[str, Any]) -> Run:
    """OpenVINO, exported by Keras.

    `fixed` compiles it for the tile's size, `precision` is that of the convolutions,
    `streams` is how many tiles run at once.
    """
    with tempfile.TemporaryDirectory() as folder, nothing_reported():
        path = str(Path(folder) / "network.xml")
        network.export(path, format="openvino", verbose=False)
        library = importlib.import_module("openvino")
        core = library.Core()
        model = core.read_model(path)
        if settings.get("fixed", True):
            model.reshape(list(tile.shape))
        streams = settings.get("streams", 1)
        hints = {
            "INFERENCE_PRECISION_HINT": settings.get("precision", "f32"),
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": os.cpu_count(),
            "ENABLE_CPU_PINNING": False,
        }
        compiled = core.compile_model(model, "CPU", hints)
    queue = library.AsyncInferQueue(compiled, streams)
    results: dict[int, FloatArray] = {}

    def keep(request: Any, number: int) -> None:
        results[number] = request.get_output_tensor(0).data.copy()

    def run(tiles: list[FloatArray]) -> list[FloatArray]:
        queue.set_callback(keep)
        for number, one in enumerate(tiles):
            queue.start_async({0: one}, number)
        queue.wait_all()
        return [results.pop(number) for number in range(len(tiles))]

    return run


def onnx(network: Any, tile: FloatArray, settings: dict[str, Any]) -> Run:
    """ONNX Runtime, exported by Keras; `fixed` exports it for the tile's size."""
    library = importlib.import_module("onnxruntime")
    network(np.zeros_like(tile[:, :128, :128]))  # else Keras does not export it
    fixed = settings.get("fixed", True)
    signature = [keras.InputSpec("float32", tile.shape)] if fixed else None
    options = library.SessionOptions()
    options.intra_op_num_threads = os.cpu_count()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network.onnx")
        network.export(path, format="onnx", verbose=False, input_signature=signature)
        session = library.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
    name = session.get_inputs()[0].name
    return _each(lambda tile: session.run(None, {name: tile})[0])


WAYS: dict[str, Callable[[Any, FloatArray, dict[str, Any]], Run]] = {
    way.__name__: way for way in (predict, terrainlib, function, openvino, onnx)
}


def main() -> None:
    """Prepare the way that is asked for and run it as often as is asked."""
    channel = Channel()
    options = channel.options
    network = network_of(options["model"])
    tiles = cut(image_of(network, options["size"]), options["tile"])
    with peak_memory() as peak_mb:
        run = WAYS[options["way"]](network, tiles[0], options["settings"])
        run(tiles[:1])  # compiles
        channel.tell(parameters=network.count_params())
        for request in channel.requests():
            begun, used = time.perf_counter(), time.process_time()
            outputs = run(tiles)
            seconds = time.perf_counter() - begun
            used = time.process_time() - used
            if "save" in request:
                np.save(request["save"], outputs[0])
            channel.tell(seconds=seconds, processor=used, memory=peak_mb())


def network_of(model: str) -> Any:
    """Return the network of a model, or one of a preset with random weights."""
    if model not in PRESETS:
        return load_model(model).network
    keras.utils.set_random_seed(0)
    network = build_unet(UNetConfig.preset(model))
    rng = np.random.default_rng(0)
    for weight in network.weights:  # as after a training: nothing is 0 or 1 any more
        if weight.path.endswith(("beta", "moving_mean")):
            weight.assign(rng.normal(0, 0.1, weight.shape))
        if weight.path.endswith(("gamma", "moving_variance")):
            weight.assign(rng.uniform(0.7, 1.4, weight.shape))
    return network


def image_of(network: Any, size: int) -> FloatArray:
    """Return a scene of the sample, mirrored to `size` px squared, as input."""
    rgb = read_image(SCENES_DIR / "europe.tif").rgb
    missing = [(0, max(0, size - length)) for length in rgb.shape[:2]]
    image = np.pad(rgb, [*missing, (0, 0)], "symmetric")[:size, :size]
    if network.input_shape[-1] == 4:  # any smooth fourth channel does
        image = np.concatenate([image, image.mean(axis=-1, keepdims=True)], axis=-1)
    return np.ascontiguousarray(image, np.float32)


def cut(image: FloatArray, tile: int) -> list[FloatArray]:
    """Return the tiles of an image, (1, T, T, C) each."""
    starts = range(0, image.shape[0], tile)
    return [
        np.ascontiguousarray(image[None, row : row + tile, column : column + tile])
        for row in starts
        for column in starts
    ]


def _each(call: Callable[[FloatArray], FloatArray]) -> Run:
    return lambda tiles: [call(tile) for tile in tiles]


@contextmanager
def nothing_reported() -> Iterator[None]:
    """Keep OpenVINO from telling a statistics service of each import and conversion.

    Where the package for that cannot be imported, it does without.
    """
    name = "openvino_telemetry"
    there = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if there is not None:
            sys.modules[name] = there


@contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """Watch the resident set; the callable gives its peak above the start, in MB."""
    process = psutil.Process()
    base = process.memory_info().rss
    peak = base
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield lambda: (peak - base) / 1e6
    finally:
        over.set()


if __name__ == "__main__":
    main()
