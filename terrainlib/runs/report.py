"""The worker's side of `status.json`: facts as they come, a heartbeat in between."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, Self

from terrainlib import files
from terrainlib.errors import StorageError
from terrainlib.runs.status import AnyStatus, Status, StoredState, write_status
from terrainlib.runs.times import utc_now

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
        self._status = status
        self._watcher = watcher
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


Report = StatusReport[Status]  # that of a training
