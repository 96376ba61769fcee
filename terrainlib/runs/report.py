"""The worker's side of `status.json`: facts as they come, a heartbeat in between."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self

from terrainlib import files
from terrainlib.errors import (
    FailureError,
    StoppedError,
    StorageError,
    TerrainError,
    lacks_memory,
)
from terrainlib.runs.process import utc_now
from terrainlib.runs.status import (
    RUN,
    STOP_FILE,
    AnyStatus,
    RunStatus,
    StoredState,
    Work,
    write_status,
)

if TYPE_CHECKING:
    from terrainlib.model.learning.reports import TrainingResult

HEARTBEAT_SECONDS = 1.5
ROOM_FILE = ".room"
ROOM_BYTES = 32_768
_SHOWN_EVERY_SECONDS = 0.1
_logger = logging.getLogger(__name__)


class StatusReport(Generic[AnyStatus]):
    """The status of a worker, written by a thread of its own while the block lasts.

    Changes of the state are written at once, everything else with the next heartbeat.
    A file keeps room on the disk for the last words of a worker that filled it.

    Args:
        path: The worker's folder.
        status: The status to begin with.
        watcher: Called with the status when it changes, at most ten times a second.
    """

    def __init__(
        self,
        path: Path,
        status: AnyStatus,
        watcher: Callable[[AnyStatus], None] | None = None,
    ) -> None:
        self._path = path
        self._status: AnyStatus = status
        self._watcher: Callable[[AnyStatus], None] | None = watcher
        self._shown = 0.0
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        files.write_bytes(self._path / ROOM_FILE, bytes(ROOM_BYTES))
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._done.set()
        self._thread.join()
        self._give_room()

    @property
    def status(self) -> AnyStatus:
        """The status as it is now."""
        return self._status

    def update(self, **changes: Any) -> None:
        """Change facts of the status; the work has gone on.

        Raises:
            StorageError: If a new state cannot be written.
        """
        with self._lock:
            before = self._status
            self._status = replace(before, **changes, progressed=utc_now())
        turned = self._status.state != before.state
        if turned:
            self._write()
        now = time.monotonic()
        if self._watcher and (turned or now - self._shown > _SHOWN_EVERY_SECONDS):
            self._shown = now
            self._watcher(self._status)

    def end(self, state: StoredState, message: str) -> None:
        """Write a last state; where even that has no room, the log alone says it."""
        self._give_room()
        try:
            self.update(state=state, message=message, seconds_left=None)
        except StorageError as error:
            _logger.warning("%s", error)

    def stop_asked(self, asked: Callable[[], bool], **changes: Any) -> bool:
        """Return whether an end is asked for, and say so in the status the first time.

        Args:
            asked: Says whether it is, beside the file `stop` in the folder.
            changes: What else changes in the status then.
        """
        stop = asked() or (self._path / STOP_FILE).exists()
        if stop and self._status.state != "stopping":
            _logger.info("asked to stop")
            self.update(state="stopping", **changes)
        return stop

    def counter(self, message: str) -> Callable[[int, int], None]:
        """Return a progress callback that shows `message` with a count."""

        def show(done: int, total: int) -> None:
            self.update(message=f"{message}: {done} of {total}")

        return show

    def _give_room(self) -> None:
        with suppress(OSError):
            (self._path / ROOM_FILE).unlink(missing_ok=True)

    def _write(self) -> None:
        with self._lock:
            self._status = replace(self._status, heartbeat=utc_now())
            write_status(self._path, self._status)

    def _beat(self) -> None:
        """Write the status until the block ends; a full disk ends no work."""
        while not self._done.wait(HEARTBEAT_SECONDS):
            try:
                self._write()
            except StorageError as error:
                _logger.warning("%s", error)


Report = StatusReport[RunStatus]  # that of a training


MAX_ERROR_LETTERS = 300


@contextmanager
def ending_in_words(report: StatusReport[Any], work: Work = RUN) -> Iterator[None]:
    """Make the status say how the block ended, whatever happens in it."""
    try:
        with memory_in_words(work):
            yield
    except StoppedError:
        report.end("stopped", work.too_early)
    except TerrainError as error:
        _logger.error("%s", error)
        report.end("failed", str(error))
        raise
    except KeyboardInterrupt:
        report.end("stopped", work.interrupted)
        raise
    except Exception as error:
        _logger.exception("unexpected error")
        report.end("failed", unexpected(error, work))
        raise


def unexpected(error: Exception, work: Work) -> str:
    """Return the sentence for an error that nobody foresaw."""
    text = " ".join(str(error).split())[:MAX_ERROR_LETTERS]
    return f"unexpected error: {type(error).__name__}: {text}; see {work.log}"


@contextmanager
def memory_in_words(work: Work) -> Iterator[None]:
    """Turn the ways of running out of memory into one sentence.

    Raises:
        FailureError: With that sentence.
    """
    try:
        yield
    except Exception as error:
        if lacks_memory(error):
            raise FailureError(work.too_large) from error
        raise


def last_words(result: "TrainingResult", left_out: int) -> str:
    """Return the sentence that a run ends with when its model is saved."""
    if result.best_epoch:
        words = f"The saved model is the one after epoch {result.best_epoch}."
    else:
        words = "Stopped within the first epoch; the model has hardly learnt anything."
    if left_out:
        pairs = "1 pair was" if left_out == 1 else f"{left_out} pairs were"
        words += f" {pairs} left out as unusable; the log says why."
    return words
