"""Image size, crops and batch of a preset, chosen from the data and the machine.

In the manner of nnU-Net's plans (Isensee et al.: nnU-Net, 2021,
doi:10.1038/s41592-020-01008-z), but simple enough to say in a sentence each:

- The image size is that of the median image, as a square. It gives the scale of all
  images; their shapes stay as they are.
- A preset without `Sizes`, the original's, has its own, whatever the data.
- Images of up to 160 px are taken at their own size. Larger ones as well, unless the
  cores could not see every pixel twenty times within the budget: then they are shrunk
  to the largest of some sizes at which they can, at least 128 px.
- Images of more than 160 px are trained on crops of the preset's size.
- Batches are the preset's, halved while an epoch would have fewer than 8 steps.
- 15 % of the pairs are held out, of many no more than make 1,000.
- All takes at most half of the free memory: the prepared pairs at most a quarter, else
  the image size is lowered; then the batch is halved, then the crop.

What the user sets stays as it is. The choice is plain numbers in the configuration, so
that a training is taken up again as it was begun, on any machine. No TensorFlow.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from terrainlib.data.cache import typical_side
from terrainlib.data.dataset import Dataset
from terrainlib.data.splits import USUAL_SHARE, usual_share
from terrainlib.model.config import (
    DEFAULT_MINUTES,
    MAX_CROP_PX,
    MAX_IMAGE_SIZE_PX,
    PRESETS,
    Sizes,
    TrainingConfig,
)
from terrainlib.model.machine import (
    Machine,
    multiplications,
    pair_bytes,
    training_bytes,
)

OWN_SIZE_PX: Final = 160
MOST_PASSES: Final = 50
_PX_A_PASS: Final = 32 / 3  # of the working size; docs/recipe.md, "Large tiles"
MIN_STEPS: Final = 8
BY_THE_USER: Final = "As you set it."
_FEWER_HELD_OUT: Final = "About 1,000 tell enough."
_CHOSEN: Final = ("image_size", "crop_size", "batch_size", "validation_share")

_SIZES_PX: Final = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 192, 128)
_SMALLEST_PX: Final = 16
_SMALLEST_BATCH: Final = 2
_SMALLEST_CROP_PX: Final = 64
_MEMORY_SHARE: Final = 0.5
_PAIRS_SHARE: Final = 0.25
# Of one core, measured with preset `fast` on two quiet ones.
_MULTIPLICATIONS_A_SECOND: Final = 70e9
_MULTIPLICATIONS_IN_BFLOAT16: Final = 95e9


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What the choice has to know of a data set.

    Attributes:
        side: Side in px of a square as large as its median image.
        pairs: Usable pairs.
        heights: Whether they come with heights.
        area: Area of the mean image over that of the median one.
    """

    side: int
    pairs: int
    heights: bool = False
    area: float = 1.0

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Return the facts of a data set; its median size stands for all."""
        side = round(typical_side(dataset)) or _SMALLEST_PX
        pixels = [math.prod(pair.size) for pair in dataset.pairs]
        area = sum(pixels) / (len(pixels) * side**2) if pixels else 1.0
        return cls(side, len(pixels), dataset.has_heights, area)

    @property
    def images(self) -> float:
        """How many median images would have the pixels of all."""
        return self.pairs * self.area


@dataclass(frozen=True, slots=True)
class Choice:
    """A configuration, and why its sizes are what they are.

    Attributes:
        config: The training.
        reasons: A sentence each for `image_size`, `crop_size`, `batch_size` and
            `validation_share`.
    """

    config: TrainingConfig
    reasons: Mapping[str, str]

    @property
    def summary(self) -> str:
        """What was chosen and why, in one line."""
        names = {
            "image_size": f"image size {self.config.network.image_size} px",
            "crop_size": f"crops of {self.config.crop_size} px",
            "batch_size": f"batches of {self.config.batch_size}",
        }
        if self.config.crop_size is None:
            names["crop_size"] = "no crops"
        if self.reasons["validation_share"] == _FEWER_HELD_OUT:
            share = self.config.validation_share
            names["validation_share"] = f"{share:.0%} of the pairs held out"
        parts = (f"{names[key]} ({self.reasons[key].rstrip('.')})" for key in names)
        return ", ".join(parts) + "."


def choose(
    preset: str,
    data: TrainingData,
    machine: Machine,
    *,
    network: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Choice:
    """Return the training of a preset, its sizes chosen where the user set none.

    Args:
        preset: One of `PRESETS`.
        data: The data set.
        machine: What the training may use.
        network: Options of `UNetConfig` that are set; an `image_size` stays.
        **changes: Options of `TrainingConfig` that are set, None where not; a
            `batch_size` or `crop_size` stays.

    Raises:
        ConfigError: If an option is not known or not allowed.
    """
    fixed = {name for name, value in changes.items() if value is not None}
    fixed |= set(network or {})
    reasons = dict.fromkeys(_CHOSEN, BY_THE_USER)
    sizes = PRESETS[preset].sizes
    if sizes is not None and "validation_share" not in fixed:
        changes["validation_share"], reasons["validation_share"] = _share(data)
    large = "image_size" in fixed and (network or {})["image_size"] > MAX_CROP_PX
    if large and sizes is not None and "crop_size" not in fixed:
        changes["crop_size"] = MAX_CROP_PX  # until another is chosen
    config = TrainingConfig.preset(preset, network=network, **changes)
    if sizes is None:
        reasons |= {name: "The preset's own." for name in reasons if name not in fixed}
        return Choice(config, reasons)
    if "image_size" not in fixed:
        config, reasons["image_size"] = _with_image_size(config, data, machine)
    if "crop_size" not in fixed:
        config, reasons["crop_size"] = _with_crop(config, sizes)
    if "batch_size" not in fixed:
        config, reasons["batch_size"] = _with_batch(config, sizes, data, machine)
    if "crop_size" not in fixed and not _fits(config, data, machine):
        config, reasons["crop_size"] = _with_small_crop(config, data, machine)
    return Choice(config, reasons)


def _share(data: TrainingData) -> tuple[float, str]:
    share = usual_share(data.pairs)
    return share, _FEWER_HELD_OUT if share < USUAL_SHARE else "The usual share."


def memory_needed(config: TrainingConfig, data: TrainingData) -> int:
    """Return about how many bytes a training takes, its prepared pairs included."""
    return training_bytes(config) + _pairs_bytes(config, data)


def _pairs_bytes(config: TrainingConfig, data: TrainingData) -> int:
    network = config.network
    each = pair_bytes(network.image_size, bands=network.bands, heights=data.heights)
    return round(data.images * each)


def pass_seconds(config: TrainingConfig, data: TrainingData, machine: Machine) -> float:
    """Return about how long the processor takes to see all training pixels once."""
    images = max(1, round(data.images * (1 - config.validation_share)))
    work = images * multiplications(config.network, config.network.image_size)
    rate = _MULTIPLICATIONS_A_SECOND
    if machine.bfloat16 and config.precision != "float32":
        rate = _MULTIPLICATIONS_IN_BFLOAT16
    return work / (machine.cores * rate)


def _with_image_size(
    config: TrainingConfig, data: TrainingData, machine: Machine
) -> tuple[TrainingConfig, str]:
    """Choose the largest size that fits the memory and the budget."""
    sizes = _sizes(config, data.side)
    affordable = (
        sized
        for sized in (_sized(config, size) for size in sizes)
        if _holds_pairs(sized, data, machine) and _in_time(sized, data, machine)
    )
    sized = next(affordable, _sized(config, sizes[-1]))
    size = sized.network.image_size
    if size == sizes[0] and abs(size - data.side) < config.network.size_multiple:
        reason = f"The images' own size, {data.side} px."
    else:
        reason = f"Images of {data.side} px are shrunk."
    if machine.gpu_memory is None:
        seconds = pass_seconds(sized, data, machine)
        reason += f" A pass over all pairs takes about {_duration(seconds)}."
    return sized, reason


def _sizes(config: TrainingConfig, side: int) -> list[int]:
    """Return the sizes to choose from for images of `side` px, the largest first."""
    multiple = config.network.size_multiple
    smallest = multiple * math.ceil(_SMALLEST_PX / multiple)
    own = max(smallest, multiple * round(side / multiple))
    steps = [px for px in _SIZES_PX if px < own and px % multiple == 0]
    return [px for px in (own, *steps) if px <= MAX_IMAGE_SIZE_PX]


def _sized(config: TrainingConfig, size: int) -> TrainingConfig:
    crop = None if size <= MAX_CROP_PX else MAX_CROP_PX  # another one is chosen later
    network = replace(config.network, image_size=size)
    return replace(config, network=network, crop_size=config.crop_size or crop)


def _holds_pairs(config: TrainingConfig, data: TrainingData, machine: Machine) -> bool:
    return _pairs_bytes(config, data) <= _PAIRS_SHARE * machine.memory


def _in_time(config: TrainingConfig, data: TrainingData, machine: Machine) -> bool:
    """Whether the budget holds enough passes; only a processor has to ask."""
    if config.network.image_size <= OWN_SIZE_PX or machine.gpu_memory is not None:
        return True
    seconds = 60 * (config.minutes or DEFAULT_MINUTES)
    passes = passes_wanted(config.network.image_size)
    return passes * pass_seconds(config, data, machine) <= seconds


def passes_wanted(image_size: int) -> float:
    """Return how often each pixel should be seen, by the working size in px.

    The less of an image a crop shows, the more often.
    """
    return min(MOST_PASSES, image_size / _PX_A_PASS)


def _with_crop(config: TrainingConfig, bounds: Sizes) -> tuple[TrainingConfig, str]:
    multiple = config.network.size_multiple
    crop = multiple * (bounds.crop_px // multiple)
    if not crop or config.network.image_size <= max(crop, OWN_SIZE_PX):
        return replace(config, crop_size=None), "Whole images."
    text = "Parts of the images at random: less memory and time a step, more variety."
    return replace(config, crop_size=crop), text


def _with_batch(
    config: TrainingConfig, bounds: Sizes, data: TrainingData, machine: Machine
) -> tuple[TrainingConfig, str]:
    batch = bounds.batch
    reason = "The preset's own."
    crops = _training_crops(config, data)
    what = "pairs" if config.crop_size is None else "crops"
    while batch > _SMALLEST_BATCH and crops // batch < MIN_STEPS:
        batch //= 2
        reason = f"Small, so that {crops} {what} make enough steps."
    config = replace(config, batch_size=batch)
    while config.batch_size > _SMALLEST_BATCH and not _fits(config, data, machine):
        config = replace(config, batch_size=config.batch_size // 2)
        reason = "As much as half of the free memory allows."
    return config, reason


def _with_small_crop(
    config: TrainingConfig, data: TrainingData, machine: Machine
) -> tuple[TrainingConfig, str]:
    multiple = config.network.size_multiple
    crop = config.crop_px
    while crop // 2 >= _SMALLEST_CROP_PX and not _fits(config, data, machine):
        crop = multiple * (crop // 2 // multiple)
        config = replace(config, crop_size=crop)
    return config, "As much as half of the free memory allows."


def _fits(config: TrainingConfig, data: TrainingData, machine: Machine) -> bool:
    if machine.gpu_memory is not None:
        return training_bytes(config) <= _MEMORY_SHARE * machine.gpu_memory
    return memory_needed(config, data) <= _MEMORY_SHARE * machine.memory


def _training_crops(config: TrainingConfig, data: TrainingData) -> int:
    """Return how many crops show every pixel of the training pairs once."""
    crops = (config.network.image_size / config.crop_px) ** 2
    return max(1, round(data.images * (1 - config.validation_share) * crops))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} minutes"
