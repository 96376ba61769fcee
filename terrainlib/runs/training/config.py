"""What a training is asked to do: plain values."""

from dataclasses import asdict, dataclass
from typing import Any

from terrainlib.data.dataset import Dataset
from terrainlib.errors import ConfigError, DatasetError, FailureError, RunError
from terrainlib.model.config import TrainingConfig
from terrainlib.model.machine import address_space_limit, training_bytes
from terrainlib.runs.folder import Run
from terrainlib.runs.process import utc_now
from terrainlib.types import Moment, PathText

MAX_NAME_LETTERS = 80


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a run was asked to do; the contents of `config.json`.

    Attributes:
        name: The run's name for people, 1 to 80 letters.
        data: Path of the data set's folder.
        training: Network, budget and options.
        created: UTC ISO time; empty for "now".
    """

    name: str
    data: PathText
    training: TrainingConfig
    created: Moment = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.name.strip()) <= MAX_NAME_LETTERS:
            raise ConfigError(
                f"the name of a run must have 1 to {MAX_NAME_LETTERS} letters."
            )
        if not self.created:
            object.__setattr__(self, "created", utc_now())

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        return asdict(self) | {"training": self.training.to_dict()}


MIN_PAIRS = 4
_GIB = 2**30
# What TensorFlow maps beside the memory it uses, measured with two cores; with less it
# does not report an error but crashes.
_MAPPED_BYTES = 3.6 * _GIB
_LEAST_SHARE = 0.5  # of the estimated memory; in bfloat16 it is up to a third less


def require_memory(training: TrainingConfig) -> None:
    """Refuse a training that a limit on this process' memory would crash.

    Raises:
        FailureError: With the limit and about what is needed.
    """
    limit = address_space_limit()
    needed = _MAPPED_BYTES + _LEAST_SHARE * training_bytes(training)
    if limit is not None and limit < needed:
        raise FailureError(
            f"The memory is not enough: this process may use {limit / _GIB:.1f} GiB, "
            f"and the training takes at least {needed / _GIB:.1f} GiB. Lower the batch "
            "size or the image size, or raise the limit."
        )


def require_trainable(dataset: Dataset, training: TrainingConfig) -> None:
    """Refuse a data set that this training cannot learn from.

    Raises:
        DatasetError: If there are too few pairs, or heights are asked for and missing.
        ConfigError: If the network is made for another number of classes.
    """
    count = len(dataset.pairs)
    if count < MIN_PAIRS:
        raise DatasetError(
            f"{count} usable {'pair' if count == 1 else 'pairs'}; a training needs at "
            f"least {MIN_PAIRS}. Add pairs, or repair the files with problems.",
            file=dataset.name,
        )
    if training.network.height and not dataset.has_heights:
        without = sum(pair.height is None for pair in dataset.pairs)
        raise DatasetError(
            f"{without} of {count} pairs have no height file, and this training uses "
            "the height. Add them, or train without height.",
            file=dataset.name,
        )
    if training.network.classes != len(dataset.classes):
        raise ConfigError(
            f"the network has {training.network.classes} classes and the data set "
            f"{len(dataset.classes)}. Use classes={len(dataset.classes)}.",
            file=dataset.name,
        )


def require_resumable(run: Run) -> None:
    """Refuse to continue a run that is going on or has used up its budget.

    Raises:
        RunError: With the reason.
    """
    if run.active:
        raise RunError(
            f"is still running ({run.place_text}). Wait or stop it.", file=run.path.name
        )
    if run.state == "finished":
        raise RunError(
            f"has finished ({run.place_text}); there is nothing to continue. Start a "
            "new run.",
            file=run.path.name,
        )
