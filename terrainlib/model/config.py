"""The configuration of a U-Net and of its training, as data.

Frozen dataclasses with bounds checked on construction and JSON forms; no TensorFlow.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from reprlib import repr as shortened
from typing import Any, ClassVar, Final, Literal, Self, TypeVar

from pydantic import ConfigDict

from terrainlib.errors import ConfigError
from terrainlib.types import checked

Encoder = Literal["own", "imagenet"]
OutputKind = Literal["classes", "colors"]
Precision = Literal["auto", "float32", "bfloat16"]
Resize = Literal["scale", "whole"]
Schedule = Literal["warm_up", "one_cycle", "constant"]

_T = TypeVar("_T")

MAX_BANDS = 64
MAX_FILTERS = 1024
MAX_LEVELS = 6
MAX_IMAGE_SIZE_PX = 8192
MAX_CROP_PX = 1024
MAX_EPOCHS = 10_000
MAX_MINUTES = 7 * 24 * 60.0
DEFAULT_PRESET = "fast"
DEFAULT_MINUTES = 10.0


@dataclass(frozen=True, slots=True)
class Block:
    """An inverted residual block of the encoder that was learnt on ImageNet.

    Attributes:
        expansion: By how much it widens before its depthwise convolution.
        filters: Channels that it gives.
        stride: 2 where it halves the resolution.
        kernel: Side of its depthwise convolution in px.
    """

    expansion: int
    filters: int
    stride: int
    kernel: int


ENCODER_STEM_FILTERS: Final = 32
ENCODER_BLOCKS: Final = (  # of EfficientNet-Lite0
    Block(1, 16, 1, 3),  # half of the resolution
    Block(6, 24, 2, 3),  # a quarter
    Block(6, 24, 1, 3),
    Block(6, 40, 2, 5),  # an eighth
    Block(6, 40, 1, 5),
)
# How far the whole network reaches, by the stride of its stem, for 2 to 6 levels.
ENCODER_REACH_PX: Final = {1: (11, 27, 70, 123, 251), 2: (25, 69, 118, 246, 502)}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Within what bounds `model.automatic` chooses sizes for a data set.

    Attributes:
        batch: Crops a step, where there are enough.
        crop_px: Size in px of the crops that larger images are trained on.
    """

    batch: int
    crop_px: int


@dataclass(frozen=True, slots=True)
class Preset:
    """A kind of network and the way to train it: all that is said of it anywhere.

    Attributes:
        sentence: What it is, for people.
        network: Options of `UNetConfig` that differ from its own.
        training: Options of `TrainingConfig` that differ, and the budget.
        sizes: How sizes follow the data; None where they are the preset's, whatever the
            data.
        with_heights: Options of `UNetConfig` that differ once more with heights.
    """

    sentence: str
    network: Mapping[str, Any]
    training: Mapping[str, Any]
    sizes: Sizes | None
    with_heights: Mapping[str, Any] = field(default_factory=dict)


PRESETS: Final[Mapping[str, Preset]] = {
    "fast": Preset(
        sentence="The best mask that two CPU cores learn in minutes. Start here.",
        network={"encoder": "imagenet"},
        training={"minutes": DEFAULT_MINUTES},
        sizes=Sizes(batch=8, crop_px=128),
        with_heights={"encoder": "own"},  # relief counts for more than what is seen
    ),
    "notebook": Preset(
        sentence="The original notebook's network: it learns the mask's colours.",
        network={
            "filters": (16, 32, 64, 128, 256),
            "stem_stride": 1,
            "output": "colors",
            "dropout": 0.07,
            "convolution_bias": True,
            "resize": "whole",
            "batch_norm_momentum": 0.99,
        },
        training={
            "epochs": 50,
            "batch_size": 32,
            "learning_rate": 1e-3,
            "schedule": "constant",
            "weight_decay": 0.0,
            "averaging": 0.0,
            "dice_weight": 0.0,
            "flips": False,
            "quarter_turns": False,
            "precision": "float32",
        },
        sizes=None,
    ),
    "best": Preset(
        sentence="Larger, for a GPU or a night. No better on land as in the sample.",
        network={"filters": (32, 64, 128, 256, 384), "stem_stride": 1, "dropout": 0.2},
        training={"minutes": 600.0, "schedule": "one_cycle", "weight_decay": 1e-3},
        sizes=Sizes(batch=16, crop_px=256),
    ),
}


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """Shape of a U-Net.

    Attributes:
        preset_name: Where the values come from, one of `PRESETS`.
        image_size: Side in px that training works at: one scale for both sides of all
            images brings the median one, as a square, to it. A network takes any size
            that is a multiple of `size_multiple`.
        resize: `scale` for that, or `whole` where each image is resized to `image_size`
            squared, as the original does: those that are no squares are squeezed.
        filters: Filters of each level, from the finest to the bottom.
        stem_stride: 1, or 2 for a stem that halves the resolution before the first
            level and a head that restores it.
        encoder: `own` where all is learnt from the data set, or `imagenet` for features
            that photographs taught, frozen, beside a few of its own: at a half, a
            quarter and an eighth of the resolution.
        classes: Number of classes K.
        output: `classes` for softmax probabilities (H, W, K), `colors` for the
            original's three sigmoid channels (H, W, 3).
        bands: Bands B of the images, 1 to 64; 3 are red, green and blue unless others
            were chosen.
        height: Whether a last input channel carries the relief.
        dropout: Share of features dropped after pooling and concatenation, 0 to 0.9.
        batch_norm_momentum: Share of the old statistics kept a step, 0 to 0.999.
        convolution_bias: Whether the 3x3 convolutions have a bias; the normalisation
            that follows each takes it out again.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    preset_name: str = DEFAULT_PRESET
    image_size: int = 128
    resize: Resize = "scale"
    filters: tuple[int, ...] = (48, 96, 192)
    stem_stride: int = 2
    encoder: Encoder = "own"
    classes: int = 7
    output: OutputKind = "classes"
    bands: int = 3
    height: bool = False
    dropout: float = 0.0
    batch_norm_momentum: float = 0.9
    convolution_bias: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", tuple(self.filters))
        _one_of("preset", self.preset_name, tuple(PRESETS))
        _one_of("stem_stride", self.stem_stride, (1, 2))
        _within("number of levels in filters", len(self.filters), (2, MAX_LEVELS))
        for value in self.filters:
            _within("filters", value, (1, MAX_FILTERS))
        _within("classes", self.classes, (2, 64))
        _within("bands", self.bands, (1, MAX_BANDS))
        _within("dropout", self.dropout, (0.0, 0.9))
        _within("batch_norm_momentum", self.batch_norm_momentum, (0.0, 0.999))
        _within("image size", self.image_size, (16, MAX_IMAGE_SIZE_PX))
        _multiple_of("image size", self.image_size, self.size_multiple)

    @property
    def size_multiple(self) -> int:
        """Pixels that the heights and widths fed to the network are multiples of."""
        return int(self.stem_stride * 2 ** (len(self.filters) - 1))

    @property
    def beside_filters(self) -> tuple[int, ...]:
        """Filters of each level that learn beside an encoder that is given."""
        return tuple(max(1, count // 4) for count in self.filters)

    @property
    def input_channels(self) -> int:
        """Channels of the input: the bands and, where used, relief."""
        return self.bands + self.height

    @property
    def output_channels(self) -> int:
        """Channels of the output: one a class, or the three colours."""
        return self.classes if self.output == "classes" else 3

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """Return the configuration of a preset with some options changed.

        Raises:
            ConfigError: If the preset, an option or a value is not known or allowed.
        """
        _one_of("preset", name, tuple(PRESETS))
        preset = PRESETS[name]
        heights = preset.with_heights if changes.get("height") else {}
        options = {**preset.network, **heights, **changes}
        return cls.from_dict({"preset_name": name, **options})

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        return asdict(self) | {"filters": list(self.filters)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration of a JSON form.

        Raises:
            ConfigError: If an option is unknown or out of its bounds.
        """
        return _build(cls, values)


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How a network is trained.

    Attributes:
        network: The U-Net to train.
        epochs: Budget in epochs; None where the budget is in minutes.
        minutes: Budget in minutes of wall clock; None where it is in epochs.
        batch_size: Images a step.
        crop_size: Height and width in px, at the working size, of the random crops
            that are trained on; None takes the image size, so that square images are
            seen whole. Validation and prediction always see whole images.
        learning_rate: Highest learning rate.
        schedule: `warm_up` (a short rise, then constant), `one_cycle` (a rise, then
            down to zero along a cosine) or `constant`.
        weight_decay: Decoupled weight decay (AdamW), times the learning rate a step; 0
            is plain Adam.
        averaging: Decay of the exponential average of the weights that is validated
            and saved; 0 saves the weights themselves.
        dice_weight: Share of the soft Dice loss beside cross-entropy, 0 to 1.
        flips: Mirror images at random, left-right and up-down.
        quarter_turns: Turn images at random by quarter turns. As flips do, they move
            the light of shaded relief; on the sample the variety is worth more.
        jitter: Largest random change of brightness and contrast, 0 to 0.5. Where a
            class is told by its colour, as on the sample, it hurts.
        seed: Seed of everything random.
        validation_share: Share of the pairs held out, 0.02 to 0.5.
        precision: What activations are kept in while training: `float32`, `bfloat16`,
            or `auto` for bfloat16 where the processor multiplies such numbers, which
            halves the time of a step. Weights are always float32.
        deterministic: Same seed, same weights, on the same machine.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    network: UNetConfig
    epochs: int | None = None
    minutes: float | None = None
    batch_size: int = 8
    crop_size: int | None = None
    learning_rate: float = 3e-3
    schedule: Schedule = "warm_up"
    weight_decay: float = 0.3
    averaging: float = 0.998
    dice_weight: float = 0.4
    flips: bool = True
    quarter_turns: bool = True
    jitter: float = 0.0
    seed: int = 0
    validation_share: float = 0.15
    precision: Precision = "auto"
    deterministic: bool = True

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.minutes is None):
            raise ConfigError("give a budget either in epochs or in minutes.")
        if self.epochs is not None:
            _within("epochs", self.epochs, (1, MAX_EPOCHS))
        if self.minutes is not None:
            _within("minutes", self.minutes, (0.05, MAX_MINUTES))
        _within("batch size", self.batch_size, (1, 512))
        whole = self.network.image_size
        if self.crop_size is not None:
            multiple = self.network.size_multiple
            _within("crop size", self.crop_size, (multiple, min(whole, MAX_CROP_PX)))
            _multiple_of("crop size", self.crop_size, multiple)
        elif whole > MAX_CROP_PX:
            raise ConfigError(
                f"{whole} px are too many to train on at once; the limit is "
                f"{MAX_CROP_PX}. Set a crop size, or a smaller image size."
            )
        _within("learning rate", self.learning_rate, (1e-7, 1.0))
        _within("weight_decay", self.weight_decay, (0.0, 1.0))
        _within("averaging", self.averaging, (0.0, 0.9999))
        _within("dice_weight", self.dice_weight, (0.0, 1.0))
        _within("jitter", self.jitter, (0.0, 0.5))
        _within("seed", self.seed, (0, 2**31 - 1))
        _within("validation share", self.validation_share, (0.02, 0.5))

    @property
    def crop_px(self) -> int:
        """Height and width in px of what is trained on."""
        return self.crop_size or self.network.image_size

    @classmethod
    def preset(
        cls, name: str, *, network: Mapping[str, Any] | None = None, **changes: Any
    ) -> Self:
        """Return the training of a preset with some options changed.

        A budget among the changes takes the place of the preset's.

        Args:
            name: One of `PRESETS`.
            network: Options of `UNetConfig` to change.
            **changes: Options of this class to change; None keeps the preset's value.

        Raises:
            ConfigError: If the preset, an option or a value is not known or allowed.
        """
        _one_of("preset", name, tuple(PRESETS))
        changes = {key: value for key, value in changes.items() if value is not None}
        values = dict(PRESETS[name].training)
        if "epochs" in changes or "minutes" in changes:
            values.pop("epochs", None)
            values.pop("minutes", None)
        unet = UNetConfig.preset(name, **(network or {}))
        return cls.from_dict({"network": unet.to_dict(), **values, **changes})

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        return asdict(self) | {"network": self.network.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the training of a JSON form.

        Raises:
            ConfigError: If an option is unknown or out of its bounds.
        """
        return _build(cls, values)


def _build(cls: type[_T], values: Mapping[str, Any]) -> _T:
    try:
        return checked(cls, values)
    except ValueError as error:
        raise ConfigError(f"{error}.") from error


def _one_of(option: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        choices = ", ".join(str(choice) for choice in allowed)
        raise ConfigError(f"{option} must be one of {choices}, not {shortened(value)}.")


def _multiple_of(option: str, pixels: int, multiple: int) -> None:
    if pixels % multiple:
        steps = max(1, round(pixels / multiple))
        raise ConfigError(
            f"the {option} must be a multiple of {multiple} px for this network, not "
            f"{pixels}. Use {steps * multiple}."
        )


def _within(option: str, value: float, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise ConfigError(f"{option} must be {low:g} to {high:g}, not {value!r}.")
