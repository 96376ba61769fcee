"""What workers say about themselves in `status.json`, and whether it is so.

There are three kinds of work, trainings, predictions and searches; the table here says
in what their folders differ. A worker stores one of seven states; a reader who finds
the worker gone or silent derives two more.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from terrainlib import files, places, rights
from terrainlib.runs.jobs.config import JobConfig
from terrainlib.runs.process import find_process, read_process, seconds_since
from terrainlib.runs.searches.config import SearchConfig
from terrainlib.runs.training.config import RunConfig
from terrainlib.types import (
    Count,
    Moment,
    Seconds,
    Sentence,
    Share,
    Text,
    read_record,
)

StoredState = Literal[
    "waiting", "starting", "running", "stopping", "stopped", "finished", "failed"
]
State = Literal[
    "waiting",
    "starting",
    "running",
    "stopping",
    "stopped",
    "finished",
    "failed",
    "stalled",
    "crashed",
]
UNBEGUN: Final[frozenset[str]] = frozenset({"waiting", "starting"})
ACTIVE: Final[frozenset[str]] = frozenset(
    {"waiting", "starting", "running", "stopping", "stalled"}
)
TERMINAL: Final[frozenset[str]] = frozenset(
    {"stopped", "finished", "failed", "crashed"}
)

STATUS_FILE = "status.json"
STOP_FILE = "stop"

LAUNCH_SECONDS = 60.0  # a new run may take this long until its worker exists
SILENCE_SECONDS = 30.0  # heartbeats come every 1.5 s
CLOCKS_APART_SECONDS = 3600.0  # a heartbeat further in the future is none
_MEMORY_EXIT_CODES = (-9, 137)
_DAMAGED = f"{STATUS_FILE} is damaged"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a training does before its first epoch is over, a part of it.

    Attributes:
        name: Which part.
        begun: UTC ISO time at which it began.
        seconds: What it took; None while it goes on.
        share: How much of it is done, 0 to 1; None where nobody can tell.
    """

    name: Text
    begun: Moment
    seconds: Seconds | None = None
    share: Share | None = None


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What is in every worker's `status.json`.

    Attributes:
        state: What the worker says it does.
        seconds_left: Expected rest, or None.
        heartbeat: UTC ISO time at which the worker was last seen alive.
        progressed: UTC ISO time at which the work last went on.
        message: One sentence for people; empty where there is nothing to say.
    """

    state: StoredState = "starting"
    _: KW_ONLY
    seconds_left: Seconds | None = None
    heartbeat: Moment = ""
    progressed: Moment = ""
    message: Sentence = ""


@dataclass(frozen=True, slots=True)
class RunStatus(WorkerStatus):
    """The contents of a training's `status.json`.

    Attributes:
        epoch: Epochs completed.
        epochs: Epochs planned; None where that is not known yet.
        step: Steps done in the running epoch.
        steps: Steps of an epoch; 0 until it is known.
        seconds: Wall clock spent on training.
        best_epoch: Epoch with the best validation mIoU so far, or None.
        best_miou: That mIoU, 0 to 1, or None.
        stages: What came before the first epoch, and that epoch.
        free_share: Share of the processor, 0 to 1, that other programs left to it when
            its budget in minutes began; None where nobody looked.
    """

    epoch: Count = 0
    epochs: Count | None = None
    step: Count = 0
    steps: Count = 0
    seconds: Seconds = 0.0
    best_epoch: Count | None = None
    best_miou: Share | None = None
    stages: tuple[Stage, ...] = ()
    free_share: Share | None = None

    @property
    def share(self) -> float | None:
        """Share of the budget that is used up, 0 to 1; None while it is not known."""
        if self.state == "finished":
            return 1.0
        if self.epochs:
            within = self.step / self.steps if self.steps else 0.0
            return min(1.0, (self.epoch + within) / self.epochs)
        if self.seconds_left is not None and self.seconds + self.seconds_left > 0:
            return self.seconds / (self.seconds + self.seconds_left)
        return None


@dataclass(frozen=True, slots=True)
class JobStatus(WorkerStatus):
    """The contents of a prediction's `status.json`.

    Attributes:
        image: Number, from 1, of the image that is being predicted; 0 before.
        images: How many there are.
        tile: Tiles of that image that are done.
        tiles: Tiles of that image; 0 until it is known.
        share: Share of the pixels of all images that are done, 0 to 1.
        seconds: Wall clock since the first tile.
        done: Images that a cluster has done.
        failed: Images that failed there.
        workers: Processes of the cluster.
        memory_bytes: What they take together.
    """

    image: Count = 0
    images: Count = 0
    tile: Count = 0
    tiles: Count = 0
    share: Share = 0.0
    seconds: Seconds = 0.0
    done: Count = 0
    failed: Count = 0
    workers: Count = 0
    memory_bytes: Count = 0


@dataclass(frozen=True, slots=True)
class SearchStatus(WorkerStatus):
    """The contents of a search's `status.json`.

    Attributes:
        share: Share of the search that is done, 0 to 1.
    """

    share: Share = 0.0


AnyConfig = RunConfig | JobConfig | SearchConfig
AnyStatus = TypeVar("AnyStatus", RunStatus, JobStatus, SearchStatus)


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of work, and in what its folders and its words differ from the others'.

    Attributes:
        name: Its name, as in "the training process".
        noun: What one folder of it is called, as in "holds no run".
        home: Returns the folder that its folders lie in.
        config_file: Name of the file that says what the worker was asked to do.
        config: The form of that file.
        status: The form of its `status.json`.
        log: Name of its log.
        lock: What the files of its lock begin with, after a dot.
        standstill_seconds: A worker whose work has not gone on for that long is
            stalled.
        too_early: The sentence for an end before anything was done.
        interrupted: The sentence for a second Ctrl-C.
        forced: The sentence for an end by force.
        too_large: The sentence for a lack of memory that was noticed.
        after_kill: What to do after the system took the memory back.
        after_loss: What to do when the process is gone for another reason.
    """

    name: str
    noun: str
    home: Callable[[], Path]
    config_file: str
    config: type[AnyConfig]
    status: type[WorkerStatus]
    log: str
    lock: str
    standstill_seconds: float
    too_early: str
    interrupted: str
    forced: str
    too_large: str
    after_kill: str
    after_loss: str

    @property
    def shared_home(self) -> Path:
        """The folder that those of the machine's owner lie in, and the locks."""
        with rights.acting(rights.OWNER):
            return self.home()

    @property
    def homes(self) -> list[Path]:
        """The folders whose contents whoever acts now may see, their own one first."""
        both = dict.fromkeys((self.home(), self.shared_home))
        return [home for home in both if places.is_readable(home)]


RUN: Final = Work(
    name="training",
    noun="run",
    home=files.runs_dir,
    config_file="config.json",
    config=RunConfig,
    status=RunStatus,
    log="train.log",
    lock="train",
    standstill_seconds=300.0,  # no step, no epoch, no file read
    too_early="Stopped before the first step.",
    interrupted="Interrupted. Resume continues from the last epoch.",
    forced="Ended by force. Resume continues from the last checkpoint.",
    too_large="There is not enough memory. Lower the batch size or the image size.",
    after_kill="lower the batch size or the image size, then resume.",
    after_loss="Resume continues from the last checkpoint.",
)
JOB: Final = Work(
    name="prediction",
    noun="prediction",
    home=files.predictions_dir,
    config_file="job.json",
    config=JobConfig,
    status=JobStatus,
    log="worker.log",
    lock="predict",
    standstill_seconds=1800.0,  # polygons and packs of large rasters count no tiles
    too_early="Stopped before the first row.",
    interrupted="Interrupted. The images that were finished are kept.",
    forced="Ended by force. The images that were finished are kept.",
    too_large="There is not enough memory. Use a smaller scale, or cut the image.",
    after_kill=(
        "use a smaller scale or cut the image, then start again. The images that were "
        "finished are kept."
    ),
    after_loss="The images that were finished are kept; start the others again.",
)
SEARCH: Final = Work(
    name="search",
    noun="search",
    home=lambda: files.cache_dir() / "searches",  # what is found lies beside them
    config_file="search.json",
    config=SearchConfig,
    status=SearchStatus,
    log="worker.log",
    lock="search",
    standstill_seconds=1800.0,  # the features of thousands of patches are matched
    too_early="Stopped; nothing was kept.",
    interrupted="Interrupted; nothing was kept.",
    forced="Ended by force; nothing was kept.",
    too_large="There is not enough memory to compare so many patches.",
    after_kill="close other programs, then look again.",
    after_loss="Look again.",
)


def work_of(path: Path) -> Work:
    """Return the kind of work that a worker's folder is for, by its files."""
    known = (JOB, SEARCH)
    return next((w for w in known if os.path.lexists(path / w.config_file)), RUN)


def read_status(path: Path, work: Work = RUN) -> Any:
    """Return the status in a worker's folder; `starting` where it has none yet.

    One that cannot be used is no news either, but the message says why.
    """
    try:
        return read_record(path / STATUS_FILE, work.status) or work.status()
    except ValueError as error:
        return work.status(message=f"{_DAMAGED}: {error}.")


def write_status(path: Path, status: WorkerStatus) -> None:
    """Write `status.json` of a worker's folder atomically.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    files.write_json(path / STATUS_FILE, asdict(status))


def observe(path: Path, work: Work = RUN) -> tuple[Any, State]:
    """Return the stored status of a worker's folder and its real state."""
    status = read_status(path, work)
    if status.state in TERMINAL:
        return status, status.state
    record = read_process(path)
    if record is not None and record.host != socket.gethostname():
        return status, _by_heartbeat(status, "crashed")
    if record is None:
        return status, _by_heartbeat(status, "crashed", LAUNCH_SECONDS)
    if find_process(record) is None:
        status = read_status(path, work)  # it may have ended well meanwhile
        return status, status.state if status.state in TERMINAL else "crashed"
    state = _by_heartbeat(status, "stalled")
    silence = seconds_since(status.progressed)
    if state == "running" and silence > work.standstill_seconds:
        return status, "stalled"
    if state in {*UNBEGUN, "running"} and (path / STOP_FILE).exists():
        return status, "stopping"
    return status, state


def _by_heartbeat(
    status: WorkerStatus,
    otherwise: State,
    limit_seconds: float = SILENCE_SECONDS,
) -> State:
    silence = seconds_since(status.heartbeat)
    fresh = -CLOCKS_APART_SECONDS < silence < limit_seconds
    return status.state if fresh else otherwise


def crash_message(
    path: Path, last_line: str, work: Work = RUN, *, said: str = ""
) -> str:
    """Return the sentence for a worker that ended without a word."""
    record = read_process(path)
    code = None if record is None else record.exit_code
    if said.startswith(_DAMAGED):
        reason = f"{said} {work.after_loss}"
    elif code in _MEMORY_EXIT_CODES:
        reason = f"stopped by the system, probably out of memory: {work.after_kill}"
    elif code is not None:
        reason = f"the {work.name} process ended unexpectedly (exit status {code})."
    else:
        reason = (
            f"the {work.name} process is gone (the machine was restarted, or it was "
            f"ended from outside). {work.after_loss}"
        )
    return f"{reason} Last line of the log: {last_line}" if last_line else reason
