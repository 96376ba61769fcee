"""Work beside the main thread, in bounded memory: reading ahead, finishing behind."""

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, Self, TypeVar

from terrainlib.rights import bound

T = TypeVar("T")

_END: Final = object()
_PATIENCE_S: Final = 0.1  # how often a waiting thread looks whether it is still wanted


class _Thread(ABC):
    """A thread with a bounded queue, whose failure is raised where it is used."""

    def __init__(self, size: int, name: str) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(size)
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        work = bound(self._guarded)
        self._thread = threading.Thread(target=work, name=name, daemon=True)
        self._thread.start()

    @abstractmethod
    def _work(self) -> None:
        """Do what the thread is there for."""

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised again by its user
            self._failure = error
        finally:
            self._ended.set()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure


class Reader(_Thread, Generic[T]):
    """An iterable that a thread goes through ahead of its reader.

    Args:
        items: What to go through; used by the thread only.
        size: How many items may wait.
    """

    def __init__(self, items: Iterable[T], size: int) -> None:
        self._items = items
        self._closed = threading.Event()
        super().__init__(size, "read ahead")

    def __iter__(self) -> Iterator[T]:
        while (item := self._queue.get()) is not _END:
            yield item
        self._raise()

    def close(self) -> None:
        """End the thread and wait for it, whatever remains."""
        self._closed.set()
        while not self._queue.empty():
            self._queue.get()
        self._thread.join()

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:
            self._failure = error  # before the reader is told that this is the end
            raise
        finally:
            self._put(_END)

    def _put(self, item: Any) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=_PATIENCE_S)
            except queue.Full:
                continue
            return not self._closed.is_set()
        return False


class Writer(_Thread, Generic[T]):
    """A function that a thread applies to each item behind its giver.

    Leaving the `with` block waits until all items are done, after an error as well.

    Args:
        function: Called with each item, by the thread only.
        size: How many items may wait.
    """

    def __init__(self, function: Callable[[T], None], size: int) -> None:
        self._function = function
        super().__init__(size, "finish behind")

    def put(self, item: T) -> None:
        """Give an item; waits while too many wait.

        Raises:
            BaseException: What the function raised for an earlier item.
        """
        if not self._put(item):
            self._raise()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._put(_END)
        self._thread.join()
        if kind is None:
            self._raise()

    def _put(self, item: Any) -> bool:
        while not self._ended.is_set():
            try:
                self._queue.put(item, timeout=_PATIENCE_S)
            except queue.Full:
                continue
            return True
        return False

    def _work(self) -> None:
        while (item := self._queue.get()) is not _END:
            self._function(item)
