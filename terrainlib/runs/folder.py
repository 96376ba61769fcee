"""Workers' folders: what a training or a prediction leaves on disk, and how to read it.

Such a folder is the only truth about its work. Everything here reads it, or makes a new
one; the worker fills it. Nothing here loads TensorFlow.
"""

import logging
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from terrainlib import files, places, rights
from terrainlib.errors import RunError
from terrainlib.mask.products.records import SHARES_FILE, Made
from terrainlib.runs.jobs.config import JobConfig, Results, read_results
from terrainlib.runs.process import utc_now
from terrainlib.runs.searches.config import SearchConfig
from terrainlib.runs.status import (
    ACTIVE,
    JOB,
    RUN,
    SEARCH,
    STATUS_FILE,
    AnyConfig,
    JobStatus,
    RunStatus,
    SearchStatus,
    State,
    Work,
    WorkerStatus,
    crash_message,
    observe,
    work_of,
    write_status,
)
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.metrics import STEP_COLUMNS, read_numbers
from terrainlib.types import read_record

if TYPE_CHECKING:
    import pandas as pd

METRICS_FILE = "metrics.csv"
STEPS_FILE: Final = "steps.csv"
MODEL_FILE = "model.keras"
PIXEL_SCORE_FILE = "pixelclassifier.json"
CHECKPOINTS = "checkpoints"
INPUTS_FOLDER: Final = "inputs"
_MAX_SLUG_LETTERS: Final = 40
_SETTLED_NS: Final = 10**9  # a younger file may change within one tick of the clock


@dataclass(frozen=True, slots=True)
class WorkerFolder:
    """A worker's folder as it was at one moment.

    Attributes:
        path: The folder.
        config: What the worker was asked to do.
        status: What it last wrote.
        state: What it is really doing (`stalled` and `crashed` are derived).
        message: One sentence for people, or an empty text.
    """

    path: Path
    config: AnyConfig
    status: RunStatus | JobStatus | SearchStatus
    state: State
    message: str

    @property
    def readable(self) -> bool:
        """Whether whoever acts now may see what is in it."""
        return places.is_readable(self.path)

    @property
    def name(self) -> str:
        """What to call it for people."""
        if self.readable:
            return self.config.name
        return f"somebody else's {work_of(self.path).name}"

    @property
    def active(self) -> bool:
        """Whether a worker is at it."""
        return self.state in ACTIVE

    @property
    def needs_machine(self) -> bool:
        """Whether this machine does the work: others of its kind wait for its end."""
        return not isinstance(self.config, JobConfig) or self.config.needs_machine

    @property
    def place_text(self) -> str:
        """Where it is, such as `epoch 3 of 50` or `image 2 of 5`."""
        return "waiting for its turn" if self.state == "waiting" else self._at_text

    @property
    def _at_text(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Run(WorkerFolder):
    """The folder of a training."""

    config: RunConfig
    status: RunStatus

    @property
    def metrics(self) -> "pd.DataFrame":
        """The epochs so far, read anew at each use; see `read_metrics`."""
        return read_metrics(self.path)

    @property
    def steps(self) -> "pd.DataFrame":
        """What was noted within the epochs, by epoch and step; see `StepsTable`."""
        import pandas as pd

        rows = read_numbers(self.path / STEPS_FILE)
        return pd.DataFrame(rows, columns=list(STEP_COLUMNS)).dropna()

    @property
    def model(self) -> Path | None:
        """The saved model, or None while there is none."""
        model = self.path / MODEL_FILE
        return model if model.is_file() else None

    @property
    def _at_text(self) -> str:
        """Its epoch; without the total while that is not known."""
        of = f" of {self.status.epochs}" if self.status.epochs else ""
        running = self.status.epoch + (1 if self.active else 0)
        return f"epoch {min(running, self.status.epochs or running)}{of}"


@dataclass(frozen=True, slots=True)
class Job(WorkerFolder):
    """The folder of a prediction.

    Attributes:
        made: What became of the images that are done, in their order.
        failures: Names of the images that failed, and why.
    """

    config: JobConfig
    status: JobStatus
    made: tuple[Made, ...]
    failures: dict[str, str]

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.config.results_in(self.path)

    @property
    def files(self) -> tuple[Path, ...]:
        """The finished files of all images, and the table of shares if there is one."""
        finished = [path for made in self.made for path in made.files]
        table = self.folder / SHARES_FILE
        if len(self.config.images) > 1 and not self.active and files.is_file(table):
            finished.append(table)
        return tuple(finished)

    @property
    def _at_text(self) -> str:
        """Its image, or how many a cluster has done."""
        if self.config.cluster:
            return f"{self.status.done} of {len(self.config.images)} images done"
        return f"image {max(1, self.status.image)} of {len(self.config.images)}"


@dataclass(frozen=True, slots=True)
class Search(WorkerFolder):
    """The folder of a search for overlaps; what it finds lies in the cache."""

    config: SearchConfig
    status: SearchStatus

    @property
    def _at_text(self) -> str:
        """How much of it is done."""
        return f"{self.status.share:.0%}"


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


AnyFolder = TypeVar("AnyFolder", Run, Job, Search)


def create_run(config: RunConfig, *, path: Path | None = None) -> Path:
    """Make the folder of a new training with its configuration and first status.

    Args:
        config: What it is to do.
        path: The folder to make; None for `runs/<UTC time>-<name>`.

    Raises:
        RunError: If `path` exists already; nothing is changed.
        StorageError: If it cannot be written.
    """
    now = utc_now()
    status = RunStatus(epochs=config.training.epochs, heartbeat=now, progressed=now)
    rights.require("train")
    folder = _free_folder(config.name) if path is None else Path(path)
    places.require_changeable(folder)
    with _new_folder(folder):
        _write(folder, RUN, config, status)
    return folder


def create_job(config: JobConfig, uploads: Mapping[str, bytes] | None = None) -> Path:
    """Make the folder of a new prediction and return it.

    Args:
        config: What it is to do.
        uploads: Files in memory, by the paths that the configuration gives them. They
            are kept in the folder.

    Raises:
        StorageError: If it cannot be written.
    """
    rights.require("predict")
    if config.cluster:
        rights.require("use a cluster")
    now, images = utc_now(), config.images
    status = JobStatus(
        images=len(images), heartbeat=now, progressed=now, message="Starting"
    )
    name = f"{_dated(images[0].stem, 'image')}-{secrets.token_hex(4)}"
    folder = JOB.home() / name
    with _new_folder(folder):
        _write(folder, JOB, _with_inputs(config, folder, uploads or {}), status)
    return folder


def create_search(config: SearchConfig) -> Path:
    """Make the folder of a new search, named by what it searches, and return it.

    Raises:
        RunError: If there is one already.
        StorageError: If it cannot be written.
    """
    rights.require("search")
    now, path = utc_now(), search_folder(config.key)
    with _new_folder(path):
        _write(path, SEARCH, config, SearchStatus(heartbeat=now, progressed=now))
    return path


def search_folder(key: str) -> Path:
    """Return the folder of the search of a data set, by its `search_key`."""
    return SEARCH.home() / key


def read_run(path: Path) -> Run:
    """Return the training in the folder `path`, with its state as it is now.

    Raises:
        RunError: If it holds none, or its configuration cannot be used.
    """
    return Run(*_read(path, RUN))


def read_run_config(path: Path) -> RunConfig:
    """Return what the training in the folder `path` was asked to do.

    Raises:
        RunError: If it holds none, or its configuration cannot be used.
    """
    config: RunConfig = _read_config(Path(path), RUN)
    return config


def read_job(path: Path) -> Job:
    """Return the prediction in the folder `path`, with its state as it is now.

    Its results are looked for where they go and nowhere else, whatever it says itself.

    Raises:
        RunError: If it holds none, or its configuration cannot be used.
    """
    path, config, status, state, message = _read(path, JOB)
    try:
        done = read_results(path)
    except RunError as error:
        done = Results()
        message = f"{message} {error.message}".strip()
    folder = config.results_in(path)
    made = tuple(
        replace(
            one, files=tuple(folder / f.name for f in one.files if f.name.strip("."))
        )
        for one in done.made
    )
    return Job(path, config, status, state, message, made, done.failures)


def read_search(path: Path) -> Search:
    """Return the search in the folder `path`, with its state as it is now.

    Raises:
        RunError: If it holds none, or its configuration cannot be used.
    """
    return Search(*_read(path, SEARCH))


def list_runs(home: Path | None = None) -> list[Run]:
    """Return the readable trainings of `home` (default: `runs/`), newest first."""
    return _listed(RUN, read_run, home)


def list_jobs(home: Path | None = None) -> list[Job]:
    """Return the readable predictions of `home` (default: theirs), newest first."""
    return _listed(JOB, read_job, home)


def list_searches() -> list[Search]:
    """Return the readable searches, newest first."""
    return _listed(SEARCH, read_search, None)


def damaged_folders(work: Work) -> list[Damaged]:
    """Return the folders of a kind of work that cannot be read, by name."""
    found = []
    for path in _folders(work, work.homes):
        try:
            _read_config(path, work)
        except RunError as error:
            if files.exists(path):  # else it was deleted meanwhile
                active = observe(path, work)[1] in ACTIVE
                found.append(Damaged(path, error.message, active))
    return sorted(found, key=lambda entry: entry.path.name)


def require_deletable(path: Path, work: Work, *, active: bool) -> None:
    """Refuse to delete what is not a worker's folder, in its place, and at rest.

    Raises:
        RightsError: If whoever acts now may not delete it.
        RunError: With the reason.
    """
    rights.require("delete")
    places.require_changeable(path)
    if not os.path.lexists(path):
        reason = "does not exist. Check the path."
    elif path.is_symlink() or path.resolve().parent not in [
        home.resolve() for home in work.homes
    ]:
        reason = f"lies outside the folder of the {work.noun}s. Delete it by hand."
    elif not _is_worker_folder(path, work):
        reason = (
            f"is not a {work.noun} (the folder of one has a {work.config_file}). "
            "Delete it by hand."
        )
    elif active:
        reason = "is still running. Stop it before you delete it."
    else:
        return
    raise RunError(reason, file=path.name)


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


def log_tail(path: Path, size_bytes: int = 65536) -> str:
    """Return the end of the log in a worker's folder as plain text.

    It is empty where there is none. What TensorFlow says of itself when it starts is
    left out.
    """
    try:
        with files.open_regular(path / work_of(path).log) as log:
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


def _read(path: Path, work: Work) -> tuple[Path, Any, Any, State, str]:
    path = Path(path)
    config = _read_config(path, work)
    status, state = observe(path, work)
    message = status.message
    if state == "crashed":
        message = crash_message(path, last_line(log_tail(path)), work, said=message)
    return path, config, status, state, message


def _read_config(path: Path, work: Work) -> Any:
    name = work.config_file
    try:
        config = _config(path / name, work, _stamp(path / name))
    except ValueError as error:
        raise RunError(f"{name} cannot be used: {error}.", file=path.name) from error
    if config is None:
        missing = f"holds no {work.noun}" if files.exists(path) else "does not exist"
        raise RunError(
            f"{missing} (a {work.noun} folder has a {name}). Check the path.",
            file=path.name,
        )
    return config


@lru_cache(maxsize=1024)
def _config(path: Path, work: Work, stamp: tuple[int, ...]) -> AnyConfig | None:
    """Return what a configuration holds, from memory while its stamp is the same."""
    del stamp  # a part of the key
    limit = files.MAX_JSON_BYTES  # images by the thousand
    return read_record(path, work.config, limit_bytes=limit)


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does; of one just written another each time."""
    with suppress(OSError):
        facts = path.stat()
        if time.time_ns() - facts.st_mtime_ns > _SETTLED_NS:
            return facts.st_ino, facts.st_mtime_ns, facts.st_size
    return (time.monotonic_ns(),)


def _listed(
    work: Work, read: Callable[[Path], AnyFolder], home: Path | None
) -> list[AnyFolder]:
    found = []
    for path in _folders(work, work.homes if home is None else [home]):
        with suppress(RunError):
            found.append(read(path))
    return sorted(found, key=lambda one: (one.config.created, one.path.name))[::-1]


def _folders(work: Work, homes: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders directly in `homes` that are a worker's, readable or not."""
    for path in (p for home in homes if home.is_dir() for p in home.iterdir()):
        if not path.name.startswith(".") and _is_worker_folder(path, work):
            yield path


def _is_worker_folder(path: Path, work: Work) -> bool:
    marks = (work.config_file, STATUS_FILE)
    return path.is_dir() and any(os.path.lexists(path / name) for name in marks)


@contextmanager
def _new_folder(path: Path) -> Iterator[None]:
    """Make a folder; it goes again where the block fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
    except FileExistsError as error:
        raise RunError(
            "exists already, and a run is never written over another. Choose a new "
            "folder, or resume this run.",
            file=path.name,
        ) from error
    except OSError as error:
        raise files.storage_error(path, error) from error
    try:
        yield
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _write(
    path: Path,
    work: Work,
    config: AnyConfig,
    status: WorkerStatus,
) -> None:
    write_status(path, status)
    files.write_json(path / work.config_file, config.to_dict())


def _with_inputs(
    config: JobConfig, path: Path, uploads: Mapping[str, bytes]
) -> JobConfig:
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


def _free_folder(name: str) -> Path:
    """Return the path `runs/<UTC time>-<name>`, numbered where it is taken."""
    base = RUN.home() / _dated(name, "run")
    taken, number = base, 2
    while taken.exists():
        taken = base.with_name(f"{base.name}-{number}")
        number += 1
    return taken


def _dated(name: str, otherwise: str) -> str:
    """Return `<UTC time>-<name>` in letters that every disk can take."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    return f"{moment}-{words[:_MAX_SLUG_LETTERS].strip('-') or otherwise}"
