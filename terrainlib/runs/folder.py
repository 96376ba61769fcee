"""Run folders: what a training leaves on disk, and how to read it.

A run folder is the only truth about a training. Everything here reads it, or makes a
new one; `job` fills it. Nothing here loads TensorFlow.
"""

import logging
import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from terrainlib import files
from terrainlib.errors import ConfigError, RunError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.process import utc_now
from terrainlib.runs.status import (
    ACTIVE,
    STATUS_FILE,
    Reported,
    State,
    Status,
    crash_message,
    observe,
    real_state,
    write_status,
)
from terrainlib.runs.training.metrics import read_numbers
from terrainlib.types import Moment, PathText, checked, read_record

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Damaged:
    """A worker's folder whose configuration cannot be read.

    Attributes:
        path: The folder.
        reason: What is wrong with it, in one sentence.
        active: Whether its worker is at it all the same.
    """

    path: Path
    reason: str
    active: bool


def worker_folders(home: Path, config_file: str) -> Iterator[Path]:
    """Yield the folders directly in `home` that are a worker's, readable or not.

    Args:
        home: Where to look; it may be missing.
        config_file: Name of the file that says what the worker was asked to do.
    """
    for path in home.iterdir() if home.is_dir() else ():
        if not path.name.startswith(".") and _is_worker_folder(path, config_file):
            yield path


def damaged_folders(
    home: Path,
    config_file: str,
    read_config: Callable[[Path], object],
    kind: type[Reported],
) -> list[Damaged]:
    """Return the workers' folders that cannot be read, by name.

    Args:
        home: Where to look; it may be missing.
        config_file: Name of the file that says what the worker was asked to do.
        read_config: Reads it; a `RunError` says why it cannot be.
        kind: The form of the worker's status.
    """
    found = []
    for path in worker_folders(home, config_file):
        try:
            read_config(path)
        except RunError as error:
            if files.exists(path):  # else it was deleted meanwhile
                active = real_state(path, kind)[1] in ACTIVE
                found.append(Damaged(path, error.message, active))
    return sorted(found, key=lambda entry: entry.path.name)


def require_deletable(
    path: Path, home: Path, config_file: str, what: str, *, active: bool
) -> None:
    """Refuse to delete what is not a worker's folder, in its place, and at rest.

    Args:
        path: The folder.
        home: Where such folders lie.
        config_file: Name of the file that says what the worker was asked to do.
        what: What lies there, such as `runs`.
        active: Whether its worker is at it.

    Raises:
        RunError: With the reason.
    """
    if not os.path.lexists(path):
        raise RunError("does not exist. Check the path.", file=path.name)
    if path.is_symlink() or path.resolve().parent != home.resolve():
        raise RunError(
            f"lies outside the folder of the {what}. Delete it by hand.", file=path.name
        )
    if not _is_worker_folder(path, config_file):
        raise RunError(
            f"is none of the {what} (its folder has a {config_file}). Delete it by "
            "hand.",
            file=path.name,
        )
    if active:
        raise RunError(
            "is still running. Stop it before you delete it.", file=path.name
        )


def _is_worker_folder(path: Path, config_file: str) -> bool:
    marks = (config_file, STATUS_FILE)
    return path.is_dir() and any(os.path.lexists(path / name) for name in marks)


_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_CHATTER = re.compile(
    r"WARNING: All log messages before absl::InitializeLog|"
    r"[IW]\d{4} \d\d:\d\d:\d+\.|E\d{4} .* cuda_\w+\.cc:"
)


def formatter() -> logging.Formatter:
    """Return the form of a line: time in UTC, level, message."""
    form = logging.Formatter(
        "%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%SZ"
    )
    form.converter = time.gmtime
    return form


def end_of_log(path: Path, size_bytes: int = 65536) -> str:
    """Return the end of the log `path` as plain text; empty where there is none.

    What TensorFlow says of itself when it starts is left out.
    """
    try:
        with files.open_regular(path) as log:
            log.seek(0, 2)
            start = max(0, log.tell() - size_bytes)
            log.seek(start)
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    if start:
        text = text.partition("\n")[2]
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    shown = "\n".join(line for line in lines if not _CHATTER.match(line))
    return _CONTROL.sub("", shown).rstrip("\n")


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next((line for line in reversed(text.split("\n")) if line.strip()), "")


CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.csv"
LOG_FILE = "train.log"
MODEL_FILE = "model.keras"
PIXEL_SCORE_FILE = "pixelclassifier.json"
CHECKPOINTS = "checkpoints"

MAX_NAME_LETTERS = 80
MAX_SLUG_LETTERS = 40


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
        return {
            "name": self.name,
            "created": self.created,
            "data": self.data,
            "training": self.training.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration of a JSON form.

        Raises:
            ConfigError: If a value is missing or out of its bounds.
        """
        try:
            return checked(cls, values)
        except ValueError as error:
            raise ConfigError(f"{error}.") from error


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder as it was at one moment.

    Attributes:
        path: The folder.
        config: What it was asked to do.
        status: What its worker last wrote.
        state: What it is really doing (`stalled` and `crashed` are derived).
        message: One sentence for people, or an empty text.
    """

    path: Path
    config: RunConfig
    status: Status
    state: State
    message: str

    @property
    def name(self) -> str:
        """The run's name for people."""
        return self.config.name

    @property
    def active(self) -> bool:
        """Whether a worker is at it."""
        return self.state in ACTIVE

    @property
    def metrics(self) -> "pd.DataFrame":
        """The epochs so far, read anew at each use; see `read_metrics`."""
        return read_metrics(self.path)

    @property
    def model(self) -> Path | None:
        """The saved model, or None while there is none."""
        model = self.path / MODEL_FILE
        return model if model.is_file() else None

    @property
    def epoch_text(self) -> str:
        """Where it is, such as `epoch 3 of 50`; without the total while unknown."""
        of = f" of {self.status.epochs}" if self.status.epochs else ""
        running = self.status.epoch + (1 if self.active else 0)
        return f"epoch {min(running, self.status.epochs or running)}{of}"


def create_run(config: RunConfig, *, path: Path | None = None) -> Path:
    """Make the folder of a new run with its configuration and first status.

    Args:
        config: What the run is to do.
        path: The folder to make; None for `runs/<UTC time>-<name>`.

    Raises:
        RunError: If `path` exists already; nothing is changed.
        StorageError: If it cannot be written.
    """
    folder = _free_folder(config) if path is None else Path(path)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except FileExistsError as error:
        raise RunError(
            "exists already, and a run is never written over another. Choose a new "
            "folder, or resume this run.",
            file=folder.name,
        ) from error
    except OSError as error:
        raise files.storage_error(folder, error) from error
    files.write_json(folder / CONFIG_FILE, config.to_dict())
    now = utc_now()
    write_status(
        folder,
        Status(epochs=config.training.epochs, heartbeat=now, progressed=now),
    )
    return folder


def read_run(path: Path) -> Run:
    """Return the run in the folder `path`, with its state as it is now.

    Raises:
        RunError: If `path` is no run folder, or its configuration cannot be used.
    """
    path = Path(path)
    config = _read_config(path)
    status, state = observe(path)
    message = status.message
    if state == "crashed":
        message = crash_message(path, last_line(log_tail(path)), said=message)
    return Run(path, config, status, state, message)


def list_runs(folder: Path | None = None) -> list[Run]:
    """Return the readable runs of `folder` (default: `runs/`), newest first."""
    folder = files.runs_dir() if folder is None else folder
    runs = []
    for path in worker_folders(folder, CONFIG_FILE):
        with suppress(RunError):
            runs.append(read_run(path))
    return sorted(runs, key=lambda run: (run.config.created, run.path.name))[::-1]


def damaged_runs(folder: Path | None = None) -> list[Damaged]:
    """Return the runs of `folder` (default: `runs/`) that cannot be read, by name."""
    folder = files.runs_dir() if folder is None else folder
    return damaged_folders(folder, CONFIG_FILE, _read_config, Status)


def read_metrics(path: Path) -> "pd.DataFrame":
    """Return the epochs of the run folder `path`, one row each, sorted by epoch.

    A last line that was only half written is left out, and of two rows of the same
    epoch the later one counts. Without any epoch the frame is empty.
    """
    import pandas as pd

    frame = pd.DataFrame(read_numbers(path / METRICS_FILE))
    if frame.empty:
        return frame
    numbers = frame.drop_duplicates("epoch", keep="last").sort_values("epoch")
    table: pd.DataFrame = numbers.astype({"epoch": int}).reset_index(drop=True)
    return table


def log_tail(path: Path, size_bytes: int = 65536) -> str:
    """Return the end of the log of the run folder `path` as plain text.

    What TensorFlow says of itself when it starts is left out.
    """
    return end_of_log(path / LOG_FILE, size_bytes)


def _read_config(path: Path) -> RunConfig:
    """Return what the run in a folder was asked to do.

    Raises:
        RunError: If the folder is none of a run, or its configuration is damaged.
    """
    try:
        config = read_record(path / CONFIG_FILE, RunConfig)
    except ValueError as error:
        raise RunError(
            f"{CONFIG_FILE} cannot be used: {error}.", file=path.name
        ) from error
    if config is None:
        missing = "holds no run" if files.exists(path) else "does not exist"
        raise RunError(
            f"{missing} (a run folder has a {CONFIG_FILE}). Check the path.",
            file=path.name,
        )
    return config


def _free_folder(config: RunConfig) -> Path:
    """Return the path `runs/<UTC time>-<name>`, numbered where it is taken."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    plain = unicodedata.normalize("NFKD", config.name).encode("ascii", "ignore")
    words = re.sub(r"[^a-z0-9]+", "-", plain.decode().lower()).strip("-")
    base = f"{moment}-{words[:MAX_SLUG_LETTERS].strip('-') or 'run'}"
    taken = files.runs_dir() / base
    number = 2
    while taken.exists():
        taken = files.runs_dir() / f"{base}-{number}"
        number += 1
    return taken
