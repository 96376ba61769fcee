"""What a run says about itself in `status.json`, and whether it is so.

A worker stores one of six states; a reader who finds the worker gone or silent derives
two more.
"""

import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol, TypeVar

from terrainlib import files
from terrainlib.runs.process import find_process, read_process, seconds_since
from terrainlib.types import Count, Moment, Seconds, Sentence, Share, read_record


@dataclass(frozen=True, slots=True)
class Words:
    """The phrases of one kind of work.

    Attributes:
        work: Its name, as in "the training process".
        log: Name of its log.
        too_early: The sentence for an end before anything was done.
        interrupted: The sentence for a second Ctrl-C.
        too_large: The sentence for a lack of memory that was noticed.
        after_kill: What to do after the system took the memory back.
        after_loss: What to do when the process is gone for another reason.
    """

    work: str
    log: str
    too_early: str
    interrupted: str
    too_large: str
    after_kill: str
    after_loss: str


TRAINING: Final = Words(
    work="training",
    log="train.log",
    too_early="Stopped before the first step.",
    interrupted="Interrupted. Resume continues from the last epoch.",
    too_large="The memory is not enough. Lower the batch size or the image size.",
    after_kill="lower the batch size or the image size, then resume.",
    after_loss="Resume continues from the last checkpoint.",
)
PREDICTION: Final = Words(
    work="prediction",
    log="worker.log",
    too_early="Stopped before the first row.",
    interrupted="Interrupted. The images that were finished are kept.",
    too_large="The memory is not enough. Use a smaller scale, or cut the image.",
    after_kill=(
        "use a smaller scale or cut the image, then start again. The images that were "
        "finished are kept."
    ),
    after_loss="The images that were finished are kept; start the others again.",
)


StoredState = Literal[
    "starting", "running", "stopping", "stopped", "finished", "failed"
]
State = Literal[
    "starting",
    "running",
    "stopping",
    "stopped",
    "finished",
    "failed",
    "stalled",
    "crashed",
]
ACTIVE: Final[frozenset[str]] = frozenset(
    {"starting", "running", "stopping", "stalled"}
)
TERMINAL: Final[frozenset[str]] = frozenset(
    {"stopped", "finished", "failed", "crashed"}
)

STATUS_FILE = "status.json"
STOP_FILE = "stop"

LAUNCH_SECONDS = 60.0  # a new run may take this long until its worker exists
SILENCE_SECONDS = 30.0  # heartbeats come every 1.5 s
STANDSTILL_SECONDS = 300.0  # no step, no epoch, no file read
CLOCKS_APART_SECONDS = 3600.0  # a heartbeat further in the future is none
_MEMORY_EXIT_CODES = (-9, 137)
_DAMAGED = f"{STATUS_FILE} is damaged"


class Reported(Protocol):
    """What the status of every worker has, a frozen dataclass each."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def state(self) -> StoredState:
        """What the worker says it does."""

    @property
    def heartbeat(self) -> str:
        """UTC ISO time at which the worker was last seen alive."""

    @property
    def progressed(self) -> str:
        """UTC ISO time at which the work last went on."""

    @property
    def message(self) -> str:
        """One sentence for people; empty where there is nothing to say."""

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""


AnyStatus = TypeVar("AnyStatus", bound=Reported)


@dataclass(frozen=True, slots=True)
class Status:
    """The contents of `status.json`.

    Attributes:
        state: What the worker says it does.
        epoch: Epochs completed.
        epochs: Epochs planned; None where that is not known yet.
        step: Steps done in the running epoch.
        steps: Steps of an epoch; 0 until it is known.
        seconds: Wall clock spent on training.
        seconds_left: Expected rest, or None.
        best_epoch: Epoch with the best validation mIoU so far, or None.
        best_miou: That mIoU, 0 to 1, or None.
        heartbeat: UTC ISO time at which the worker was last seen alive.
        progressed: UTC ISO time at which the work last went on.
        message: One sentence for people; empty where there is nothing to say.
    """

    state: StoredState = "starting"
    epoch: Count = 0
    epochs: Count | None = None
    step: Count = 0
    steps: Count = 0
    seconds: Seconds = 0.0
    seconds_left: Seconds | None = None
    best_epoch: Count | None = None
    best_miou: Share | None = None
    heartbeat: Moment = ""
    progressed: Moment = ""
    message: Sentence = ""

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

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        return asdict(self)


def read_status(path: Path) -> Status:
    """Return the status of the run folder `path`; `starting` where it has none yet."""
    return stored_status(path, Status)


def stored_status(path: Path, kind: type[AnyStatus]) -> AnyStatus:
    """Return the status in a worker's folder; `starting` where it has none yet.

    One that cannot be used is no news either, but the message says why.

    Args:
        path: The folder.
        kind: The form of its status.
    """
    make: Callable[..., AnyStatus] = kind
    try:
        return read_record(path / STATUS_FILE, kind) or make()
    except ValueError as error:
        return make(message=f"{_DAMAGED}: {error}.")


def write_status(path: Path, status: Reported) -> None:
    """Write `status.json` of the run folder `path` atomically.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    files.write_json(path / STATUS_FILE, status.to_dict())


def observe(path: Path) -> tuple[Status, State]:
    """Return the stored status of the run folder `path` and its real state."""
    return real_state(path, Status)


def real_state(
    path: Path,
    kind: type[AnyStatus],
    *,
    standstill_seconds: float = STANDSTILL_SECONDS,
) -> tuple[AnyStatus, State]:
    """Return the stored status of a worker's folder and the real state.

    Args:
        path: The folder.
        kind: The form of its status.
        standstill_seconds: A worker whose work has not gone on for that long is
            stalled.
    """
    status = stored_status(path, kind)
    if status.state in TERMINAL:
        return status, status.state
    record = read_process(path)
    if record is not None and record.host != socket.gethostname():
        return status, _by_heartbeat(status, "crashed")
    if record is None:
        return status, _by_heartbeat(status, "crashed", LAUNCH_SECONDS)
    if find_process(record) is None:
        status = stored_status(path, kind)  # it may have ended well meanwhile
        return status, status.state if status.state in TERMINAL else "crashed"
    state = _by_heartbeat(status, "stalled")
    if state == "running" and seconds_since(status.progressed) > standstill_seconds:
        return status, "stalled"
    if state in ("starting", "running") and (path / STOP_FILE).exists():
        return status, "stopping"
    return status, state


def _by_heartbeat(
    status: Reported, otherwise: State, limit_seconds: float = SILENCE_SECONDS
) -> State:
    silence = seconds_since(status.heartbeat)
    fresh = -CLOCKS_APART_SECONDS < silence < limit_seconds
    return status.state if fresh else otherwise


def crash_message(
    path: Path, last_line: str, words: Words = TRAINING, *, said: str = ""
) -> str:
    """Return the sentence for a worker that ended without a word.

    Args:
        path: The worker's folder.
        last_line: Last line of its log.
        words: Those of its kind of work.
        said: The message of its status.
    """
    record = read_process(path)
    code = None if record is None else record.exit_code
    if said.startswith(_DAMAGED):
        reason = f"{said} {words.after_loss}"
    elif code in _MEMORY_EXIT_CODES:
        reason = f"stopped by the system, probably out of memory: {words.after_kill}"
    elif code is not None:
        reason = f"the {words.work} process ended unexpectedly (exit status {code})."
    else:
        reason = (
            f"the {words.work} process is gone (the machine was restarted, or it was "
            f"ended from outside). {words.after_loss}"
        )
    return f"{reason} Last line of the log: {last_line}" if last_line else reason
