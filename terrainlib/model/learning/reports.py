"""What a training tells those who watch it. No TensorFlow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.cache import PairCache
from terrainlib.metrics import class_columns

Predict = Callable[[PairCache], list[NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class StepProgress:
    """Where a training is.

    Attributes:
        epoch: The epoch under way, from 1.
        step: Steps of it that are done.
        steps: Steps of an epoch.
        epochs: Epochs planned, as far as it is known.
        seconds: Seconds trained so far, those before a resume included.
        seconds_left: Seconds to go, as far as it is known.
        epoch_seconds: Seconds of the epoch under way.
        loss: Of the step.
        accuracy: Share of pixels right in the step.
    """

    epoch: int
    step: int
    steps: int
    epochs: int | None
    seconds: float
    seconds_left: float | None
    epoch_seconds: float
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class EpochLog:
    """What one epoch gave: the row of `metrics.csv`.

    Attributes:
        epoch: From 1.
        seconds: Wall clock of the epoch, its validation included.
        learning_rate: Of its last step.
        loss: Mean over the training batches.
        accuracy: Share of pixels right, mean over the training batches.
        val_loss: Mean over the validation pairs.
        val_accuracy: Share of pixels right over the validation pairs.
        val_miou: Mean over the classes of the intersection over union.
        classes: Each score that every class has its own of, by its key; None where the
            class does not occur.
    """

    epoch: int
    seconds: float
    learning_rate: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    val_miou: float
    classes: Mapping[str, tuple[float | None, ...]]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the log of what `asdict` made of one."""
        known = dict(values)
        if "iou" in known:  # as older checkpoints have it
            known["classes"] = {"iou": known.pop("iou")}
        classes = {key: tuple(each) for key, each in known.pop("classes").items()}
        return cls(**known, classes=classes)

    def row(self, class_names: tuple[str, ...]) -> dict[str, float | int | None]:
        """Return the columns of `metrics.csv` in their order."""
        values = asdict(self)
        for key, each in values.pop("classes").items():
            values |= class_columns(key, class_names, each)
        return values


@dataclass(frozen=True, slots=True)
class TrainingHooks:
    """What a training calls on its way.

    Attributes:
        on_step: After each step.
        on_epoch: After each epoch, with a function that predicts as the model would
            that is saved now: pairs to the network's output (h, w, K or 3) for each.
        should_stop: Asked before each step; the training then ends in order.
        on_restore: With the logs of all epochs that a resumed training has behind it,
            before it goes on.
        minutes: Asked at every look at a budget in minutes: what it is by now, None for
            what it was at first.
    """

    on_step: Callable[[StepProgress], None] = lambda _progress: None
    on_epoch: Callable[[EpochLog, Predict], None] = lambda _log, _predict: None
    should_stop: Callable[[], bool] = lambda: False
    on_restore: Callable[[Sequence[EpochLog]], None] = lambda _history: None
    minutes: Callable[[], float | None] = lambda: None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A training that has ended with weights to keep.

    Attributes:
        network: The Keras model with the weights to keep: of the epoch with the best
            validation mIoU, or of the last one for `notebook`.
        best_epoch: That epoch; 0 if the training was stopped within the first.
        best_miou: Its validation mIoU, NaN where it was not validated.
        epochs_done: Whole epochs trained.
        stopped: Whether it was stopped before its budget was used up.
        history: The log of each epoch.
        confusion: (K, K) int64 of the kept weights on the validation pairs.
        seconds: Wall clock used of the budget, that before a resume included.
        failure: Why it could not go on, one sentence; None where it ended in order.
    """

    network: Any
    best_epoch: int
    best_miou: float
    epochs_done: int
    stopped: bool
    history: tuple[EpochLog, ...]
    confusion: NDArray[np.int64]
    seconds: float
    failure: str | None = None

    @property
    def hurried(self) -> bool:
        """Whether somebody waits for its end."""
        return self.stopped or self.failure is not None
