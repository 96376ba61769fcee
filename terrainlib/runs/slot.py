"""One of each kind of work at a time: the slot that a worker holds for its life.

The slot is a file lock, and the kernel frees it when its holder dies, however it dies.
Whether the file exists therefore says nothing; only trying the lock does. Each kind of
work has its own slot, so that a prediction may run beside a training. Workers that wait
for it are the queue: processes that do nothing but try the lock, the oldest first.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic

from filelock import FileLock, Timeout

from terrainlib import files, rights
from terrainlib.errors import RunError, StoppedError
from terrainlib.runs.folder import (
    AnyFolder,
    Job,
    Run,
    Search,
    list_jobs,
    list_runs,
    list_searches,
    read_job,
    read_run,
    read_search,
)
from terrainlib.runs.process import read_process, write_process
from terrainlib.runs.report import StatusReport
from terrainlib.runs.status import JOB, RUN, SEARCH, Work, write_status
from terrainlib.types import PathText, known_record

_HOLD_WAIT_SECONDS: Final = 2.0  # others only try the lock for an instant
_LAUNCH_WAIT_SECONDS: Final = 20.0
_PROBE_SECONDS: Final = 0.2  # longer than another one's probe
_TURN_SECONDS: Final = 1.0  # between two tries of one that waits
_LAUNCH_LOCK: Final = ".launch.lock"
_WAITS: Final = "waits.json"


@dataclass(frozen=True, slots=True)
class Slot(Generic[AnyFolder]):
    """The slot of one kind of work.

    Attributes:
        work: The kind of work.
        read: Reads a folder of it.
        list: Returns all of them that can be read.
    """

    work: Work
    read: Callable[[Path], AnyFolder]
    list: Callable[[], list[AnyFolder]]

    @contextmanager
    def held(self, path: Path) -> Iterator[None]:
        """Hold the slot for the worker of a folder during the block.

        Raises:
            RunError: If another one holds it.
            StorageError: If the lock cannot be made.
        """
        name = f".{self.work.lock}"
        with self._locked(f"{name}.lock", _HOLD_WAIT_SECONDS, self._busy_sentence):
            holder = {self.work.noun: str(path.resolve())}
            files.write_json(self.work.shared_home / f"{name}.json", holder)
            yield

    @contextmanager
    def working(
        self,
        folder: AnyFolder,
        *,
        wait: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
        watcher: Callable[[Any], None] | None = None,
    ) -> Iterator[None]:
        """Let this process be the folder's worker during the block.

        One that does not get the slot has failed, and its status says why. Work that a
        cluster does takes no slot.

        Args:
            folder: The folder.
            wait: Wait in the queue while others have the slot; the status says so.
            should_stop: Asked while it waits, beside the file `stop` in the folder.
            watcher: Called with the status while it waits; its message is the place.

        Raises:
            RunError: If another worker holds the slot.
            StoppedError: If it was stopped while it waited; its status says so.
            StorageError: If the lock cannot be made.
        """
        with ExitStack() as stack:
            try:
                if not folder.needs_machine:
                    pass  # a cluster has a queue of its own
                elif wait:
                    self._enter_in_turn(folder, stack, should_stop, watcher)
                else:
                    stack.enter_context(self.held(folder.path))
            except RunError as error:
                if not self._holder_is(folder.path):
                    status: Any = folder.status
                    failed = replace(status, state="failed", message=str(error))
                    write_status(folder.path, failed)
                raise
            files.sweep(folder.path)
            write_process(folder.path)
            yield

    def going(self) -> Sequence[AnyFolder]:
        """Return who is at work or just starting, then those who wait, in their order.

        Their folders may lie anywhere, and belong to anybody: of those that are not
        `readable`, people may see how far they are and nothing else.
        """
        found = {one.path.resolve(): one for one in self.list()}
        if self.work.shared_home not in self.work.homes:  # of a visitor
            with rights.acting(rights.OWNER):
                found |= {one.path.resolve(): one for one in self.list()}
        elsewhere = [self._last_holder()]
        elsewhere += map(self._recorded, self.work.shared_home.glob(f".*.tmp/{_WAITS}"))
        for path in elsewhere:
            with suppress(RunError):
                if path is not None and path not in found:
                    found[path] = self.read(path)
        return sorted(
            (one for one in found.values() if one.active),
            key=lambda one: (
                one.state == "waiting",
                _waits_since(one.path),
                self._made(one.path),  # of those that began in one tick of the clock
            ),
        )

    def _made(self, path: Path) -> int:
        """Return when a worker's folder was made, in ns; its config is written once."""
        with suppress(OSError):
            return (path / self.work.config_file).stat().st_mtime_ns
        return 0

    def waiting(self) -> Sequence[AnyFolder]:
        """Return those that wait for the slot, the next one first."""
        return [one for one in self.going() if one.state == "waiting"]

    def queue_text(self, folder: AnyFolder) -> str:
        """Return what one that waits waits for: its place, and who has the machine."""
        first, line = self.active(), [one.path.resolve() for one in self.waiting()]
        path = folder.path.resolve()
        place = line.index(path) + 1 if path in line else 1
        text = "Next in the queue" if place == 1 else f"Number {place} in the queue"
        if first is None or first.state == "waiting":
            return f"{text}."
        return f"{text}, after {first.name} ({first.place_text})."

    def _enter_in_turn(
        self,
        folder: AnyFolder,
        stack: ExitStack,
        should_stop: Callable[[], bool],
        watcher: Callable[[Any], None] | None,
    ) -> None:
        """Enter the slot as soon as it is free and nobody has waited longer."""
        write_process(folder.path)
        if self._entered(folder, stack):
            return
        status: Any = replace(folder.status, state="waiting", message="")
        with (
            StatusReport(folder.path, status, watcher) as report,
            self._found_elsewhere(folder.path),
        ):
            while not self._entered(folder, stack):
                if report.stop_asked(should_stop):
                    report.end("stopped", self.work.too_early)
                    raise StoppedError("stopped while it waited.")
                if watcher is not None:
                    report.update(message=self.queue_text(folder))
                time.sleep(_TURN_SECONDS)

    @contextmanager
    def _found_elsewhere(self, path: Path) -> Iterator[None]:
        """Let others find one that waits where they do not look for folders."""
        home, path = self.work.shared_home, path.resolve()
        with ExitStack() as stack:
            if path.parent != home.resolve():
                scratch = stack.enter_context(files.scratch_folder(home))
                files.write_json(scratch / _WAITS, {self.work.noun: str(path)})
            yield

    def _entered(self, folder: AnyFolder, stack: ExitStack) -> bool:
        """Take the slot if it is this folder's turn, and return whether it is."""
        since = _waits_since(folder.path)
        if not self.is_free() or any(
            _waits_since(one.path) < since for one in self.waiting()
        ):
            return False
        with suppress(RunError):  # another one was faster
            stack.enter_context(self.held(folder.path))
            return True
        return False

    @contextmanager
    def launching(self) -> Iterator[None]:
        """Let one process or thread at a time decide whether a worker may start.

        Raises:
            RunError: If others take too long to decide.
            StorageError: If the lock cannot be made.
        """
        sentence = f"Another {self.work.name} is being started. Try again."
        with self._locked(_LAUNCH_LOCK, _LAUNCH_WAIT_SECONDS, lambda: sentence):
            yield

    def is_free(self) -> bool:
        """Return whether nobody is at work at this moment; asking makes no file.

        Raises:
            StorageError: If the lock cannot be tried.
        """
        path = self.work.shared_home / f".{self.work.lock}.lock"
        if not path.exists():
            return True
        lock = FileLock(path)
        try:
            lock.acquire(timeout=_PROBE_SECONDS, poll_interval=0.01)
        except Timeout:
            return False
        except OSError as error:
            raise files.storage_error(path.parent, error) from error
        lock.release()
        return True

    def is_held_by(self, path: Path) -> bool:
        """Return whether the worker of a folder holds the slot at this moment.

        Raises:
            StorageError: If the lock cannot be tried.
        """
        return self._holder_is(path) and not self.is_free()

    def active(self) -> AnyFolder | None:
        """Return what is going on or just starting, wherever its folder lies.

        Where nothing is yet, it is the one that waits and comes next.
        """
        path = self._last_holder()
        try:
            last = None if path is None else self.read(path)
        except RunError:
            last = None
        if last is not None and last.active and last.state != "waiting":
            return last
        return next(iter(self.going()), None)

    def require_free(self) -> None:
        """Refuse to start while a worker is at work.

        Raises:
            RunError: With its name and where it is.
        """
        active = self.active()
        busy = active is not None and active.needs_machine
        if busy or not self.is_free():
            raise RunError(self._sentence(active))

    def _busy_sentence(self) -> str:
        return self._sentence(self.active())

    def _sentence(self, active: AnyFolder | None) -> str:
        which = f": {active.name}, {active.place_text}" if active else ""
        return f"A {self.work.name} is already running{which}. Wait or stop it."

    def _last_holder(self) -> Path | None:
        """Return the folder of the worker that took the slot last, if it is known."""
        return self._recorded(self.work.shared_home / f".{self.work.lock}.json")

    def _recorded(self, record: Path) -> Path | None:
        """Return the folder that a record names."""
        path = (known_record(record, dict[str, PathText]) or {}).get(self.work.noun)
        return None if path is None else Path(path)

    def _holder_is(self, path: Path) -> bool:
        holder = self._last_holder()
        return holder is not None and os.path.realpath(holder) == os.path.realpath(path)

    @contextmanager
    def _locked(
        self, name: str, seconds: float, busy: Callable[[], str]
    ) -> Iterator[None]:
        home = self.work.shared_home
        try:
            home.mkdir(parents=True, exist_ok=True)
            lock = FileLock(home / name)
            lock.acquire(timeout=seconds)
        except Timeout as error:
            raise RunError(busy()) from error
        except OSError as error:
            raise files.storage_error(home, error) from error
        try:
            yield
        finally:
            lock.release()


def _waits_since(path: Path) -> float:
    """Return when the process of a worker's folder began; infinity without one."""
    record = read_process(path)
    return float("inf") if record is None else record.create_time


RUN_SLOT: Final[Slot[Run]] = Slot(RUN, read_run, list_runs)
JOB_SLOT: Final[Slot[Job]] = Slot(JOB, read_job, list_jobs)
SEARCH_SLOT: Final[Slot[Search]] = Slot(SEARCH, read_search, list_searches)


def slot_of(work: Work) -> Slot[Any]:
    """Return the slot of a kind of work."""
    slots: tuple[Slot[Any], ...] = (RUN_SLOT, JOB_SLOT, SEARCH_SLOT)
    return next(slot for slot in slots if slot.work is work)
