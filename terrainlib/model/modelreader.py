"""From the bytes of a model file to its network, every step checked before the next.

Layers, record and weights are read as data; only then is a network built, by our own
code, and given its weights.
"""

import io
from dataclasses import dataclass, replace
from typing import Any

from terrainlib.errors import ModelFileError
from terrainlib.model.config import UNetConfig
from terrainlib.model.description import read_graph
from terrainlib.model.graph import Graph, parameters, weight_shapes
from terrainlib.model.modelcheck import Contents, opened
from terrainlib.model.modelwriter import CHECKSUM_KEY
from terrainlib.model.notebookfile import build_graph, level_filters, notebook_record
from terrainlib.model.receptive_field import graph_of, half_width
from terrainlib.model.record import ModelRecord
from terrainlib.model.weights import Weights, assign, checksum, read_weights


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A file that passed every check, as data.

    Attributes:
        record: What it says about itself.
        config: Shape of its network.
        graph: Its layers.
        weights: Their weights.
        ours: Whether this app wrote it; else it is an original notebook file.
    """

    record: ModelRecord
    config: UNetConfig
    graph: Graph
    weights: Weights
    ours: bool


def check_file(data: bytes, name: str) -> CheckedModel:
    """Check a file from its first byte to its last weight, all of it as data.

    Args:
        data: The bytes of the file.
        name: What the model is called where its record does not say.

    Raises:
        ModelFileError: If it is not a model of this app or of the original notebook.
    """
    with opened(io.BytesIO(data), len(data)) as contents:
        graph = read_graph(contents.description)
        record = find_record(contents, graph, name)
        config = record.unet_config()
        weights = read_weights(contents, graph)
        ours = isinstance(contents.record, dict)
        expected = contents.record.get(CHECKSUM_KEY) if contents.record else None
    if expected is not None and expected != checksum(weights):
        raise ModelFileError(
            "damaged (checksum does not match). Upload or copy it again."
        )
    return CheckedModel(record, config, graph, weights, ours)


def find_record(contents: Contents, graph: Graph, name: str) -> ModelRecord:
    """Return the record in a file, or that of an original notebook file.

    Raises:
        ModelFileError: If there is none, or it does not fit the layers.
    """
    if contents.record is not None:
        record = ModelRecord.from_dict(contents.record)
        _require_same_shape(record.unet_config(), graph)
        return replace(
            record, name=record.name or name, receptive_field=half_width(graph)
        )
    if contents.kind == "keras":
        raise ModelFileError(
            "carries no record of this app. Only .keras files written by this app and "
            "the original notebook's .h5 files are accepted; save it as .h5 or retrain."
        )
    return notebook_record(graph, name, contents.keras_version)


def _require_same_shape(config: UNetConfig, graph: Graph) -> None:
    """Refuse a record that describes another network, before that one is built."""
    bands = graph.input.options["shape"][2]
    if bands != config.input_channels:
        raise ModelFileError(
            f"expects {bands} input channels; its record says {config.input_channels}. "
            "The file was changed; upload it again."
        )
    # A level's second convolution alone has 9 * filters ** 2 weights: what is built for
    # a record is bounded by what its file really holds.
    least = sum(9 * count**2 for count in config.filters)
    held = parameters(weight_shapes(graph))
    if level_filters(graph) != config.filters or held < least:
        raise ModelFileError(
            "its layers are not those that its record describes. The file was changed, "
            "or another version of this app wrote it; retrain."
        )


def build_network(checked: CheckedModel) -> Any:
    """Return the `keras.Model` of a checked file, weights in it; loads TensorFlow.

    Raises:
        ModelFileError: If its layers are not those that this app builds for its record.
    """
    network = None
    if checked.ours:
        from terrainlib.model.network import build_unet

        network = build_unet(checked.config)
        if graph_of(network).kinds() != checked.graph.kinds():
            # An original file that was saved again by this app keeps its own layers.
            if checked.config.output != "colors":
                raise ModelFileError(
                    "its layers are not those that its record describes. Another "
                    "version of this app wrote it; retrain."
                )
            notebook_record(checked.graph, "")
            network = None
    if network is None:
        network = build_graph(checked.graph)
    assign(network, checked.weights)
    return network
