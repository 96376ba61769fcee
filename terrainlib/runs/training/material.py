"""What a training learns from: data set, division and pairs at the working size."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from terrainlib import files
from terrainlib.data.cache import PairCache, build_cache
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.layout import Problem
from terrainlib.data.overlaps import (
    MAX_UNASKED_GB,
    find_overlaps,
    known_overlaps,
    search_cost,
)
from terrainlib.data.parallel import ordered_map
from terrainlib.data.splits import Split, class_gaps, leak_free_split, random_split
from terrainlib.errors import (
    ConfigError,
    DatasetError,
    FailureError,
    RunError,
    StoppedError,
)
from terrainlib.model.config import TrainingConfig
from terrainlib.model.machine import address_space_limit, training_bytes
from terrainlib.runs.folder import Run
from terrainlib.runs.training.stages import FILES, OVERLAPS, PAIRS, Stages
from terrainlib.types import (
    PathText,
    Progress,
    ShouldStop,
    Text,
    known_record,
    read_record,
)

FILES_FILE: Final = "files.json"
_NAMED: Final = 5
_UNREADABLE: Final = "unreadable"
Manifest = Mapping[str, str]
_Digest = Annotated[str, Field(max_length=64)]


def list_files(
    dataset: Dataset,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, str]:
    """Return the SHA-256 of every file of the usable pairs, by its name in the folder.

    Args:
        dataset: The data set.
        progress: Called with the numbers of files read and in all.
        should_stop: Asked between files.

    Raises:
        StoppedError: If `should_stop` said so.
    """
    kinds = [(pair.image, pair.mask, pair.height) for pair in dataset.pairs]
    paths = sorted(path for pair in kinds for path in pair if path is not None)
    contents = list(
        ordered_map(_sha256, paths, progress=progress, should_stop=should_stop)
    )
    if len(contents) < len(paths):
        raise StoppedError("stopped while the files were read, as asked.")
    names = [path.relative_to(dataset.folder).as_posix() for path in paths]
    return dict(zip(names, contents, strict=True))


def store_files(run_dir: Path, listed: Manifest) -> None:
    """Write the list into a run folder.

    Raises:
        StorageError: If it cannot be written.
    """
    files.write_json(run_dir / FILES_FILE, dict(listed))


def stored_files(run_dir: Path) -> Manifest | None:
    """Return the list of a run folder; None where it has none that can be read."""
    return known_record(
        run_dir / FILES_FILE,
        dict[PathText, _Digest],
        limit_bytes=files.MAX_JSON_BYTES,
    )


def require_same(before: Manifest, now: Manifest, folder: Path, *, name: str) -> None:
    """Refuse to go on with other files than a run began with.

    Args:
        before: The list of the run.
        now: The list as it is now.
        folder: The data set's folder.
        name: Name of the run.

    Raises:
        RunError: With the names of the first files that differ.
    """
    gone = [
        f"{key} is {'not usable any more' if (folder / key).exists() else 'gone'}"
        for key in before
        if key not in now
    ]
    other = [
        f"{key} has changed" for key in before if key in now and now[key] != before[key]
    ]
    new = [f"{key} is new" for key in now if key not in before]
    differences = [*gone, *other, *new]
    if not differences:
        return
    count, rest = len(differences), len(differences) - _NAMED
    listed = ", ".join(differences[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    files_are = "1 file of the data set is" if count == 1 else f"{count} files are"
    raise RunError(
        f"{files_are} not what this run began with: {listed}. Put them back, or start "
        "a new run.",
        file=name,
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return _UNREADABLE


SPLIT_FILE = "split.json"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Material:
    """What a training learns from.

    Attributes:
        dataset: The data set.
        split: Which pairs train and which validate.
        train: The training pairs at the working size.
        validation: The validation pairs at the working size.
        left_out: Files that could not be used, and why.
    """

    dataset: Dataset
    split: Split
    train: PairCache
    validation: PairCache
    left_out: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredSplit:
    """The contents of `split.json`.

    Attributes:
        fingerprint: That of the data set when it was divided.
        split: The division.
    """

    fingerprint: Text
    split: Split


def read_material(
    run: Run, stages: Stages, should_stop: ShouldStop, *, resume: bool
) -> Material:
    """Read the data set of a run.

    Args:
        run: The run.
        stages: Told how far the reading is.
        should_stop: Asked between files and between steps.
        resume: Use the division that was made when the run began.

    Raises:
        StoppedError: If it was asked to stop.
        DatasetError: If the data set cannot be used.
        RunError: If it has changed since the run began.
    """
    show = stages.begin(FILES)
    dataset = open_dataset(
        Path(run.config.data), bands=run.config.bands, progress=_scan(show, should_stop)
    )
    require_trainable(dataset, run.config.training)
    listed = list_files(dataset, progress=show, should_stop=should_stop)
    split = _stored_split(run, dataset, listed) if resume else None
    if split is None:
        store_files(run.path, listed)
        split = _new_split(run, dataset, stages.begin(OVERLAPS), should_stop)
    cache = _cache(run, dataset, stages.begin(PAIRS), should_stop)
    left_out = (*dataset.problems, *cache.skipped)
    for problem in left_out:
        _logger.warning("left out: %s: %s", problem.file, problem.problem)
    train, validation = cache.subset(split.train), cache.subset(split.validation)
    if not (train.ids and validation.ids):
        raise DatasetError(
            "too many pairs have become unreadable since they were checked. Repair "
            "the files and start again.",
            file=dataset.name,
        )
    _logger.info("%d pairs train, %d validate", len(train.ids), len(validation.ids))
    _logger.info("%s; %d pairs left out", split.leak, len(split.left_out))
    return Material(dataset, split, train, validation, left_out)


def read_split(run_dir: Path) -> Split | None:
    """Return the stored division of a run, or None where there is none to read."""
    try:
        stored = stored_split(run_dir)
    except RunError:
        return None
    return None if stored is None else stored.split


def stored_split(run_dir: Path) -> StoredSplit | None:
    """Return what a run folder holds of its division; None where it holds none.

    Raises:
        RunError: If it is damaged.
    """
    try:
        return read_record(
            run_dir / SPLIT_FILE, StoredSplit, limit_bytes=files.MAX_JSON_BYTES
        )
    except ValueError as error:
        raise RunError(
            f"{SPLIT_FILE} cannot be used: {error}. Start a new run.", file=run_dir.name
        ) from error


def _scan(show: Progress, should_stop: ShouldStop) -> Progress:
    """Return the progress of a scan, which it also ends when that is asked for."""

    def watch(done: int, total: int) -> None:
        show(done, total)
        if should_stop():
            raise StoppedError("stopped while the data set was checked, as asked.")

    return watch


def _cache(
    run: Run, dataset: Dataset, show: Progress, should_stop: ShouldStop
) -> PairCache:
    network = run.config.training.network
    return build_cache(
        dataset,
        network.image_size,
        whole=network.resize == "whole",
        progress=show,
        should_stop=should_stop,
    )


def _stored_split(run: Run, dataset: Dataset, listed: Manifest) -> Split | None:
    """Return the division made when the run began, or None where it came to none.

    Raises:
        RunError: If the data set has changed since.
    """
    stored = stored_split(run.path)
    if stored is None:
        return None
    before = stored_files(run.path)
    if before is not None:
        require_same(before, listed, dataset.folder, name=run.path.name)
    elif stored.fingerprint != dataset.fingerprint:
        raise RunError(
            "the files of the data set have changed since this run was started. "
            "Start a new run.",
            file=run.path.name,
        )
    return stored.split


def _new_split(
    run: Run, dataset: Dataset, show: Progress, should_stop: ShouldStop
) -> Split:
    """Divide the data set so that no shared ground is on both sides, and store it.

    Where nobody has looked for it, and looking takes very much memory, the division is
    random, and says so.
    """
    share, seed = run.config.training.validation_share, run.config.training.seed
    counts = {pair.id: pair.counts for pair in dataset.pairs}
    cost = search_cost(dataset)
    if cost.memory_gb > MAX_UNASKED_GB and known_overlaps(dataset) is None:
        _logger.warning(
            "not looked for shared ground, which takes %s: the split is random. Look "
            "for it on the preview page or with `check --overlaps` to have it used",
            cost.text,
        )
        split = random_split(dataset.ids, share=share, seed=seed)
    else:
        overlaps = find_overlaps(dataset, progress=show, should_stop=should_stop)
        split = leak_free_split(dataset.ids, overlaps, counts, share=share, seed=seed)
    names = [item.name for item in dataset.classes]
    for gap in class_gaps(split, counts, names):
        _logger.warning("%s", gap)
    record = {"fingerprint": dataset.fingerprint, "split": split.to_dict()}
    files.write_json(run.path / SPLIT_FILE, record)
    return split


MIN_PAIRS = 2


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
            f"There is not enough memory: this process may use {limit / _GIB:.1f} "
            f"GiB, and the training takes at least {needed / _GIB:.1f} GiB. Lower the "
            "batch size or the image size, or raise the limit."
        )


def require_trainable(dataset: Dataset, training: TrainingConfig) -> None:
    """Refuse a data set that this training cannot learn from.

    Raises:
        DatasetError: If its bands must be chosen first, there are too few pairs, or
            heights are asked for and missing.
        ConfigError: If the network is made for another number of classes or bands.
    """
    if dataset.bands.question is not None:
        raise DatasetError(dataset.bands.question, file=dataset.name)
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
    if training.network.bands != dataset.bands.count:
        raise ConfigError(
            f"the network has {training.network.bands} bands and the data set "
            f"{dataset.bands.count}. Use bands={dataset.bands.count}.",
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
