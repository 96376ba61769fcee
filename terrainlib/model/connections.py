"""How the layers of a description are connected, in every form that Keras writes.

Keras 2 writes `[[["conv2d", 0, 0, {}]]]`, Keras 3 tensors with a `keras_history`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from terrainlib.errors import ModelFileError
from terrainlib.model.graph import Graph, Layer

_MAX_INPUTS: Final = 8


def input_names(nodes: Any, layer: str) -> tuple[str, ...]:
    """Return the names of the layers that feed a layer, in order.

    Args:
        nodes: The layer's `inbound_nodes`.
        layer: Name of the layer, for messages.

    Raises:
        ModelFileError: If the layer is used twice, is called with arguments, or takes a
            result other than the first of another layer.
    """
    if nodes == []:
        return ()
    if not (isinstance(nodes, list) and len(nodes) == 1):
        raise ModelFileError(
            f"layer '{layer}' is used more than once. Only U-Nets that use each layer "
            "once are accepted."
        )
    node = nodes[0]
    if isinstance(node, Mapping):
        _require_no_arguments(node.get("kwargs"), layer)
        sources = list(_histories(node.get("args"), layer))
    else:
        sources = [_source(item, layer) for item in _as_list(node, layer)]
    if len(sources) > _MAX_INPUTS:
        raise _broken(layer)
    return tuple(sources)


def output_name(outputs: Any) -> str:
    """Return the name of the output layer.

    Raises:
        ModelFileError: If there is not exactly one output.
    """
    if isinstance(outputs, list) and len(outputs) == 1:
        outputs = outputs[0]
    if not (isinstance(outputs, list) and outputs and isinstance(outputs[0], str)):
        raise ModelFileError(
            "has not exactly one output. Only U-Nets with one mask as their output "
            "are accepted."
        )
    return _source(outputs, "output")


def in_order(layers: list[Layer], output: str) -> Graph:
    """Return the layers as a graph, each after those that feed it.

    Raises:
        ModelFileError: If a layer is named twice, missing, unused, in a circle, or has
            the wrong number of inputs.
    """
    waiting = {layer.name: layer for layer in layers}
    used = {name for layer in layers for name in layer.inputs} | {output}
    if len(waiting) != len(layers) or used != set(waiting):
        raise ModelFileError(
            "the model description cannot be read: layers that are named twice, "
            "missing or unused."
        )
    for layer in layers:
        _require_inputs(layer)
    if sum(layer.kind == "InputLayer" for layer in layers) != 1:
        raise ModelFileError(
            "has not exactly one input. Only U-Nets that take one image are accepted."
        )
    ordered: dict[str, Layer] = {}
    while waiting:
        before = len(ordered)
        for layer in list(waiting.values()):
            if all(name in ordered for name in layer.inputs):
                ordered[layer.name] = waiting.pop(layer.name)
        if len(ordered) == before:
            raise ModelFileError(
                "the model description cannot be read: its layers form a circle."
            )
    return Graph(tuple(ordered.values()), output)


def _require_inputs(layer: Layer) -> None:
    """Refuse a wrong number of inputs."""
    bounds = {"InputLayer": (0, 0), "Concatenate": (2, _MAX_INPUTS)}
    low, high = bounds.get(layer.kind, (1, 1))
    if not low <= len(layer.inputs) <= high:
        raise _broken(layer.name)


def _histories(value: Any, layer: str) -> Iterator[str]:
    """Yield the sources of the tensors among the arguments of a call (Keras 3)."""
    if isinstance(value, list):
        for item in value:
            yield from _histories(item, layer)
        return
    tensor = (
        isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"
    )
    config = value.get("config") if tensor else None
    if not isinstance(config, Mapping):
        raise _broken(layer)
    yield _source(config.get("keras_history"), layer)


def _source(item: Any, layer: str) -> str:
    """Return the name in `[name, 0, 0]` or `[name, 0, 0, {}]`."""
    if not (isinstance(item, list) and 3 <= len(item) <= 4 and item[1:3] == [0, 0]):
        raise _broken(layer)
    _require_no_arguments(item[3] if len(item) == 4 else {}, layer)
    if not isinstance(item[0], str):
        raise _broken(layer)
    return item[0]


def _require_no_arguments(arguments: Any, layer: str) -> None:
    """Refuse a call with arguments that could change what the layer does."""
    if not isinstance(arguments, Mapping):
        raise _broken(layer)
    if any(value not in (None, False) for value in arguments.values()):
        raise ModelFileError(
            f"layer '{layer}' is called with arguments, which is not supported here."
        )


def _as_list(value: Any, layer: str) -> list[Any]:
    if not isinstance(value, list):
        raise _broken(layer)
    return value


def _broken(layer: str) -> ModelFileError:
    return ModelFileError(
        f"the model description cannot be read: the connections of layer '{layer}'."
    )
