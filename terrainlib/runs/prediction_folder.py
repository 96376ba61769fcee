"""Folders of predictions: what one leaves on disk, and how to read it.

Such a folder is the only truth about a prediction. Everything here reads it, or makes a
new one; `predicting` fills it. Nothing here loads TensorFlow.
"""

import re
import secrets
import shutil
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from terrainlib import files
from terrainlib.errors import RunError
from terrainlib.mask.products.records import SHARES_FILE, Made
from terrainlib.runs.folder import (
    Damaged,
    damaged_folders,
    end_of_log,
    last_line,
    worker_folders,
)
from terrainlib.runs.jobs.config import PredictionConfig, PredictionStatus
from terrainlib.runs.process import utc_now
from terrainlib.runs.status import (
    ACTIVE,
    PREDICTION,
    State,
    crash_message,
    real_state,
    write_status,
)
from terrainlib.types import Sentence, Text, read_record

CONFIG_FILE: Final = "job.json"
RESULTS_FILE: Final = "results.json"
LOG_FILE: Final = PREDICTION.log
RESULTS_FOLDER: Final = "results"
INPUTS_FOLDER: Final = "inputs"

# Polygons and packs of large rasters take their time, and count no tiles.
STANDSTILL_SECONDS: Final = 1800.0
_MAX_SLUG_LETTERS: Final = 40


@dataclass(frozen=True, slots=True)
class Results:
    """The contents of `results.json`.

    Attributes:
        made: What became of the images that are done, in their order.
        failures: Names of the images that failed, and why.
    """

    made: tuple[Made, ...] = ()
    failures: dict[Text, Sentence] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PredictionJob:
    """The folder of a prediction as it was at one moment.

    Attributes:
        path: The folder.
        config: What it was asked to do.
        status: What its worker last wrote.
        state: What it is really doing (`stalled` and `crashed` are derived).
        message: One sentence for people, or an empty text.
        made: What became of the images that are done, in their order.
        failures: Names of the images that failed, and why.
    """

    path: Path
    config: PredictionConfig
    status: PredictionStatus
    state: State
    message: str
    made: tuple[Made, ...]
    failures: dict[str, str]

    @property
    def name(self) -> str:
        """What to call it for people."""
        return self.config.name

    @property
    def active(self) -> bool:
        """Whether a worker is at it."""
        return self.state in ACTIVE

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return results_folder(self.path, self.config)

    @property
    def files(self) -> tuple[Path, ...]:
        """The finished files of all images, and the table of shares if there is one."""
        finished = [path for made in self.made for path in made.files]
        table = self.folder / SHARES_FILE
        if len(self.config.images) > 1 and not self.active and files.is_file(table):
            finished.append(table)
        return tuple(finished)

    @property
    def place_text(self) -> str:
        """Where it is, such as `image 2 of 5`."""
        total = len(self.config.images)
        return f"image {max(1, self.status.image)} of {total}"


def create_prediction(
    config: PredictionConfig, uploads: Mapping[str, bytes] | None = None
) -> Path:
    """Make the folder of a new prediction and return it.

    Args:
        config: What it is to do.
        uploads: Files in memory, by the paths that the configuration gives them. They
            are kept in the folder.

    Raises:
        StorageError: If it cannot be written.
    """
    path = files.predictions_dir() / _folder_name(config)
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise files.storage_error(path, error) from error
    try:
        config = _with_inputs(config, path, uploads or {})
        now = utc_now()
        status = PredictionStatus(
            images=len(config.images), heartbeat=now, progressed=now, message="Starting"
        )
        write_status(path, status)
        files.write_json(path / CONFIG_FILE, config.to_dict())
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return path


def read_prediction(path: Path) -> PredictionJob:
    """Return the prediction in the folder `path`, with its state as it is now.

    Raises:
        RunError: If it holds none, or its configuration cannot be used.
    """
    path = Path(path)
    config = _read_config(path)
    status, state = real_state(
        path, PredictionStatus, standstill_seconds=STANDSTILL_SECONDS
    )
    message = status.message
    if state == "crashed":
        log = last_line(log_tail(path))
        message = crash_message(path, log, PREDICTION, said=message)
    try:
        done = read_results(path)
    except RunError as error:
        done = Results()
        message = f"{message} {error.message}".strip()
    return PredictionJob(path, config, status, state, message, done.made, done.failures)


def list_predictions(folder: Path | None = None) -> list[PredictionJob]:
    """Return the readable predictions, newest first.

    Args:
        folder: Where to look, instead of the folder of the predictions.
    """
    folder = files.predictions_dir() if folder is None else folder
    jobs = []
    for path in worker_folders(folder, CONFIG_FILE):
        with suppress(RunError):
            jobs.append(read_prediction(path))
    return sorted(jobs, key=lambda job: (job.config.created, job.path.name))[::-1]


def damaged_predictions(folder: Path | None = None) -> list[Damaged]:
    """Return the predictions that cannot be read, by name.

    Args:
        folder: Where to look, instead of the folder of the predictions.
    """
    folder = files.predictions_dir() if folder is None else folder
    return damaged_folders(folder, CONFIG_FILE, _read_config, PredictionStatus)


def read_results(path: Path) -> Results:
    """Return what became of the images so far; nothing where none is done.

    Raises:
        RunError: If the file that holds it is damaged.
    """
    limit = files.MAX_JSON_BYTES
    try:
        found = read_record(path / RESULTS_FILE, Results, limit_bytes=limit)
    except ValueError as error:
        raise RunError(
            f"{RESULTS_FILE} cannot be used: {error}.", file=path.name
        ) from error
    return found or Results()


def write_results(path: Path, made: list[Made], failures: Mapping[str, str]) -> None:
    """Write what became of the images so far.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    values = {"made": [item.to_dict() for item in made], "failures": dict(failures)}
    files.write_json(path / RESULTS_FILE, values)


def results_folder(path: Path, config: PredictionConfig) -> Path:
    """Return where the results of the prediction in the folder `path` go."""
    return Path(config.folder) if config.folder else path / RESULTS_FOLDER


def log_tail(path: Path) -> str:
    """Return the end of the log of the prediction in the folder `path`."""
    return end_of_log(path / LOG_FILE)


def _read_config(path: Path) -> PredictionConfig:
    """Return what the prediction in a folder was asked to do.

    Raises:
        RunError: If the folder is none of a prediction, or its configuration is
            damaged.
    """
    limit = files.MAX_JSON_BYTES  # images by the thousand
    try:
        config = read_record(path / CONFIG_FILE, PredictionConfig, limit_bytes=limit)
    except ValueError as error:
        raise RunError(
            f"{CONFIG_FILE} cannot be used: {error}.", file=path.name
        ) from error
    if config is None:
        missing = "holds no prediction" if files.exists(path) else "does not exist"
        raise RunError(
            f"{missing} (its folder has a {CONFIG_FILE}). Check the path.",
            file=path.name,
        )
    return config


def _with_inputs(
    config: PredictionConfig, path: Path, uploads: Mapping[str, bytes]
) -> PredictionConfig:
    needed = {image.path for image in config.images} | {config.heights}
    kept: dict[Any, str] = {}
    if uploads:
        files.require_free_space(path, sum(map(len, uploads.values())))
    for number, (key, data) in enumerate(uploads.items(), start=1):
        if key in needed:
            place = path / INPUTS_FOLDER / f"{number:04d}"
            files.write_bytes(place, data)
            kept[key] = str(place)
    images = tuple(
        replace(image, path=kept.get(image.path, image.path)) for image in config.images
    )
    heights = kept.get(config.heights, config.heights)
    return replace(config, images=images, heights=heights)


def _folder_name(config: PredictionConfig) -> str:
    """Return `<UTC time>-<stem>-<hex>`, which is nobody else's."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    plain = unicodedata.normalize("NFKD", config.images[0].stem)
    words = re.sub(r"[^a-z0-9]+", "-", plain.encode("ascii", "ignore").decode().lower())
    slug = words.strip("-")[:_MAX_SLUG_LETTERS].strip("-") or "image"
    return f"{moment}-{slug}-{secrets.token_hex(4)}"
