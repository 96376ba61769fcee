"""The options of each allowed layer: which there are, and within which bounds.

An option that could change a prediction and is not known is refused rather than passed
over; options of training (initialisers, regularisers, constraints) are of no interest.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from terrainlib.errors import ModelFileError
from terrainlib.model.allowlist import shortened

Options = dict[str, Any]

MAX_FILTERS: Final = 4096
MAX_KERNEL: Final = 31
MAX_STRIDE: Final = 4
MAX_CHANNELS: Final = 64
MAX_SIZE_PX: Final = 4096
ACTIVATIONS: Final = frozenset(
    {"linear", "relu", "sigmoid", "softmax", "tanh", "elu", "selu", "gelu", "silu"}
)
# Options that only matter to training, or only name things.
_WITHOUT_EFFECT: Final = frozenset(
    {"name", "trainable", "seed", "synchronized", "fused", "renorm_momentum"}
)
_EFFECTLESS_ENDINGS: Final = ("_initializer", "_regularizer", "_constraint")


def read_options(kind: str, layer: str, config: Mapping[str, Any]) -> Options:
    """Return the options of a layer that matter to a prediction.

    Args:
        kind: One of the allowed layer types.
        layer: Name of the layer, for messages.
        config: Its settings as parsed JSON.

    Raises:
        ModelFileError: If an option is unknown or out of its bounds.
    """
    reader = _Reader(layer, dict(config))
    options = _READERS[kind](reader)
    reader.finish()
    return options


class _Reader:
    """Takes known options out of a layer's settings and refuses what is left."""

    def __init__(self, layer: str, config: dict[str, Any]) -> None:
        self.layer = layer
        self.left = config
        dtype = self.left.pop("dtype", None)
        if isinstance(dtype, Mapping):
            settings = dtype.get("config")
            dtype = settings.get("name") if isinstance(settings, Mapping) else "?"
        if dtype not in (None, "float32"):
            self.refuse("dtype", dtype)
        if (order := self.left.pop("data_format", None)) not in (None, "channels_last"):
            self.refuse("data_format", order)

    def refuse(self, option: str, value: Any) -> None:
        """Raise the sentence for an option that cannot be used."""
        raise ModelFileError(
            f"layer '{self.layer}' has {shortened(option)} = {shortened(value)}, which "
            "is not supported here. Only U-Net layers as this app and the original "
            "notebook use them are accepted."
        )

    def choice(self, option: str, allowed: frozenset[str], default: str) -> str:
        """Take a word out of a list of allowed ones."""
        value = self.left.pop(option, default)
        if not (isinstance(value, str) and value in allowed):
            self.refuse(option, value)
        return str(value)

    def flag(self, option: str, *, default: bool) -> bool:
        """Take true or false."""
        value = self.left.pop(option, default)
        if not isinstance(value, bool):
            self.refuse(option, value)
        return bool(value)

    def number(self, option: str, low: float, high: float, default: float) -> float:
        """Take a number within bounds."""
        value = self.left.pop(option, default)
        if not _is_number(value) or not low <= value <= high:
            self.refuse(option, value)
        return float(value)

    def side(self, option: str, high: int, default: int | None = None) -> int:
        """Take a whole number, or two equal ones, from 1 to `high`."""
        value = self.left.pop(option, None)
        sides = value if isinstance(value, list) else [value]
        if value is None and default is not None:
            return default
        whole = all(isinstance(s, int) and not isinstance(s, bool) for s in sides)
        if not (whole and 1 <= len(sides) <= 2 and len(set(sides)) == 1):
            self.refuse(option, value)
        if not 1 <= sides[0] <= high:
            self.refuse(option, value)
        return int(sides[0])

    def last_axis(self) -> None:
        """Take the axis, which must be that of the channels."""
        value = self.left.pop("axis", -1)
        if value not in (-1, 3, [-1], [3]):
            self.refuse("axis", value)

    def finish(self) -> None:
        """Refuse every other option that could change a prediction."""
        for option, value in self.left.items():
            harmless = option in _WITHOUT_EFFECT or option.endswith(_EFFECTLESS_ENDINGS)
            if not harmless and value not in (None, False):
                self.refuse(option, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read_input(reader: _Reader) -> Options:
    shapes = [
        reader.left.pop(key, None) for key in ("batch_shape", "batch_input_shape")
    ]
    shape = shapes[0] or shapes[1]
    if not (isinstance(shape, list) and len(shape) == 4 and shape[0] is None):
        reader.refuse("batch_shape", shape)
    limits = (MAX_SIZE_PX, MAX_SIZE_PX, MAX_CHANNELS)
    for side, limit in zip(shape[1:], limits, strict=True):
        whole = isinstance(side, int) and not isinstance(side, bool)
        if not (whole and 1 <= side <= limit) and (side is not None or limit < 100):
            reader.refuse("batch_shape", shape)
    return {"shape": tuple(shape[1:])}


def _read_convolution(reader: _Reader) -> Options:
    options = {
        "filters": reader.side("filters", MAX_FILTERS),
        "kernel": reader.side("kernel_size", MAX_KERNEL),
        "stride": reader.side("strides", MAX_STRIDE, default=1),
        "padding": reader.choice("padding", frozenset({"same", "valid"}), "valid"),
        "activation": reader.choice("activation", ACTIVATIONS, "linear"),
        "bias": reader.flag("use_bias", default=True),
    }
    reader.side("dilation_rate", 1, default=1)
    reader.side("groups", 1, default=1)
    _require_kept_size(reader, options)
    return options


def _require_kept_size(reader: _Reader, options: Options) -> None:
    """Refuse sizes that are not an exact multiple or fraction of the input's."""
    kernel, stride = options["kernel"], options["stride"]
    if kernel < stride:
        reader.refuse("kernel_size", kernel)
    if options["padding"] == "valid" and kernel != stride:
        reader.refuse("padding", "valid")


def _read_normalisation(reader: _Reader) -> Options:
    reader.last_axis()
    reader.left.pop("renorm_clipping", None)
    return {
        "momentum": reader.number("momentum", 0.0, 1.0, 0.99),
        "epsilon": reader.number("epsilon", 1e-9, 1.0, 1e-3),
        "center": reader.flag("center", default=True),
        "scale": reader.flag("scale", default=True),
    }


def _read_activation(reader: _Reader) -> Options:
    return {"activation": reader.choice("activation", ACTIVATIONS, "linear")}


def _read_pooling(reader: _Reader) -> Options:
    size = reader.side("pool_size", MAX_STRIDE, default=2)
    if reader.side("strides", MAX_STRIDE, default=size) != size:
        reader.refuse("strides", "other than pool_size")
    reader.choice("padding", frozenset({"same", "valid"}), "valid")
    return {"kernel": size, "stride": size, "padding": "valid"}


def _read_upsampling(reader: _Reader) -> Options:
    size = reader.side("size", 2)
    if size != 2:
        reader.refuse("size", size)
    reader.choice("interpolation", frozenset({"nearest"}), "nearest")
    return {"kernel": 2, "stride": 2}  # repeats each pixel


def _read_smoothing(reader: _Reader) -> Options:
    size = reader.side("pool_size", MAX_KERNEL, default=2)
    if reader.side("strides", MAX_STRIDE, default=size) != 1:
        reader.refuse("strides", "other than 1")
    reader.choice("padding", frozenset({"same"}), "valid")
    return {"kernel": size, "stride": 1, "padding": "same"}


def _read_dropout(reader: _Reader) -> Options:
    return {"rate": reader.number("rate", 0.0, 0.99, 0.5)}


def _read_concatenation(reader: _Reader) -> Options:
    reader.last_axis()
    return {}


_READERS: Final[dict[str, Callable[[_Reader], Options]]] = {
    "InputLayer": _read_input,
    "Conv2D": _read_convolution,
    "Conv2DTranspose": _read_convolution,
    "BatchNormalization": _read_normalisation,
    "Activation": _read_activation,
    "MaxPooling2D": _read_pooling,
    "AveragePooling2D": _read_smoothing,
    "UpSampling2D": _read_upsampling,
    "Dropout": _read_dropout,
    "Concatenate": _read_concatenation,
}
