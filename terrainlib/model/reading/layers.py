"""The layers of a network as plain data: read from a layer list of Keras, and measured.

Keras writes one into every model file, since version 2.4 in much the same form. It is
never deserialised: only the classes, options and bounds listed here are accepted, and
what is not known is refused rather than passed over. No TensorFlow.
"""

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from terrainlib.errors import ModelFileError

MAX_LAYERS: Final = 400
MAX_PARAMETERS: Final = 200_000_000
MAX_DOWNSAMPLING: Final = 64
MAX_CHANNELS: Final = 8192
MAX_INPUTS: Final = 8


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
        kind: Class name of the Keras layer, for example `Conv2D`.
        name: Name of the layer, unique in its graph.
        inputs: Names of the layers that feed it, in order.
        options: The arguments that matter to a prediction, as Keras names them.
        channels: Channels that it gives.
        kernel: Side of its window in px.
        stride: By how much it shrinks or enlarges.
        shrink: By how much its result is smaller than the network's input.
        weights: Shape of each weight by its name, in Keras' order.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any]
    channels: int
    kernel: int
    stride: int
    shrink: Fraction
    weights: Mapping[str, tuple[int, ...]]

    @property
    def enlarges(self) -> bool:
        """Whether its result is larger than what it is given."""
        return self.kind in _ENLARGING


@dataclass(frozen=True, slots=True)
class Graph:
    """A network's layers by name, each after those that feed it; one input, one output.

    Networks whose graphs are equal predict the same with the same weights.
    """

    layers: dict[str, Layer]
    input: Layer
    output: Layer

    @property
    def parameters(self) -> int:
        """Return the number of single weights."""
        layers = self.layers.values()
        return sum(math.prod(s) for layer in layers for s in layer.weights.values())

    def of_kind(self, kind: str) -> list[Layer]:
        """Return the layers of a class, in order."""
        return [layer for layer in self.layers.values() if layer.kind == kind]


def read_graph(description: Any) -> Graph:
    """Return the graph of a layer list.

    Args:
        description: Parsed JSON: `config.json` of a `.keras` file, `model_config` of an
            HDF5 file, or `keras.Model.to_json`.

    Raises:
        ModelFileError: If it is no description of a network of plain U-Net layers.
    """
    items = _layer_items(description)
    if len(items) > MAX_LAYERS:
        raise ModelFileError(
            f"describes {len(items)} layers; the limit is {MAX_LAYERS}. "
            "Only U-Nets made by this app or by the original notebook are accepted."
        )
    compiled = description.get("compile_config")
    _check_classes({**description, "compile_config": None})
    if settings := [o["class_name"] for o in _objects(compiled) if "class_name" in o]:
        raise ModelFileError(
            "a Keras model of another program: it holds the settings of its training "
            f"('{shortened(settings[0])}'), which this app's models do not. Only "
            "U-Nets of this app or the original notebook are accepted; train one here."
        )
    if description["class_name"] not in _NETWORKS:
        raise _forbidden(description["class_name"])
    layers: dict[str, Layer] = {}
    for item in items:
        layer = _read_layer(item, layers)
        if layers.setdefault(layer.name, layer) is not layer:
            raise _disconnected()
    return _connected(layers, description["config"].get("output_layers"))


def graph_of(network: Any) -> Graph:
    """Return the graph of a built `keras.Model`.

    Raises:
        ModelFileError: If it has layers that a model file may not have.
    """
    return read_graph(json.loads(network.to_json()))


def half_width(graph: Graph) -> int:
    """Return how far from an output pixel an input pixel can change it, in px.

    Output pixels at different places of the grid of the coarsest layer reach
    differently far; the farthest counts.
    """
    period = max(int(layer.shrink) for layer in graph.layers.values())
    return max(_reach(graph, pixel) for pixel in range(period))


def shortened(value: Any) -> str:
    """Return a foreign name in a form that fits into a sentence."""
    text = "".join(c if c.isprintable() else "?" for c in str(value)[:61])
    return text if len(text) <= 60 else text[:57] + "..."


def _reach(graph: Graph, pixel: int) -> int:
    """Return how far from `pixel` lies the farthest input pixel that can change it."""
    needed = {graph.output.name: (pixel, pixel)}
    for layer in reversed(list(graph.layers.values())):
        low, high = needed[layer.name]
        before = (layer.kernel - layer.stride) // 2  # padding at the top and left
        if layer.enlarges:
            low = -((layer.kernel - 1 - before - low) // layer.stride)
            high = (high + before) // layer.stride
        else:
            low = layer.stride * low - before
            high = layer.stride * high - before + layer.kernel - 1
        for name in layer.inputs:
            other = needed.get(name, (low, high))
            needed[name] = (min(low, other[0]), max(high, other[1]))
    low, high = needed[graph.input.name]
    return max(pixel - low, high - pixel)


# The options of each layer that matter to a prediction. Keras writes them all.
_CONVOLUTION: Final = ("filters", "kernel_size", "strides", "padding", "activation")
_POOLING: Final = ("pool_size", "strides", "padding")
_LAYERS: Final[dict[str, tuple[str, ...]]] = {
    "InputLayer": ("batch_shape",),
    "Conv2D": (*_CONVOLUTION, "use_bias"),
    "Conv2DTranspose": (*_CONVOLUTION, "use_bias"),
    "DepthwiseConv2D": (*_CONVOLUTION[1:], "use_bias"),
    "BatchNormalization": ("momentum", "epsilon", "center", "scale"),
    "Activation": ("activation",),
    "MaxPooling2D": _POOLING,
    "AveragePooling2D": _POOLING,
    "UpSampling2D": ("size",),
    "Dropout": ("rate",),
    "Concatenate": (),
    "Add": (),
}
_INPUTS: Final = {"InputLayer": (0, 0), "Concatenate": (2, MAX_INPUTS), "Add": (2, 2)}
_ENLARGING: Final = ("Conv2DTranspose", "UpSampling2D")
_ACTIVATIONS: Final = "linear relu relu6 sigmoid softmax tanh elu selu gelu silu"
# What an option may be: one of these values, or a number within these bounds.
_VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "padding": ("same", "valid"),
    "activation": tuple(_ACTIVATIONS.split()),
    "use_bias": (True, False),
    "center": (True, False),
    "scale": (True, False),
    "size": (2,),
}
_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "filters": (1, 4096),
    "kernel_size": (1, 31),
    "pool_size": (1, 31),
    "strides": (1, 4),
    "momentum": (0.0, 1.0),
    "epsilon": (1e-9, 1.0),
    "rate": (0.0, 0.99),
}
_INPUT_BOUNDS: Final = ((1, 4096), (1, 4096), (1, 64))
# Options that must be what they are without being given, and those that only matter to
# training or name things. Any other is refused, unless it is off.
_DEFAULTS: Final[dict[str, tuple[Any, ...]]] = {
    "dtype": (None, "float32"),
    "data_format": (None, "channels_last"),
    "axis": (-1, 3),
    "groups": (1,),
    "depth_multiplier": (1,),
    "dilation_rate": (1,),
    "interpolation": ("nearest",),
}
_WITHOUT_EFFECT: Final = re.compile(
    "name|trainable|seed|synchronized|fused|renorm_momentum|renorm_clipping"
    "|.*_(initializer|regularizer|constraint)"
)
# Which classes a description may name, by module; Keras 2 leaves the module out.
_NETWORKS: Final = {"Functional", "Model"}
_POLICIES: Final = {"DTypePolicy", "Policy"}
_INITIALIZERS: Final = (
    "Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling "
    "GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Orthogonal"
)
_CLASSES: Final[dict[str, set[str]]] = {
    "keras": _NETWORKS | _POLICIES,
    "keras.models": _NETWORKS,
    "keras.src.models.functional": _NETWORKS,
    "keras.layers": set(_LAYERS),
    "keras.initializers": set(_INITIALIZERS.split()),
    "keras.regularizers": {"L1", "L2", "L1L2"},
    "keras.dtype_policies": _POLICIES,
    "keras.mixed_precision": _POLICIES,
}
_DATA: Final = {"__keras_tensor__", "__tuple__", "TensorShape"}
_KNOWN: Final = _DATA.union(*_CLASSES.values())


def _read_options(kind: str, layer: str, config: Mapping[str, Any]) -> dict[str, Any]:
    left = dict(config)
    if "batch_input_shape" in left:  # Keras 2
        left["batch_shape"] = left.pop("batch_input_shape")
    if isinstance(policy := left.get("dtype"), dict):  # Keras 3
        settings = policy.get("config")
        left["dtype"] = settings.get("name") if isinstance(settings, dict) else "?"
    options = {name: _plain(left.pop(name, None)) for name in _LAYERS[kind]}
    for name, value in options.items():
        if not _is_allowed(name, value):
            raise _unsupported(layer, name, config.get(name, value))
    for name, value in left.items():
        allowed = _DEFAULTS.get(name, (None, False))
        if not (_is_one_of(_plain(value), allowed) or _WITHOUT_EFFECT.fullmatch(name)):
            raise _unsupported(layer, name, value)
    if misfit := _misfit(kind, options):
        raise _unsupported(layer, misfit, options[misfit])
    return options


def _plain(value: Any) -> Any:
    """Return one side of a square; else the value itself."""
    if isinstance(value, list) and len(value) <= 2 and set(map(type, value)) == {int}:
        return value[0] if value[0] == value[-1] else value
    return value


def _is_allowed(option: str, value: Any) -> bool:
    if option == "batch_shape":
        if not (isinstance(value, list) and len(value) == 4 and value[0] is None):
            return False
        *sides, channels = zip(value[1:], _INPUT_BOUNDS, strict=True)
        return _is_within(*channels) and all(
            side is None or _is_within(side, bounds) for side, bounds in sides
        )
    if option in _BOUNDS:
        return _is_within(value, _BOUNDS[option])
    return _is_one_of(value, _VALUES[option])


def _is_within(value: Any, bounds: tuple[float, float]) -> bool:
    kinds = (int,) if type(bounds[0]) is int else (int, float)
    return type(value) in kinds and bounds[0] <= value <= bounds[1]


def _is_one_of(value: Any, allowed: tuple[Any, ...]) -> bool:
    return any(type(value) is type(item) and value == item for item in allowed)


def _misfit(kind: str, options: Mapping[str, Any]) -> str | None:
    """Return the option with which sizes would not stay multiples of each other."""
    if kind == "MaxPooling2D":
        return "strides" if options["strides"] != options["pool_size"] else None
    if kind == "AveragePooling2D":
        wanted = {"strides": 1, "padding": "same"}
        return next((name for name in wanted if options[name] != wanted[name]), None)
    if "kernel_size" not in options:
        return None
    kernel, stride = options["kernel_size"], options["strides"]
    if kernel < stride:
        return "kernel_size"
    return "padding" if options["padding"] == "valid" and kernel != stride else None


def _unsupported(layer: str, option: str, value: Any) -> ModelFileError:
    return ModelFileError(
        f"layer '{layer}' has {shortened(option)} = {shortened(value)}, which "
        "is not supported here. Only U-Net layers as this app and the original "
        "notebook use them are accepted."
    )


def _check_classes(description: Any) -> None:
    sequential = False
    for item in _objects(description):
        if item.get("class_name") == "Sequential":
            sequential = True  # what it holds says more, where that is not allowed
        elif "class_name" in item:
            _check_class(item)
        elif "module" in item or "registered_name" in item:
            raise _forbidden(item.get("registered_name") or item.get("module"))
    if sequential:
        raise _forbidden("Sequential")


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for inner in value if isinstance(value, list) else []:
        yield from _objects(inner)


def _check_class(item: Mapping[str, Any]) -> None:
    kind, module = item["class_name"], item.get("module")
    named = isinstance(kind, str) and isinstance(module, str | None)
    known = named and kind in _KNOWN
    there = known and (module is None or kind in _CLASSES.get(module, ()))
    if there and item.get("registered_name") in (None, kind):
        return
    package = str(module or "keras").partition(".")[0]
    ours = package in {"keras", "tensorflow", *sys.stdlib_module_names}
    if named and not (ours or known or kind == "function"):
        raise ModelFileError(
            f"contains the custom layer '{shortened(kind)}' from "
            f"'{shortened(module)}'. This app loads only its own U-Net models."
        )
    # A function is named where a layer's settings would be.
    raise _forbidden(item.get("config") if kind == "function" else kind)


def _forbidden(kind: Any) -> ModelFileError:
    return ModelFileError(
        f"layer type '{shortened(kind)}' cannot be loaded here. Only U-Net layers made "
        "by this app are accepted. Retrain, or export the weights from the original "
        "program."
    )


def _layer_items(description: Any) -> list[Any]:
    config = description.get("config") if isinstance(description, Mapping) else None
    items = config.get("layers") if isinstance(config, Mapping) else None
    if isinstance(items, list) and "class_name" in description:
        return items
    _check_classes(description)
    raise ModelFileError(
        "the model description lists no layers. Upload model.keras or "
        "TerrainMaskGenerator.h5 from a run folder."
    )


def _read_layer(item: Any, before: Mapping[str, Layer]) -> Layer:
    if not (isinstance(item, Mapping) and isinstance(item.get("config"), Mapping)):
        raise ModelFileError("the model description cannot be read: a broken layer.")
    kind, config = str(item.get("class_name")), item["config"]
    if kind not in _LAYERS:
        raise _forbidden(kind)
    name = str(item.get("name", config.get("name")))
    if config.get("name") != name or not re.fullmatch(r"[\w.-]{1,100}", name, re.ASCII):
        raise ModelFileError(
            f"the layer name '{shortened(name)}' is not allowed: letters, digits, "
            "'_', '-' and '.', at most 100."
        )
    options = _read_options(kind, name, config)
    sources = list(_sources(_only_node(item.get("inbound_nodes"), name), name))
    few, many = _INPUTS.get(kind, (1, 1))
    if not few <= len(sources) <= many:
        raise _broken(name)
    if not set(sources) <= set(before):
        raise _disconnected()
    return _measured(kind, name, options, [before[source] for source in sources])


def _measured(
    kind: str, name: str, options: dict[str, Any], inputs: list[Layer]
) -> Layer:
    incoming = _incoming(kind, name, inputs)
    channels = options.get("filters") or incoming or options["batch_shape"][-1]
    if channels > MAX_CHANNELS:
        raise ModelFileError(
            f"layer {name!r} gives {channels} channels; the limit is {MAX_CHANNELS}. "
            "Use a smaller network."
        )
    sizes = {source.shrink for source in inputs} or {Fraction(1)}
    if len(sizes) > 1:
        raise ModelFileError(
            f"layer {name!r} joins layers of different sizes. "
            "Only U-Nets that keep their sizes together can be loaded."
        )
    side = options.get("size", options.get("pool_size", 1))  # of what has no kernel
    kernel, stride = options.get("kernel_size", side), options.get("strides", side)
    shrink = sizes.pop() * (Fraction(1, stride) if kind in _ENLARGING else stride)
    if not 1 <= shrink <= MAX_DOWNSAMPLING:
        raise ModelFileError(
            f"layer {name!r} changes the image's size too much: between 1 and "
            f"{MAX_DOWNSAMPLING} times smaller than the input is allowed."
        )
    weights = _weight_shapes(kind, options, incoming, channels)
    sources = tuple(source.name for source in inputs)
    return Layer(
        kind, name, sources, options, channels, kernel, stride, shrink, weights
    )


def _incoming(kind: str, name: str, inputs: list[Layer]) -> int:
    """Return the channels that a layer is given."""
    counts = [source.channels for source in inputs]
    if kind != "Add":
        return sum(counts)
    if len(set(counts)) > 1:
        raise _broken(name)
    return counts[0]


def _weight_shapes(
    kind: str, options: Mapping[str, Any], incoming: int, channels: int
) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight by its name, in Keras' order."""
    if kind == "BatchNormalization":
        kept = {"gamma": options["scale"], "beta": options["center"]}
        names = [weight for weight, there in kept.items() if there]
        return dict.fromkeys([*names, "moving_mean", "moving_variance"], (channels,))
    if "kernel_size" not in options:
        return {}
    ends = (incoming, channels)
    if kind == "DepthwiseConv2D":
        ends = (channels, 1)
    elif kind in _ENLARGING:  # stored the other way round
        ends = (channels, incoming)
    weights: dict[str, tuple[int, ...]]
    weights = {"kernel": (options["kernel_size"], options["kernel_size"], *ends)}
    return weights | ({"bias": (channels,)} if options["use_bias"] else {})


def _connected(layers: dict[str, Layer], outputs: Any) -> Graph:
    """Return the graph of layers that all lead from one input to one output."""
    ends = list(_sources(outputs, "output")) if isinstance(outputs, list) else []
    if len(ends) != 1:
        raise ModelFileError(
            "has not exactly one output. Only U-Nets with one mask as their output "
            "are accepted."
        )
    used = {name for layer in layers.values() for name in layer.inputs}
    if used.union(ends) != set(layers):
        raise _disconnected()
    inputs = [layer for layer in layers.values() if layer.kind == "InputLayer"]
    if len(inputs) != 1:
        raise ModelFileError(
            "has not exactly one input. Only U-Nets that take one image are accepted."
        )
    graph = Graph(layers, inputs[0], layers[ends[0]])
    if graph.output.shrink != 1:
        raise ModelFileError("its output has another size than its input.")
    if graph.parameters > MAX_PARAMETERS:
        raise ModelFileError(
            f"describes {graph.parameters / 1e6:.0f} million parameters; the limit is "
            f"{MAX_PARAMETERS / 1e6:.0f} million. Use a smaller network."
        )
    return graph


def _only_node(nodes: Any, layer: str) -> Any:
    """Return the JSON of the one call of a layer; an input has none."""
    if isinstance(nodes, list) and len(nodes) <= 1:
        return nodes[0] if nodes else []
    raise ModelFileError(
        f"layer '{layer}' is used more than once. Only U-Nets that use each layer "
        "once are accepted."
    )


def _sources(value: Any, layer: str) -> Iterator[str]:
    """Yield the names of the layers in a call: of Keras 3, or `[name, 0, 0, {}]`."""
    if isinstance(value, Mapping) and "args" in value:
        _require_no_arguments(value.get("kwargs"), layer)
        yield from _sources(value["args"], layer)
    elif isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        config = value.get("config")
        yield from _sources(
            config.get("keras_history") if isinstance(config, Mapping) else None, layer
        )
    elif isinstance(value, list) and value and isinstance(value[0], str):
        if value[1:3] != [0, 0] or len(value) > 4:
            raise _broken(layer)
        _require_no_arguments(value[3] if len(value) == 4 else {}, layer)
        yield value[0]
    elif isinstance(value, list):
        for inner in value:
            yield from _sources(inner, layer)
    else:
        raise _broken(layer)


def _require_no_arguments(arguments: Any, layer: str) -> None:
    if not isinstance(arguments, Mapping):
        raise _broken(layer)
    if any(value not in (None, False) for value in arguments.values()):
        raise ModelFileError(
            f"layer '{layer}' is called with arguments, which is not supported here."
        )


def _broken(layer: str) -> ModelFileError:
    return ModelFileError(
        f"the model description cannot be read: the connections of layer '{layer}'."
    )


def _disconnected() -> ModelFileError:
    return ModelFileError(
        "the model description cannot be read: layers that are named twice, missing "
        "or unused, or that form a circle."
    )
