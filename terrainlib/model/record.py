"""What a model file says about its model, apart from layers and weights.

Plain JSON values, so that a record can be listed, shown and stored without TensorFlow.
What comes out of a file is checked here before anybody relies on it: the types of the
fields below are its schema, and a key may be missing wherever they do not require it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Required, Self

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, GetPydanticSchema, with_config
from typing_extensions import TypedDict  # pydantic takes none other before Python 3.12

from terrainlib.data.formats.raster import BandSet
from terrainlib.data.palette import (
    MAX_CLASSES,
    MAX_NAME_CHARACTERS,
    Classes,
    TerrainClass,
)
from terrainlib.errors import ModelFileError
from terrainlib.metrics import SCORES, Difference, scores
from terrainlib.model.config import UNetConfig
from terrainlib.model.looks import MAX_GROUPS, Looks
from terrainlib.types import (
    Amount,
    Count,
    Finite,
    Moment,
    Share,
    Text,
    checked,
    fits,
)

FORMAT: Final = 1
PIXEL_CLASSIFIER_NAME: Final = "Pixel classifier"
MAX_RECEPTIVE_FIELD_PX: Final = 2048
_MAX_REASON_CHARACTERS: Final = 200
_loose = with_config(ConfigDict(extra="allow"))  # a later version may add keys


def utc_now() -> str:
    """Return the time as ISO text, UTC, in whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _printable(text: str) -> str:
    if not (text.strip() and text.isprintable()):
        raise ValueError("should be a name that can be printed")
    return text


def _known_looks(values: Any) -> Any:
    if Looks.from_dict(values) is None:
        raise ValueError("should be how the training images are distributed")
    return values


def _as(kind: Any) -> GetPydanticSchema:
    """Check a JSON object as another type does, and leave it a `dict`."""
    return GetPydanticSchema(lambda _source, handler: handler.generate_schema(kind))


_Line = Annotated[Text, AfterValidator(lambda text: " ".join(text.split()))]
_Short = Annotated[str, Field(max_length=200)]
_Note = Annotated[str, Field(max_length=500)]
_Band = Annotated[int, Field(ge=0, le=255)]
_Pixels = Annotated[int, Field(ge=0, le=2**48)]  # a sum over classes fits in 64 bits
_Row = Annotated[list[_Pixels], Field(max_length=MAX_CLASSES)]
_Matrix = Annotated[list[_Row], Field(max_length=MAX_CLASSES)]
_Ahead = Annotated[list[Finite], Field(min_length=3, max_length=3)]
_Rgb = Annotated[list[Share], Field(min_length=3, max_length=3)]
_OfClasses = Annotated[dict[Text, Share | None], Field(max_length=MAX_CLASSES)]


@_loose
class _Class(TypedDict):
    name: Annotated[
        str, Field(max_length=MAX_NAME_CHARACTERS), AfterValidator(_printable)
    ]
    color: Annotated[list[_Band], Field(min_length=3, max_length=3)]


@_loose
class _Split(TypedDict, total=False):
    method: _Line
    train: list[Text]
    validation: list[Text]
    left_out: list[Text]
    hash: _Line
    leak: _Line


StoredScores = _loose(
    TypedDict(  # type: ignore[operator] # mypy sees no type that a table makes
        "StoredScores",
        {"images": Count, "split": _Line}
        | {"confusion_groups": list[_Matrix], "ahead": _Ahead}
        | {k.key: _OfClasses if k.of_classes else Share | None for k in SCORES},
        total=False,
    )
)


@_loose
class _Statistics(TypedDict, total=False):
    color_mean: _Rgb
    color_std: _Rgb
    contrast: Share
    class_shares: _OfClasses
    looks: Annotated[dict[str, Any], AfterValidator(_known_looks)]


@_loose
class _Dataset(TypedDict, total=False):
    name: _Line
    pairs: Count
    fingerprint: _Line


@_loose
class _Start(TypedDict, total=False):
    name: _Line
    hash: _Line


@_loose
class _Training(TypedDict, total=False):
    network: dict[str, Any]
    minutes: Amount | None
    epochs: Count | None
    batch_size: Count
    crop_size: Count | None
    seed: Count
    epochs_done: Count
    best_epoch: Count | None
    stopped: bool
    started_from: _Start


@_loose
class _Final(TypedDict, total=False):
    pairs: Required[Annotated[Count, Field(gt=0)]]
    minutes: Amount | None
    epochs: Count | None
    seed: Count | None


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """The record of a model.

    Attributes:
        config: JSON form of its `UNetConfig`.
        classes: `[{"name": ..., "color": [r, g, b]}, ...]`, in the order of indices.
        name: What the model is called.
        bands: JSON form of the `BandSet` that images are read with; None for red,
            green and blue as each file has them.
        scale: Working pixels per original pixel; None for the original's files, which
            take the whole image resized to the input.
        receptive_field: Half-width of the receptive field in working px.
        normalization: How pixels are scaled before the network.
        split: JSON form of the `Split` it was trained with, if there was one.
        scores: `images`, and the scores of `terrainlib.metrics.SCORES` by their keys,
            on the validation part, if it was judged.
        confusion: (K, K) pixels of that part, rows true, columns predicted.
        confusion_groups: (G, K, K) pixels of G groups of its images, which add up to
            `confusion`: how much the errors differ from place to place.
        temperature: What the logits were divided by for honest probabilities. The
            weights contain it already: nobody who predicts has to apply it.
        statistics: Colour, contrast and resolution of the training images.
        dataset: `name`, `pairs`, `fingerprint` of the training data.
        training: JSON form of the `TrainingConfig`; and how it went, with `name` and
            `hash` of the model that it `started_from`.
        parameters: Number of weights of the network; None where it was not counted.
        pixel_classifier: What the pixel classifier scores on the same split, in the
            same form, if it was fitted; and how far the model is `ahead` of it in mIoU,
            with the ends of the 95 % interval.
        final: `pairs`, and where known `minutes`, `seed` and `epochs`, of a last
            training on all pairs, whose weights these are. Split, scores and confusion
            are those of the training before it, which kept validation pairs apart.
        notes: Sentences for people, shown in the model card.
        created: When it was made, ISO, UTC; empty where that is not known.
        versions: Versions of the libraries that made it.
        format: Version of this form.
    """

    config: dict[str, Any]
    classes: Annotated[
        list[Annotated[dict[str, Any], _as(_Class)]],
        Field(min_length=2, max_length=MAX_CLASSES),
    ]
    name: _Short = ""
    bands: Annotated[dict[str, Any], fits(BandSet)] | None = None
    scale: Annotated[float, Field(ge=1 / 256, le=256, allow_inf_nan=False)] | None = (
        None
    )
    receptive_field: Annotated[int, Field(ge=0, le=MAX_RECEPTIVE_FIELD_PX)] = 0
    normalization: dict[str, Any] = field(default_factory=dict)
    split: Annotated[dict[str, Any], _as(_Split)] | None = None
    scores: Annotated[dict[str, Any], _as(StoredScores)] | None = None
    confusion: _Matrix | None = None
    confusion_groups: Annotated[list[_Matrix], Field(max_length=MAX_GROUPS)] | None = (
        None
    )
    temperature: Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False)] = 1.0
    statistics: Annotated[dict[str, Any], _as(_Statistics)] = field(
        default_factory=dict
    )
    dataset: Annotated[dict[str, Any], _as(_Dataset)] = field(default_factory=dict)
    training: Annotated[dict[str, Any], _as(_Training)] = field(default_factory=dict)
    parameters: Annotated[Count, Field(gt=0)] | None = None
    pixel_classifier: Annotated[dict[str, Any], _as(StoredScores)] | None = None
    final: Annotated[dict[str, Any], _as(_Final)] | None = None
    notes: Annotated[list[_Note], Field(max_length=20)] = field(default_factory=list)
    created: Moment = field(default_factory=utc_now)
    versions: Annotated[dict[_Short, _Short], Field(max_length=50)] = field(
        default_factory=dict
    )
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form, without `bands` where there are none."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        if self.bands is None:
            del values["bands"]
        return values

    def unet_config(self) -> UNetConfig:
        """Return the configuration of the network.

        Raises:
            ModelFileError: If an option is unknown, of a wrong type or out of bounds.
        """
        try:
            checked(UNetConfig, self.config)
            return UNetConfig.from_dict(self.config)
        except ValueError as error:
            raise _unusable(error) from error

    def band_set(self) -> BandSet | None:
        """Return the bands that images are read with; None for plain RGB."""
        return checked(BandSet, self.bands) if self.bands else None

    def terrain_classes(self) -> Classes:
        """Return the classes."""
        return tuple(TerrainClass(c["name"], tuple(c["color"])) for c in self.classes)

    def known_scores(self) -> dict[str, Any]:
        """Return the scores; what older files lack comes of their confusion matrix."""
        stored, confusion = self.scores or {}, self.confusion or []
        names = [item.name for item in self.terrain_classes()]
        sizes = {len(names)} == {len(confusion), *map(len, confusion)}
        if stored.get("miou") is None or not sizes:
            return dict(stored)
        return scores(np.array(confusion, np.int64)).to_json(names) | stored

    @property
    def ahead(self) -> Difference | None:
        """How far its mIoU is ahead of the pixel classifier's, where both are known."""
        other = self.pixel_classifier or {}
        if other.get("ahead"):
            value, low, high = other["ahead"]
            return Difference(value, (low, high))
        own, known = (self.scores or {}).get("miou"), other.get("miou")
        return None if own is None or known is None else Difference(own - known)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Return the record of a JSON form out of a file.

        Keys that are not known are passed over: a later version may add some.

        Raises:
            ModelFileError: If it is no record of this form, or a value is not usable.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise _unusable("it is of another version of this app")
        try:
            earlier = {"pixel_classifier": values.get("yardstick")}  # its old name
            record = checked(cls, {"created": "", **earlier, **values})
        except ValueError as error:
            raise _unusable(error) from error
        config = record.unet_config()
        if config.output == "classes" and len(record.classes) != config.classes:
            raise _unusable(
                f"it names {len(record.classes)} classes for {config.classes} outputs"
            )
        used = record.band_set()
        if config.bands != (3 if used is None else len(used.bands)):
            raise _unusable(f"it does not name the {config.bands} bands of its input")
        return record


def class_list(classes: Classes) -> list[dict[str, Any]]:
    """Return the JSON form of classes."""
    return [{"name": item.name, "color": list(item.color)} for item in classes]


def _unusable(reason: object) -> ModelFileError:
    why = str(reason).rstrip(".")[:_MAX_REASON_CHARACTERS]
    return ModelFileError(
        f"the record of the model cannot be used: {why}. Retrain, or update this app."
    )
