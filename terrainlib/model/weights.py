"""The weights of a model file: found, compared with the layers, read, and judged.

Names, shapes and types are compared from the file's tables before a value is read.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import ModelFileError
from terrainlib.model.allowlist import shortened
from terrainlib.model.graph import Graph, WeightShapes, weight_shapes
from terrainlib.model.hdf5check import Hdf5
from terrainlib.model.modelcheck import Contents

Weights = dict[str, list[NDArray[np.float32]]]

HDF5_GROUP: Final = "model_weights"
_ARCHIVE_NAMES: Final = {
    "Conv2D": "conv2d",
    "Conv2DTranspose": "conv2d_transpose",
    "BatchNormalization": "batch_normalization",
}


def read_weights(contents: Contents, graph: Graph) -> Weights:
    """Return the weights of each layer that has some, in Keras' order.

    Args:
        contents: The open model file.
        graph: Its layers.

    Raises:
        ModelFileError: If a weight is missing, of another name, shape or type than the
            layers say, or not a finite number.
    """
    if contents.weights is None:
        raise ModelFileError("the weights were not opened.")
    shapes = weight_shapes(graph)
    if contents.kind == "keras":
        paths = _archive_paths(contents.weights, graph, shapes)
    else:
        paths = _hdf5_paths(contents.weights, shapes)
    for layer, layer_paths in paths.items():
        _compare(contents.weights, layer, layer_paths, shapes[layer])
    weights = {
        layer: [contents.weights.read(path) for path in layer_paths]
        for layer, layer_paths in paths.items()
    }
    _require_finite(weights)
    return weights


def checksum(weights: Mapping[str, list[NDArray[np.float32]]]) -> str:
    """Return the SHA-256 of all values, layer by layer in the order of their names."""
    digest = hashlib.sha256()
    for layer in sorted(weights):
        for values in weights[layer]:
            digest.update(np.ascontiguousarray(values, np.dtype("<f4")).tobytes())
    return digest.hexdigest()


def assign(network: Any, weights: Weights) -> None:
    """Set the weights of a built network, which has the layers they were read for."""
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(weights[layer.name])


def weights_of(network: Any) -> Weights:
    """Return the weights of a built network, by layer."""
    return {
        layer.name: layer.get_weights() for layer in network.layers if layer.weights
    }


def _archive_paths(
    hdf5: Hdf5, graph: Graph, shapes: Mapping[str, WeightShapes]
) -> dict[str, list[str]]:
    """Return where a `.keras` archive keeps the weights: by class, counted up."""
    counts: dict[str, int] = {}
    paths: dict[str, list[str]] = {}
    for layer in graph.layers:
        if layer.name in shapes:
            base = _ARCHIVE_NAMES[layer.kind]
            number = counts.get(base, 0)
            counts[base] = number + 1
            group = f"layers/{base}_{number}/vars" if number else f"layers/{base}/vars"
            if group not in hdf5.file or hdf5.text(group, "name", 1000) != layer.name:
                raise _other(f"those of layer '{layer.name}' are missing")
            length = len(shapes[layer.name])
            paths[layer.name] = [f"{group}/{index}" for index in range(length)]
    _require_same(hdf5, "layers/", paths)
    return paths


def _hdf5_paths(hdf5: Hdf5, shapes: Mapping[str, WeightShapes]) -> dict[str, list[str]]:
    """Return where an HDF5 model keeps the weights: by the names it lists itself."""
    paths: dict[str, list[str]] = {}
    for layer in hdf5.names(HDF5_GROUP, "layer_names"):
        names = hdf5.names(f"{HDF5_GROUP}/{layer}", "weight_names")
        if names:
            paths[layer] = [f"{HDF5_GROUP}/{layer}/{name}" for name in names]
            wanted = list(shapes.get(layer, {}))
            found = [name.rpartition("/")[2].partition(":")[0] for name in names]
            if found != wanted:
                raise _other(f"layer '{shortened(layer)}' has other weights")
    if set(paths) != set(shapes):
        raise _other("its layers and its weights differ")
    _require_same(hdf5, f"{HDF5_GROUP}/", paths)
    return paths


def _require_same(hdf5: Hdf5, prefix: str, paths: Mapping[str, list[str]]) -> None:
    """Refuse weights that no layer uses."""
    wanted = {path for layer_paths in paths.values() for path in layer_paths}
    found = {path for path in hdf5.values if path.startswith(prefix)}
    if strangers := sorted(found - wanted):
        raise _other(f"no layer uses the weight '{shortened(strangers[0])}'")


def _compare(hdf5: Hdf5, layer: str, paths: list[str], shapes: WeightShapes) -> None:
    """Refuse weights of another shape or type than the layer has."""
    for path, (name, shape) in zip(paths, shapes.items(), strict=True):
        values = hdf5.values.get(path)
        if values is None:
            raise _other(f"the {name} of layer '{layer}' is missing")
        if values.shape != shape:
            raise _other(f"the {name} of layer '{layer}' has another shape")
        if values.dtype != np.dtype("<f4"):
            raise _other(
                f"the {name} of layer '{layer}' is {values.dtype}, not float32"
            )


def _require_finite(weights: Weights) -> None:
    bad = sum(
        int(np.count_nonzero(~np.isfinite(values)))
        for layer in weights.values()
        for values in layer
    )
    if bad:
        raise ModelFileError(
            f"{bad} weights are not numbers (NaN/Inf). The training that wrote it "
            "failed. Train again, with a lower learning rate."
        )


def _other(what: str) -> ModelFileError:
    return ModelFileError(
        f"the weights do not fit the layers: {what}. The file is damaged or was "
        "changed; upload it again."
    )
