"""One worker of a kind at a time: the place that it holds for its whole life.

The place is a file lock, and the kernel frees it when its holder dies, however it dies.
Whether the file exists therefore says nothing; only trying the lock does.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from terrainlib import files
from terrainlib.errors import RunError
from terrainlib.types import PathText, known_record

_HOLD_WAIT_SECONDS: Final = 2.0  # others only try the lock for an instant
_LAUNCH_WAIT_SECONDS: Final = 20.0
_PROBE_SECONDS: Final = 0.2  # longer than another one's probe
_LAUNCH_LOCK: Final = ".launch.lock"


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """The place of one kind of worker.

    Attributes:
        folder: Returns the folder of the locks, which is made where missing.
        name: What the files begin with after a dot: `NAME.lock`, `NAME.json`.
        record: Name of the value in the latter that holds the worker's folder.
        work: The kind of work for messages, as in "a training".
    """

    folder: Callable[[], Path]
    name: str
    record: str
    work: str

    @contextmanager
    def held(self, path: Path, busy: Callable[[], str]) -> Iterator[None]:
        """Hold the place for the worker of a folder during the block.

        Args:
            path: The worker's folder.
            busy: Returns the sentence for the case that another one holds it.

        Raises:
            RunError: If another one holds it.
            StorageError: If the lock cannot be made.
        """
        with self._locked(f".{self.name}.lock", _HOLD_WAIT_SECONDS, busy):
            holder = {self.record: str(path.resolve())}
            files.write_json(self.folder() / f".{self.name}.json", holder)
            yield

    @contextmanager
    def launching(self) -> Iterator[None]:
        """Let one process or thread at a time decide whether a worker may start.

        Raises:
            RunError: If others take too long to decide.
            StorageError: If the lock cannot be made.
        """
        sentence = f"Another {self.work} is being started. Try again."
        with self._locked(_LAUNCH_LOCK, _LAUNCH_WAIT_SECONDS, lambda: sentence):
            yield

    def is_free(self) -> bool:
        """Return whether nobody is at work at this moment; asking makes no file.

        Raises:
            StorageError: If the lock cannot be tried.
        """
        path = self.folder() / f".{self.name}.lock"
        if not path.exists():
            return True
        lock = FileLock(path)
        try:
            lock.acquire(timeout=_PROBE_SECONDS, poll_interval=0.01)
        except Timeout:
            return False
        except OSError as error:
            raise files.storage_error(self.folder(), error) from error
        lock.release()
        return True

    def last_holder(self) -> Path | None:
        """Return the folder of the worker that took the place last, if it is known."""
        holders = dict[str, PathText]
        record = known_record(self.folder() / f".{self.name}.json", holders) or {}
        path = record.get(self.record)
        return None if path is None else Path(path)

    def holder_is(self, path: Path) -> bool:
        """Return whether the worker of a folder took the place last."""
        holder = self.last_holder()
        return holder is not None and os.path.realpath(holder) == os.path.realpath(path)

    def is_held_by(self, path: Path) -> bool:
        """Return whether the worker of a folder holds the place at this moment.

        Raises:
            StorageError: If the lock cannot be tried.
        """
        return self.holder_is(path) and not self.is_free()

    @contextmanager
    def _locked(
        self, name: str, seconds: float, busy: Callable[[], str]
    ) -> Iterator[None]:
        try:
            self.folder().mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder() / name)
            lock.acquire(timeout=seconds)
        except Timeout as error:
            raise RunError(busy()) from error
        except OSError as error:
            raise files.storage_error(self.folder(), error) from error
        try:
            yield
        finally:
            lock.release()
