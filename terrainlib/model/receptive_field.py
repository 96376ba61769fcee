"""How far an input pixel reaches: the margin that tiles need.

Computed backwards through the layers, on one axis: which input pixels can change an
output pixel is an interval, and every layer widens it by a known amount.
"""

import json
from dataclasses import replace
from typing import Any

from terrainlib.model.config import UNetConfig
from terrainlib.model.description import read_graph
from terrainlib.model.graph import Graph, Layer, downsampling

Interval = tuple[int, int]


def receptive_field(config: UNetConfig) -> int:
    """Return the half-width of the receptive field of a U-Net.

    It builds the network once, with one filter a layer, and so loads TensorFlow.

    Args:
        config: Shape of the network.

    Returns:
        The largest distance, in px of the network's input along a row or a column, at
        which an input pixel can change an output pixel.
    """
    from terrainlib.model.network import build_unet

    thin = replace(config, filters=(1,) * len(config.filters))
    return half_width(graph_of(build_unet(thin)))


def graph_of(network: Any) -> Graph:
    """Return the layers of a built `keras.Model` as a graph.

    Raises:
        ModelFileError: If it has layers that a model file may not have.
    """
    return read_graph(json.loads(network.to_json()))


def half_width(graph: Graph) -> int:
    """Return the half-width of the receptive field of a graph, in input px.

    Output pixels at different places of the grid of the coarsest layer reach
    differently far; the farthest counts.
    """
    period = max(int(factor) for factor in downsampling(graph).values())
    return max(_reach(graph, pixel) for pixel in range(period))


def _reach(graph: Graph, pixel: int) -> int:
    """Return how far from `pixel` lies the farthest input pixel that can change it."""
    needed: dict[str, Interval] = {graph.output: (pixel, pixel)}
    for layer in reversed(graph.layers):
        if layer.inputs and layer.name in needed:
            before = _backwards(layer, needed[layer.name])
            for name in layer.inputs:
                low, high = needed.get(name, before)
                needed[name] = (min(low, before[0]), max(high, before[1]))
    low, high = needed[graph.input.name]
    return max(pixel - low, high - pixel)


def _backwards(layer: Layer, interval: Interval) -> Interval:
    """Return the interval of a layer's input that its output interval depends on."""
    if "kernel" not in layer.options:
        return interval
    low, high = interval
    kernel, stride = layer.options["kernel"], layer.options["stride"]
    before = max(kernel - stride, 0) // 2  # padding at the top and on the left
    if layer.kind in ("Conv2DTranspose", "UpSampling2D"):
        return -((kernel - 1 - before - low) // stride), (high + before) // stride
    return stride * low - before, stride * high - before + kernel - 1
