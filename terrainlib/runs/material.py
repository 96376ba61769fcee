"""What a training learns from: data set, division and pairs at the working size."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from terrainlib import files
from terrainlib.data.cache import PairCache, build_cache
from terrainlib.data.dataset import Dataset, Problem, open_dataset
from terrainlib.data.overlaps import find_overlaps
from terrainlib.data.splits import Split, leak_free_split
from terrainlib.errors import DatasetError, RunError, StoppedError
from terrainlib.runs.checks import require_trainable
from terrainlib.runs.folder import Run
from terrainlib.runs.manifest import (
    Manifest,
    list_files,
    require_same,
    store_files,
    stored_files,
)
from terrainlib.runs.report import Report
from terrainlib.types import Text, read_record

SPLIT_FILE = "split.json"
_logger = logging.getLogger(__name__)
ShouldStop = Callable[[], bool]


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
    run: Run, report: Report, should_stop: ShouldStop, *, resume: bool
) -> Material:
    """Read the data set of a run.

    Args:
        run: The run.
        report: Told how far the reading is.
        should_stop: Asked between files and between steps.
        resume: Use the division that was made when the run began.

    Raises:
        StoppedError: If it was asked to stop.
        DatasetError: If the data set cannot be used.
        RunError: If it has changed since the run began.
    """
    report.update(message="Checking the data set")
    dataset = open_dataset(Path(run.config.data), progress=_scan(report, should_stop))
    require_trainable(dataset, run.config.training)
    listed = list_files(
        dataset, progress=report.counter("Reading files"), should_stop=should_stop
    )
    split = _stored_split(run, dataset, listed) if resume else None
    if split is None:
        store_files(run.path, listed)
        split = _new_split(run, dataset, report, should_stop)
    cache = _cache(run, dataset, report, should_stop)
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


def _scan(report: Report, should_stop: ShouldStop) -> Callable[[int, int], None]:
    """Return the progress of a scan, which it also ends when that is asked for."""
    show = report.counter("Checking files")

    def watch(done: int, total: int) -> None:
        show(done, total)
        if should_stop():
            raise StoppedError("stopped while the data set was checked, as asked.")

    return watch


def _cache(
    run: Run, dataset: Dataset, report: Report, should_stop: ShouldStop
) -> PairCache:
    """Return the pairs at the working size."""
    return build_cache(
        dataset,
        run.config.training.network.image_size,
        progress=report.counter("Reading pairs"),
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
    run: Run, dataset: Dataset, report: Report, should_stop: ShouldStop
) -> Split:
    """Divide the data set so that no shared ground is on both sides, and store it."""
    overlaps = find_overlaps(
        dataset,
        progress=report.counter("Looking for shared ground"),
        should_stop=should_stop,
    )
    report.update(message="Choosing validation pairs")
    split = leak_free_split(
        dataset.ids,
        overlaps,
        {pair.id: pair.counts for pair in dataset.pairs},
        share=run.config.training.validation_share,
        seed=run.config.training.seed,
    )
    record = {"fingerprint": dataset.fingerprint, "split": split.to_dict()}
    files.write_json(run.path / SPLIT_FILE, record)
    return split
