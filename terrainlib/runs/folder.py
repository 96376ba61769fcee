"""Run folders: what a training leaves on disk, and how to read it.

A run folder is the only truth about a training. Everything here reads it, or makes a
new one; `job` fills it. Nothing here loads TensorFlow.
"""

import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from terrainlib import files
from terrainlib.errors import ConfigError, RunError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.damaged import Damaged, damaged_folders, worker_folders
from terrainlib.runs.logs import end_of_log, last_line
from terrainlib.runs.metrics import read_numbers
from terrainlib.runs.previews import PreviewInput, preview_inputs, previews
from terrainlib.runs.status import (
    ACTIVE,
    TERMINAL,
    State,
    Status,
    crash_message,
    observe,
    write_status,
)
from terrainlib.runs.times import utc_now
from terrainlib.types import Moment, PathText, checked, read_record

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ACTIVE",
    "TERMINAL",
    "PreviewInput",
    "Run",
    "RunConfig",
    "State",
    "Status",
    "create_run",
    "damaged_runs",
    "list_runs",
    "log_tail",
    "preview_inputs",
    "previews",
    "read_metrics",
    "read_run",
]

CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.csv"
LOG_FILE = "train.log"
MODEL_FILE = "model.keras"
YARDSTICK_FILE = "yardstick.json"
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
