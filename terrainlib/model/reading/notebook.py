"""What to make of a file's layers: its record, and the network that they describe.

Files of ours carry a record, whose network this app builds anew. Files of the original
notebook, plain Keras U-Nets with three sigmoid channels, carry none: theirs is made up
here, and their network is built layer by layer, out of the allowed layers only.
"""

from dataclasses import replace
from typing import Any, Final

from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.errors import ConfigError, ModelFileError
from terrainlib.model.config import UNetConfig
from terrainlib.model.reading.archive import Contents
from terrainlib.model.reading.layers import Graph, graph_of, half_width
from terrainlib.model.record import ModelRecord, class_list

DEFAULT_SIZE_PX: Final = 128
_COLORS: Final = 3
_MOMENTUM_LIMIT: Final = 0.999


def find_record(contents: Contents, graph: Graph, name: str) -> ModelRecord:
    """Return the record in a file, or that of an original notebook file.

    Raises:
        ModelFileError: If there is none, or it does not fit the layers.
    """
    if contents.record is not None:
        record = ModelRecord.from_dict(contents.record)
        _require_same_shape(record.unet_config(), graph)
        name = record.name or name
        return replace(record, name=name, receptive_field=half_width(graph))
    if contents.in_archive:
        raise ModelFileError(
            "carries no record of this app. Only .keras files written by this app and "
            "the original notebook's .h5 files are accepted; save it as .h5 or retrain."
        )
    version = contents.keras_version
    return ModelRecord(
        name=name,
        config=_notebook_config(graph).to_dict(),
        classes=class_list(KAGGLE_CLASSES),
        scale=None,
        receptive_field=half_width(graph),
        created="",
        versions={"keras": version} if version else {},
    )


def build_network(graph: Graph, config: UNetConfig, *, ours: bool) -> Any:
    """Return the `keras.Model` of a file's layers, without its weights.

    Raises:
        ModelFileError: If they are not those that this app builds for the record.
    """
    if ours:
        from terrainlib.model.network import build_unet

        network = build_unet(config)
        if graph_of(network) == graph:
            return network
        # An original file that was saved again by this app keeps its own layers.
        if config.output != "colors":
            raise ModelFileError(
                "its layers are not those that its record describes. Another "
                "version of this app wrote it; retrain."
            )
        _notebook_config(graph)
    return _built(graph)


def _notebook_config(graph: Graph) -> UNetConfig:
    """Return the configuration that comes closest to a graph."""
    height, width, bands = graph.input.options["batch_shape"][1:]
    if bands != _COLORS or height != width:
        raise ModelFileError(
            f"expects {bands} input channels and size {width} x {height}; the "
            f"original's network has {_COLORS} and a square size. Use a model made by "
            "this app."
        )
    outputs, activation = graph.output.channels, graph.output.options.get("activation")
    if outputs != _COLORS or activation != "sigmoid":
        raise ModelFileError(
            f"gives {outputs} output channels ({activation or 'no activation'}); the "
            f"original's network gives {_COLORS} (sigmoid). Only models made by this "
            "app and original notebook files are accepted."
        )
    rates = [x.options["rate"] for x in graph.of_kind("Dropout")]
    momenta = [x.options["momentum"] for x in graph.of_kind("BatchNormalization")]
    try:
        return UNetConfig.preset(
            "notebook",
            image_size=height or DEFAULT_SIZE_PX,
            filters=level_filters(graph),
            dropout=min(rates[0] if rates else 0.0, 0.9),
            batch_norm_momentum=min(momenta[0] if momenta else 0.99, _MOMENTUM_LIMIT),
        )
    except ConfigError as error:
        raise ModelFileError(
            f"no U-Net like the original's: {error.message} Only models made by this "
            "app and original notebook files are accepted."
        ) from error


def level_filters(graph: Graph) -> tuple[int, ...]:
    """Return the channels at each pooling, and at the bottom.

    Raises:
        ModelFileError: If the layers do not go down and up again like a U-Net.
    """
    pools, ups = graph.of_kind("MaxPooling2D"), graph.of_kind("Conv2DTranspose")
    halving = all(layer.stride == 2 for layer in (*pools, *ups))
    if not pools or len(pools) > len(ups) or not halving:
        raise ModelFileError(
            f"no U-Net: {len(pools)} poolings and {len(ups)} transposed convolutions. "
            "Only models made by this app and original notebook files are accepted."
        )
    return tuple(graph.layers[x.inputs[0]].channels for x in (*pools, ups[0]))


def _require_same_shape(config: UNetConfig, graph: Graph) -> None:
    bands = graph.input.channels
    if bands != config.input_channels:
        raise ModelFileError(
            f"expects {bands} input channels; its record says {config.input_channels}. "
            "The file was changed; upload it again."
        )
    # A level's second convolution alone has 9 * filters ** 2 weights: what is built for
    # a record is bounded by what its file really holds.
    least = sum(9 * count**2 for count in config.filters)
    levels = config.filters
    if config.encoder == "imagenet":
        levels = (*config.beside_filters[:-1], levels[-1])
    if level_filters(graph) != levels or graph.parameters < least:
        raise ModelFileError(
            "its layers are not those that its record describes. The file was changed, "
            "or another version of this app wrote it; retrain."
        )


def _built(graph: Graph) -> Any:
    """Build the network of a graph out of plain Keras layers of the same names."""
    import keras

    tensors: dict[str, Any] = {}
    for layer in graph.layers.values():
        if layer.kind == "InputLayer":
            shape = (None, None, layer.channels)
            tensors[layer.name] = keras.Input(shape, name=layer.name)
            continue
        inputs = [tensors[name] for name in layer.inputs]
        call = getattr(keras.layers, layer.kind)(**layer.options, name=layer.name)
        tensors[layer.name] = call(inputs if len(inputs) > 1 else inputs[0])
    ends = tensors[graph.input.name], tensors[graph.output.name]
    return keras.Model(*ends, name="unet")
