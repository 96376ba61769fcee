"""What a run says about itself in `status.json`, and whether it is so.

A worker stores one of six states; a reader who finds the worker gone or silent derives
two more.
"""

import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from terrainlib import files
from terrainlib.runs.process import find_process, read_process
from terrainlib.runs.times import seconds_since

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
_MEMORY_EXIT_CODES = (-9, 137)


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
    epoch: int = 0
    epochs: int | None = None
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    seconds_left: float | None = None
    best_epoch: int | None = None
    best_miou: float | None = None
    heartbeat: str = ""
    progressed: str = ""
    message: str = ""

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
    values = files.read_json(path / STATUS_FILE)
    if not isinstance(values, dict) or values.get("state") not in get_args(StoredState):
        return Status()
    known = {field.name for field in fields(Status)}
    return Status(**{name: value for name, value in values.items() if name in known})


def write_status(path: Path, status: Status) -> None:
    """Write `status.json` of the run folder `path` atomically.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    files.write_json(path / STATUS_FILE, status.to_dict())


def observe(path: Path) -> tuple[Status, State]:
    """Return the stored status of the run folder `path` and its real state."""
    status = read_status(path)
    if status.state in TERMINAL:
        return status, status.state
    record = read_process(path)
    if record is not None and record.get("host") != socket.gethostname():
        return status, _by_heartbeat(status, "crashed")
    if record is None:
        return status, _by_heartbeat(status, "crashed", LAUNCH_SECONDS)
    if find_process(record) is None:
        status = read_status(path)  # it may have ended well since the first look
        return status, status.state if status.state in TERMINAL else "crashed"
    state = _by_heartbeat(status, "stalled")
    if state == "running" and seconds_since(status.progressed) > STANDSTILL_SECONDS:
        return status, "stalled"
    if state in ("starting", "running") and (path / STOP_FILE).exists():
        return status, "stopping"
    return status, state


def _by_heartbeat(
    status: Status, otherwise: State, limit_seconds: float = SILENCE_SECONDS
) -> State:
    """Return the stored state while the heartbeat is fresh."""
    fresh = seconds_since(status.heartbeat) < limit_seconds
    return status.state if fresh else otherwise


def crash_message(path: Path, last_line: str) -> str:
    """Return the sentence for a worker that ended without a word.

    Args:
        path: The run folder.
        last_line: Last line of its log.
    """
    code = (read_process(path) or {}).get("exit_code")
    if code in _MEMORY_EXIT_CODES:
        reason = (
            "stopped by the system, probably out of memory: lower the batch size or "
            "the image size, then resume."
        )
    elif code is not None:
        reason = f"the training process ended unexpectedly (exit status {code})."
    else:
        reason = (
            "the training process is gone (the machine was restarted, or it was ended "
            "from outside). Resume continues from the last checkpoint."
        )
    return f"{reason} Last line of the log: {last_line}" if last_line else reason
