"""From the layer list of a model description to a `Graph`, as data.

It reads what Keras writes from version 2.4 on, in `.keras` and in HDF5 files. Nothing
is deserialised by Keras; every option has its bounds, and an option that is not known
is refused rather than passed over.
"""

from collections.abc import Mapping
from typing import Any, Final

from terrainlib.errors import ModelFileError
from terrainlib.model.allowlist import (
    LAYERS,
    NETWORKS,
    check_names,
    forbidden,
    shortened,
)
from terrainlib.model.connections import in_order, input_names, output_name
from terrainlib.model.graph import MAX_LAYERS, Graph, Layer, downsampling
from terrainlib.model.layeroptions import read_options

MAX_NAME_CHARACTERS: Final = 100


def read_graph(description: Any) -> Graph:
    """Return the graph of a model description.

    Args:
        description: Parsed JSON: `config.json` of a `.keras` file, `model_config` of an
            HDF5 file, or `keras.Model.to_json`.

    Raises:
        ModelFileError: If it is no description of a network of plain U-Net layers.
    """
    layers = _layer_list(description)
    if len(layers) > MAX_LAYERS:
        raise ModelFileError(
            f"describes {len(layers)} layers; the limit is {MAX_LAYERS}. "
            "Only U-Nets made by this app or by the original notebook are accepted."
        )
    check_names(description)
    if description["class_name"] not in NETWORKS:
        raise forbidden(description["class_name"])
    graph = in_order(
        [_read_layer(item) for item in layers],
        output_name(description["config"].get("output_layers")),
    )
    downsampling(graph)
    return graph


def _layer_list(description: Any) -> list[Any]:
    """Return the JSON of the layers, unchecked."""
    config = description.get("config") if isinstance(description, Mapping) else None
    layers = config.get("layers") if isinstance(config, Mapping) else None
    if isinstance(layers, list) and "class_name" in description:
        return layers
    check_names(description)
    raise ModelFileError(
        "the model description lists no layers. Upload model.keras or "
        "TerrainMaskGenerator.h5 from a run folder."
    )


def _read_layer(item: Any) -> Layer:
    """Return one layer of the list."""
    if not (isinstance(item, Mapping) and isinstance(item.get("config"), Mapping)):
        raise ModelFileError("the model description cannot be read: a broken layer.")
    kind, config = item.get("class_name"), item["config"]
    if kind not in LAYERS:
        raise forbidden(kind)
    name = item.get("name", config.get("name"))
    if not (isinstance(name, str) and _is_plain(name) and config.get("name") == name):
        raise ModelFileError(
            f"the layer name '{shortened(name)}' is not allowed: letters, digits, "
            f"'_', '-' and '.', at most {MAX_NAME_CHARACTERS}."
        )
    options = read_options(kind, name, config)
    return Layer(kind, name, input_names(item.get("inbound_nodes"), name), options)


def _is_plain(name: str) -> bool:
    letters = name.replace("_", "a").replace("-", "a").replace(".", "a")
    return letters.isalnum() and name.isascii() and len(name) <= MAX_NAME_CHARACTERS
