"""The layers of a U-Net as plain data: what they are, and how they are connected.

A `Graph` is read from a model file (`description`) or from a built network, and says
everything about it that is not a weight, without TensorFlow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from terrainlib.errors import ModelFileError

MAX_LAYERS: Final = 400
MAX_PARAMETERS: Final = 200_000_000
MAX_DOWNSAMPLING: Final = 64
MAX_CHANNELS: Final = 8192

WeightShapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
        kind: Class name of the Keras layer, for example `Conv2D`.
        name: Name of the layer, unique in its graph.
        inputs: Names of the layers that feed it, in order.
        options: The arguments that matter to a prediction, for example
            `{"filters": 16, "kernel": 3, "stride": 1, ...}`.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Graph:
    """Layers in the order of computation, from one input to one output.

    Attributes:
        layers: Every layer after those that feed it.
        output: Name of the layer whose result is the network's.
    """

    layers: tuple[Layer, ...]
    output: str

    @property
    def input(self) -> Layer:
        """Return the input layer."""
        return next(layer for layer in self.layers if layer.kind == "InputLayer")

    def layer(self, name: str) -> Layer:
        """Return the layer of a name."""
        return next(layer for layer in self.layers if layer.name == name)

    def kinds(self) -> dict[str, tuple[str, tuple[str, ...], dict[str, Any]]]:
        """Return kind, inputs and options by name, to compare two graphs with."""
        return {
            layer.name: (layer.kind, layer.inputs, dict(layer.options))
            for layer in self.layers
        }


def channels(graph: Graph) -> dict[str, int]:
    """Return the number of channels that each layer gives, by its name.

    Raises:
        ModelFileError: If a layer gives more than 8192.
    """
    counts: dict[str, int] = {}
    for layer in graph.layers:
        if layer.kind == "InputLayer":
            counts[layer.name] = layer.options["shape"][2]
        elif "filters" in layer.options:
            counts[layer.name] = layer.options["filters"]
        else:
            counts[layer.name] = sum(counts[name] for name in layer.inputs)
        if counts[layer.name] > MAX_CHANNELS:
            raise ModelFileError(
                f"layer {layer.name!r} gives {counts[layer.name]} channels; the limit "
                f"is {MAX_CHANNELS}. Use a smaller network."
            )
    return counts


def downsampling(graph: Graph) -> dict[str, Fraction]:
    """Return by how much each layer's result is smaller than the input, by its name.

    Raises:
        ModelFileError: If layers of different sizes are concatenated, if a result is
            larger than the input or more than 64 times smaller, or if the output has
            another size than the input.
    """
    factors: dict[str, Fraction] = {}
    for layer in graph.layers:
        before = {factors[name] for name in layer.inputs} or {Fraction(1)}
        if len(before) > 1:
            raise ModelFileError(
                f"layer {layer.name!r} joins layers of different sizes. "
                "Only U-Nets that keep their sizes together can be loaded."
            )
        stride = layer.options.get("stride", 1)
        change = Fraction(1, stride) if _enlarges(layer) else Fraction(stride)
        factors[layer.name] = before.pop() * change
        if not 1 <= factors[layer.name] <= MAX_DOWNSAMPLING:
            raise ModelFileError(
                f"layer {layer.name!r} changes the image's size too much: between 1 "
                f"and {MAX_DOWNSAMPLING} times smaller than the input is allowed."
            )
    if factors[graph.output] != 1:
        raise ModelFileError("its output has another size than its input.")
    return factors


def weight_shapes(graph: Graph) -> dict[str, WeightShapes]:
    """Return the weights of each layer that has some: name to shape, in Keras' order.

    Raises:
        ModelFileError: If there are more than 200 million parameters.
    """
    counts = channels(graph)
    shapes: dict[str, WeightShapes] = {}
    for layer in graph.layers:
        incoming = sum(counts[name] for name in layer.inputs)
        if layer.kind in ("Conv2D", "Conv2DTranspose"):
            shapes[layer.name] = _convolution_shapes(layer, incoming)
        elif layer.kind == "BatchNormalization":
            shapes[layer.name] = _normalisation_shapes(layer, incoming)
    total = parameters(shapes)
    if total > MAX_PARAMETERS:
        raise ModelFileError(
            f"describes {total / 1e6:.0f} million parameters; the limit is "
            f"{MAX_PARAMETERS / 1e6:.0f} million. Use a smaller network."
        )
    return shapes


def parameters(shapes: Mapping[str, WeightShapes]) -> int:
    """Return the number of single weights."""
    return sum(_size(shape) for item in shapes.values() for shape in item.values())


def _convolution_shapes(layer: Layer, incoming: int) -> WeightShapes:
    filters, kernel = layer.options["filters"], layer.options["kernel"]
    # A transposed convolution's kernel is stored the other way round.
    ends = (filters, incoming) if _enlarges(layer) else (incoming, filters)
    shapes: WeightShapes = {"kernel": (kernel, kernel, *ends)}
    if layer.options["bias"]:
        shapes["bias"] = (filters,)
    return shapes


def _normalisation_shapes(layer: Layer, incoming: int) -> WeightShapes:
    names = ["moving_mean", "moving_variance"]
    if layer.options["center"]:
        names.insert(0, "beta")
    if layer.options["scale"]:
        names.insert(0, "gamma")
    return dict.fromkeys(names, (incoming,))


def _enlarges(layer: Layer) -> bool:
    return layer.kind in ("Conv2DTranspose", "UpSampling2D")


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
