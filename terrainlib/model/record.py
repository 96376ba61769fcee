"""What a model file says about its model, apart from layers and weights.

Plain JSON values, so that a record can be listed, shown and stored without TensorFlow.
What comes out of a file is checked here before anybody relies on it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final, Self

from terrainlib.data.palette import (
    MAX_CLASSES,
    MAX_NAME_CHARACTERS,
    Classes,
    TerrainClass,
)
from terrainlib.errors import ConfigError, ModelFileError
from terrainlib.model.config import UNetConfig
from terrainlib.model.statistics import is_statistics

FORMAT: Final = 1
MAX_RECEPTIVE_FIELD_PX: Final = 2048
_MAX_TEXT_CHARACTERS: Final = 200
_MAX_NOTES: Final = 20
_MAX_NOTE_CHARACTERS: Final = 500


def utc_now() -> str:
    """Return the time as ISO text, UTC, in whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """The record of a model.

    Attributes:
        config: JSON form of its `UNetConfig`.
        classes: `[{"name": ..., "color": [r, g, b]}, ...]`, in the order of indices.
        name: What the model is called.
        scale: Working pixels per original pixel; None for the original's files, which
            take the whole image resized to the input.
        receptive_field: Half-width of the receptive field in working px.
        normalization: How pixels are scaled before the network.
        split: JSON form of the `Split` it was trained with, if there was one.
        scores: `images`, `pixel_accuracy`, `miou`, `iou`, `boundary_f1` and `ece`, the
            expected calibration error, on the validation part, if it was judged.
        confusion: (K, K) pixels of that part, rows true, columns predicted.
        confusion_groups: (G, K, K) pixels of G groups of its images, which add up to
            `confusion`: how much the errors differ from place to place.
        temperature: What the logits were divided by for honest probabilities. The
            weights contain it already: nobody who predicts has to apply it.
        statistics: Colour, contrast and resolution of the training images.
        dataset: `name`, `pairs`, `fingerprint` of the training data.
        training: JSON form of the `TrainingConfig`.
        parameters: Number of weights of the network; None where it was not counted.
        yardstick: JSON form of the `Yardstick`: what the pixel classifier scores on the
            same split, if it was fitted.
        final: `pairs`, and where known `minutes`, `seed` and `epochs`, of a last
            training on all pairs, whose weights these are. Split, scores and confusion
            are those of the training before it, which kept validation pairs apart.
        notes: Sentences for people, shown in the model card.
        created: When it was made, ISO, UTC; empty where that is not known.
        versions: Versions of the libraries that made it.
        format: Version of this form.
    """

    config: dict[str, Any]
    classes: list[dict[str, Any]]
    name: str = ""
    scale: float | None = None
    receptive_field: int = 0
    normalization: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] | None = None
    scores: dict[str, Any] | None = None
    confusion: list[Any] | None = None
    confusion_groups: list[Any] | None = None
    temperature: float = 1.0
    statistics: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    yardstick: dict[str, Any] | None = None
    final: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    created: str = field(default_factory=utc_now)
    versions: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def unet_config(self) -> UNetConfig:
        """Return the configuration of the network.

        Raises:
            ModelFileError: If an option is unknown or out of its bounds.
        """
        _require_types(self.config)
        try:
            return UNetConfig.from_dict(self.config)
        except ConfigError as error:
            raise _unusable(error.message) from error
        except (TypeError, ValueError) as error:
            raise _unusable("an option of the network is of a wrong type.") from error

    def terrain_classes(self) -> Classes:
        """Return the classes.

        Raises:
            ModelFileError: If they are no list of 2 to 64 names with colours.
        """
        if not 2 <= len(self.classes) <= MAX_CLASSES:
            raise _unusable(
                f"it has {len(self.classes)} classes; 2 to {MAX_CLASSES} are allowed."
            )
        return tuple(_class(item) for item in self.classes)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Return the record of a JSON form out of a file.

        Keys that are not known are passed over: a later version may add some.

        Raises:
            ModelFileError: If it is no record of this form, or a value is not usable.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise _unusable("it is of another version of this app.")
        known = {item.name for item in fields(cls)}
        for name, usable in _USABLE.items():
            if name in values and not usable(values[name]):
                raise _unusable(f"`{name}` is out of its bounds.")
        if not {"config", "classes"} <= set(values):
            raise _unusable("config or classes are missing.")
        kept = {name: value for name, value in values.items() if name in known}
        record = cls(**{"created": "", **kept})
        config = record.unet_config()
        classes = record.terrain_classes()
        if config.output == "classes" and len(classes) != config.classes:
            raise _unusable(
                f"it names {len(classes)} classes for {config.classes} outputs."
            )
        return record


def class_list(classes: Classes) -> list[dict[str, Any]]:
    """Return the JSON form of classes."""
    return [{"name": item.name, "color": list(item.color)} for item in classes]


def _class(item: Any) -> TerrainClass:
    """Return one class of the list."""
    item = item if isinstance(item, Mapping) else {}
    name, color = item.get("name"), item.get("color")
    named = isinstance(name, str) and 0 < len(name.strip()) <= MAX_NAME_CHARACTERS
    if not (named and str(name).isprintable()):
        raise _unusable("a class lacks its name.")
    if not (isinstance(color, list | tuple) and len(color) == 3):
        raise _unusable("a class lacks its colour.")
    if not all(_is_whole(c) and 0 <= c <= 255 for c in color):
        raise _unusable("a class colour is not three numbers from 0 to 255.")
    return TerrainClass(str(name), (color[0], color[1], color[2]))


def _require_types(config: Mapping[str, Any]) -> None:
    """Refuse options of the network of another type than their defaults'."""
    for name, default in UNetConfig().to_dict().items():
        value = config.get(name, default)
        if isinstance(default, list):
            fits = isinstance(value, list | tuple) and all(map(_is_whole, value))
        elif isinstance(default, float):
            fits = _is_number(value)
        else:
            fits = type(value) is type(default)
        if not fits:
            raise _unusable(f"`{name}` is of a wrong type.")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT_CHARACTERS


def _is_final(value: Any) -> bool:
    """Return whether a value says how often, how long and on what all was trained."""
    if not isinstance(value, dict) or not _is_whole(value.get("pairs")):
        return False
    others = (value.get(name) for name in ("minutes", "seed", "epochs"))
    known = all(v is None or (_is_number(v) and v >= 0) for v in others)
    return bool(value["pairs"] > 0 and known)


def _are_notes(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_NOTES
        and all(isinstance(v, str) and len(v) <= _MAX_NOTE_CHARACTERS for v in value)
    )


_USABLE: Final[dict[str, Callable[[Any], bool]]] = {
    "config": _is_object,
    "classes": lambda v: isinstance(v, list),
    "name": _is_text,
    "scale": lambda v: v is None or (_is_number(v) and 1 / 256 <= v <= 256),
    "receptive_field": lambda v: _is_whole(v) and 0 <= v <= MAX_RECEPTIVE_FIELD_PX,
    "normalization": _is_object,
    "split": lambda v: v is None or isinstance(v, dict),
    "scores": lambda v: v is None or isinstance(v, dict),
    "confusion": lambda v: v is None or isinstance(v, list),
    "confusion_groups": lambda v: v is None or isinstance(v, list),
    "temperature": lambda v: _is_number(v) and 0.01 <= v <= 100,
    "statistics": is_statistics,
    "dataset": _is_object,
    "training": _is_object,
    "parameters": lambda v: v is None or (_is_whole(v) and v > 0),
    "yardstick": lambda v: v is None or isinstance(v, dict),
    "final": lambda v: v is None or _is_final(v),
    "notes": _are_notes,
    "created": _is_text,
    "versions": _is_object,
}


def _unusable(reason: str) -> ModelFileError:
    return ModelFileError(
        f"the record of the model cannot be used: {reason} Retrain, or update this app."
    )
