"""A network of ours with PyTorch's layers, built from the Keras network's own graph.

Layer by layer the same kinds, sizes and paddings, so that the same weights give the
same output: a peer that computes the same thing. It loads PyTorch, which the app does
not need (`benchmarks/requirements.txt`).
"""

import importlib
from collections import Counter
from typing import Any

from terrainlib.model.reading.layers import Graph, Layer

torch: Any = importlib.import_module("torch")  # an extra: unknown to the type checker
nn: Any = torch.nn


class TorchNetwork(nn.Module):  # type: ignore[misc]
    """The layers of a graph, called in its order.

    Args:
        graph: The network's layers.
        logits: Leave out the output's activation, as PyTorch's losses want it.
    """

    def __init__(self, graph: Graph, *, logits: bool = False) -> None:
        super().__init__()
        layers = graph.layers.values()
        self.steps = [(layer.name, layer.inputs) for layer in layers]
        self.output = graph.output.name
        uses = Counter(name for layer in layers for name in layer.inputs)
        self.parts = nn.ModuleDict()
        for layer in layers:
            sources = [graph.layers[name] for name in layer.inputs]
            incoming = sum(source.channels for source in sources)
            bare = logits and layer is graph.output
            own = bool(sources) and (
                sources[0].kind == "BatchNormalization" and uses[sources[0].name] == 1
            )
            self.parts[_key(layer.name)] = _part(layer, incoming, bare=bare, own=own)

    def forward(self, image: Any) -> Any:
        """Return (N, K, H, W) for an image (N, C, H, W)."""
        values: dict[str, Any] = {}
        for name, inputs in self.steps:
            part = self.parts[_key(name)]
            if inputs:
                values[name] = part(*(values[source] for source in inputs))
            else:
                values[name] = part(image)
        return values[self.output]

    def part(self, name: str) -> Any:
        """Return the module of a Keras layer."""
        return self.parts[_key(name)]


class _Joined(nn.Module):  # type: ignore[misc]
    """Concatenation along the channels."""

    def forward(self, *values: Any) -> Any:
        return torch.cat(values, dim=1)


class _Added(nn.Module):  # type: ignore[misc]
    """The sum of two."""

    def forward(self, one: Any, other: Any) -> Any:
        return one + other


class _Cropped(nn.Module):  # type: ignore[misc]
    """Rows and columns cut off at the bottom and on the right."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.pixels = pixels

    def forward(self, value: Any) -> Any:
        return value[..., : -self.pixels, : -self.pixels]


def parameters(network: Any) -> int:
    """Return the number of single weights that are trained."""
    return sum(weight.numel() for weight in network.parameters())


def _part(layer: Layer, incoming: int, *, bare: bool, own: bool) -> Any:
    """Return the module of one layer.

    Args:
        layer: The layer.
        incoming: Channels that it is given.
        bare: Leave out its activation.
        own: Nobody else needs what it is given, so that it may be overwritten.
    """
    options = layer.options
    simple = {
        "InputLayer": nn.Identity,
        "Concatenate": _Joined,
        "Add": _Added,
        "MaxPooling2D": lambda: nn.MaxPool2d(layer.kernel, layer.stride),
        "UpSampling2D": lambda: nn.Upsample(scale_factor=layer.stride),
        "AveragePooling2D": lambda: nn.AvgPool2d(
            layer.kernel, 1, layer.kernel // 2, count_include_pad=False
        ),
        "Dropout": lambda: nn.Dropout(options["rate"]),
        "Activation": lambda: _activation(options["activation"], inplace=own),
        "BatchNormalization": lambda: nn.BatchNorm2d(
            incoming, eps=options["epsilon"], momentum=1 - options["momentum"]
        ),
    }
    if bare and layer.kind == "Activation":
        return nn.Identity()
    if layer.kind in simple:
        return simple[layer.kind]()
    if layer.kind not in ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D"):
        raise SystemExit(
            f"layer type {layer.kind!r} has no PyTorch form in "
            "benchmarks/_torch_network.py. Add it there."
        )
    parts = _convolution(layer, incoming)
    if not bare and options["activation"] != "linear":
        parts.append(_activation(options["activation"]))
    return nn.Sequential(*parts) if len(parts) > 1 else parts[0]


def _convolution(layer: Layer, incoming: int) -> list[Any]:
    """Return a convolution with Keras' padding: what is odd goes to the end."""
    options = layer.options
    kernel, stride = layer.kernel, layer.stride
    total = kernel - stride if options["padding"] == "same" else 0
    before, odd = total // 2, total % 2
    transposed = layer.kind == "Conv2DTranspose"
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    padding = before if transposed or not odd else 0
    groups = incoming if layer.kind == "DepthwiseConv2D" else 1
    convolution = kind(
        incoming,
        layer.channels,
        kernel,
        stride,
        padding,
        bias=options["use_bias"],
        groups=groups,
    )
    if not odd:
        return [convolution]
    if transposed:
        return [convolution, _Cropped(odd)]
    return [nn.ZeroPad2d((before, before + 1, before, before + 1)), convolution]


def _activation(name: str, *, inplace: bool = False) -> Any:
    """Return an activation by Keras' name."""
    known = {
        "linear": nn.Identity,
        "relu": lambda: nn.ReLU(inplace=inplace),
        "relu6": lambda: nn.ReLU6(inplace=inplace),
        "sigmoid": nn.Sigmoid,
        "softmax": lambda: nn.Softmax(dim=1),
        "tanh": nn.Tanh,
        "elu": nn.ELU,
        "selu": nn.SELU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
    }
    return known[name]()


def _key(name: str) -> str:
    """Return a layer's name as PyTorch allows one."""
    return "layer_" + name.replace(".", "_")
