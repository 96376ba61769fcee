"""Files of the original notebook: plain Keras U-Nets with three sigmoid channels.

They carry no record of ours. Their network is rebuilt here from its layer list as data,
out of the allowed layers only, and predicts what it predicts in Keras.
"""

from typing import Any, Final

from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.errors import ConfigError, ModelFileError
from terrainlib.model.config import UNetConfig
from terrainlib.model.graph import Graph, Layer, channels
from terrainlib.model.receptive_field import half_width
from terrainlib.model.record import ModelRecord, class_list

DEFAULT_SIZE_PX: Final = 128
_COLORS: Final = 3
_MOMENTUM_LIMIT: Final = 0.999


def notebook_record(graph: Graph, name: str, keras_version: str = "") -> ModelRecord:
    """Describe an original notebook file by what its layers say.

    Args:
        graph: The layers of the file.
        name: What the model is to be called.
        keras_version: The version that wrote the file.

    Returns:
        A record with the preset `notebook`, the Kaggle classes and no scale.

    Raises:
        ModelFileError: If it is no U-Net from three colours to three sigmoid channels.
    """
    return ModelRecord(
        name=name,
        config=notebook_config(graph).to_dict(),
        classes=class_list(KAGGLE_CLASSES),
        scale=None,
        receptive_field=half_width(graph),
        created="",
        versions={"keras": keras_version} if keras_version else {},
    )


def notebook_config(graph: Graph) -> UNetConfig:
    """Return the configuration that comes closest to a graph.

    Raises:
        ModelFileError: If it is no U-Net from three colours to three sigmoid channels.
    """
    size = _image_size(graph)
    _require_colors(graph)
    rates = [x.options["rate"] for x in _of_kind(graph, "Dropout")]
    momenta = [x.options["momentum"] for x in _of_kind(graph, "BatchNormalization")]
    try:
        return UNetConfig.preset(
            "notebook",
            image_size=size,
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
    counts = channels(graph)
    pools = _of_kind(graph, "MaxPooling2D")
    ups = _of_kind(graph, "Conv2DTranspose")
    halving = all(layer.options["stride"] == 2 for layer in (*pools, *ups))
    if not pools or len(pools) > len(ups) or not halving:
        raise ModelFileError(
            f"no U-Net: {len(pools)} poolings and {len(ups)} transposed convolutions. "
            "Only models made by this app and original notebook files are accepted."
        )
    return (*(counts[x.inputs[0]] for x in pools), counts[ups[0].inputs[0]])


def build_graph(graph: Graph) -> Any:
    """Build the network of a graph out of plain Keras layers; it loads TensorFlow.

    Args:
        graph: Layers within the bounds of `layeroptions`.

    Returns:
        A `keras.Model` with the layers' names that takes images of any height and
        width, where the original took 128 x 128 px.
    """
    import keras

    tensors: dict[str, Any] = {}
    for layer in graph.layers:
        if layer.kind == "InputLayer":
            shape = (None, None, layer.options["shape"][2])
            tensors[layer.name] = keras.Input(shape, name=layer.name)
            continue
        inputs = [tensors[name] for name in layer.inputs]
        call = _make_layer(layer)
        tensors[layer.name] = call(inputs if len(inputs) > 1 else inputs[0])
    return keras.Model(tensors[graph.input.name], tensors[graph.output], name="unet")


def _make_layer(layer: Layer) -> Any:
    """Return the Keras layer of one entry of the graph."""
    from keras import layers

    options, name = layer.options, layer.name
    if layer.kind in ("Conv2D", "Conv2DTranspose"):
        return getattr(layers, layer.kind)(
            options["filters"],
            options["kernel"],
            strides=options["stride"],
            padding=options["padding"],
            activation=options["activation"],
            use_bias=options["bias"],
            name=name,
        )
    if layer.kind == "MaxPooling2D":
        return layers.MaxPooling2D(options["kernel"], name=name)
    if layer.kind == "UpSampling2D":
        return layers.UpSampling2D(2, name=name)
    if layer.kind == "AveragePooling2D":
        size = options["kernel"]
        return layers.AveragePooling2D(size, strides=1, padding="same", name=name)
    # Of the remaining kinds the options are named as Keras names its arguments.
    return getattr(layers, layer.kind)(**options, name=name)


def _image_size(graph: Graph) -> int:
    """Return the side of the input; refuse others than square colour images."""
    height, width, bands = graph.input.options["shape"]
    if bands != _COLORS or height != width:
        raise ModelFileError(
            f"expects {bands} input channels and size {width} x {height}; the "
            f"original's network has {_COLORS} and a square size. Use a model made by "
            "this app."
        )
    return int(height or DEFAULT_SIZE_PX)


def _require_colors(graph: Graph) -> None:
    """Refuse other outputs than three sigmoid channels."""
    last = graph.layer(graph.output)
    outputs, activation = channels(graph)[last.name], last.options.get("activation")
    if outputs != _COLORS or activation != "sigmoid":
        raise ModelFileError(
            f"gives {outputs} output channels ({activation or 'no activation'}); the "
            f"original's network gives {_COLORS} (sigmoid). Only models made by this "
            "app and original notebook files are accepted."
        )


def _of_kind(graph: Graph, kind: str) -> list[Layer]:
    return [layer for layer in graph.layers if layer.kind == kind]
