"""Starting a training from the weights of a model instead of from nothing.

Layers are taken over by name and shape. Those that read the image are new where the
model reads other inputs, the last one where it gives other classes. No TensorFlow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from terrainlib.data.palette import Classes
from terrainlib.errors import ConfigError
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import TerrainModel
from terrainlib.model.record import ModelRecord

RATE_SHARE: Final = 1 / 3  # of a preset's learning rate: what is known is to be kept
RGB: Final = ("red", "green", "blue")
_FIRST: Final = ("stem", "head_detail")  # the layers that read the image
_FIRST_WITHOUT_STEM: Final = ("down1_conv1",)
SHAPE_OPTIONS: Final = ("filters", "stem_stride", "encoder", "convolution_bias")


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken over of a model.

    Attributes:
        layers: Names of the layers whose weights are the model's.
        new: Names of those that begin at random.
    """

    layers: tuple[str, ...]
    new: tuple[str, ...]


def take_over(
    network: Any,
    start: TerrainModel,
    classes: Classes,
    bands: Sequence[str] = RGB,
) -> Taken:
    """Give a network the weights of a model, as far as they fit.

    Args:
        network: A `keras.Model` of `build_unet`, whose weights are changed.
        start: The model to start from.
        classes: What the network is to tell apart.
        bands: Names of the bands that it reads.

    Raises:
        ConfigError: If no layer fits.
    """
    layers = [layer for layer in network.layers if layer.weights]
    theirs = [layer for layer in start.network.layers if layer.weights]
    known = {layer.name: layer for layer in theirs}
    if not known.keys() & {layer.name for layer in layers}:  # an original notebook's
        known = dict(zip((layer.name for layer in layers), theirs, strict=False))
    if not same_classes(start.record, classes):
        known.pop(layers[-1].name, None)
    if not same_bands(start.record, bands):
        names = {layer.name for layer in layers}
        first = _FIRST if names >= set(_FIRST) else _FIRST_WITHOUT_STEM
        known = {name: layer for name, layer in known.items() if name not in first}
    taken = []
    for layer in layers:
        found = known.get(layer.name)
        if found is not None and _shapes(found) == _shapes(layer):
            layer.set_weights(found.get_weights())
            taken.append(layer.name)
    if not any(len(shape) == 4 for name in taken for shape in _shapes(known[name])):
        raise _no_fit(start.name, start.config)
    left = [layer.name for layer in layers if layer.name not in taken]
    return Taken(tuple(taken), tuple(left))


def shape_of(record: ModelRecord) -> tuple[str, dict[str, Any]]:
    """Return preset and options of a network that takes all of a model over."""
    config = record.unet_config()
    return config.preset_name, {name: getattr(config, name) for name in SHAPE_OPTIONS}


def same_classes(record: ModelRecord, classes: Classes) -> bool:
    """Return whether a model gives these classes, by name and order."""
    names = [item.name for item in record.terrain_classes()]
    return names == [item.name for item in classes]


def require_fit(record: ModelRecord, network: UNetConfig) -> None:
    """Refuse a model of which no layer fits, before anything is loaded.

    Raises:
        ConfigError: If none does.
    """
    config = record.unet_config()
    levels = zip(config.filters[:-1], network.filters[:-1], strict=False)
    equal = any(one == other for one, other in levels)
    equal |= config.filters[-1] == network.filters[-1]
    if not equal or config.convolution_bias != network.convolution_bias:
        raise _no_fit(record.name, config)


def usual_rate(rate: float, start: ModelRecord | None) -> float:
    """Return the learning rate of a training where nobody sets one.

    Args:
        rate: The preset's.
        start: Record of the model that it starts from; None from nothing.
    """
    return rate if start is None else rate * RATE_SHARE


def same_bands(record: ModelRecord, bands: Sequence[str]) -> bool:
    """Return whether a model reads these bands, by name and order."""
    used = record.band_set()
    theirs = RGB if used is None else used.names
    return [name.lower() for name in theirs] == [name.lower() for name in bands]


def what_is_taken(
    record: ModelRecord,
    network: UNetConfig,
    classes: Classes,
    bands: Sequence[str] = RGB,
) -> str:
    """Say in a sentence what a network will take over of a model.

    Args:
        record: The model's record.
        network: The network that is to be trained.
        classes: What it is to tell apart.
        bands: Names of the bands that it reads.
    """
    config = record.unet_config()
    if any(getattr(config, name) != getattr(network, name) for name in SHAPE_OPTIONS):
        return (
            "Its network has another shape (preset, filters or resolution): only "
            "layers of the same name and size are taken over."
        )
    new = []
    same = same_bands(record, bands)
    if config.input_channels != network.input_channels or not same:
        new.append("those that read the image, for it reads other bands")
    if config.output != network.output or not same_classes(record, classes):
        new.append("the last one, for it tells other classes apart")
    if not new:
        return "All its layers are taken over."
    return f"All its layers are taken over but {' and '.join(new)}."


def _no_fit(name: str, config: UNetConfig) -> ConfigError:
    return ConfigError(
        f"no layer of {name} fits this network. Choose its preset, "
        f"{config.preset_name}, or another model."
    )


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
