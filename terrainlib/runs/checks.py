"""What must hold before a training is started or taken up again."""

from terrainlib.data.dataset import Dataset
from terrainlib.errors import ConfigError, DatasetError, RunError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import Run

MIN_PAIRS = 4


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
            f"is still running ({run.epoch_text}). Wait or stop it.", file=run.path.name
        )
    if run.state == "finished":
        raise RunError(
            f"has finished ({run.epoch_text}); there is nothing to continue. Start a "
            "new run.",
            file=run.path.name,
        )
