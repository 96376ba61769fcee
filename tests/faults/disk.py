"""A disk that fails at a chosen moment, in the manner of SQLite's tests."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import pytest

WRITES: Final = ((Path, "write_bytes"), (os, "fsync"), (os, "replace"))
READS: Final = ((Path, "read_bytes"), (Path, "read_text"), (os, "read"), (os, "open"))
Operations = tuple[tuple[Any, str], ...]


class FailingDisk:
    """Counts what is asked of the disk, and fails from a chosen operation on.

    Only the thread that made it is counted, so that heartbeats do not shift the count.

    Args:
        first: Number of the first operation that fails, from 1; 0 lets all pass.
        many: How many fail from then on; None for all.
        number: The error.
        operations: What is counted and fails: `WRITES` or `READS`.
    """

    def __init__(
        self,
        first: int = 0,
        *,
        many: int | None = None,
        number: int = errno.ENOSPC,
        operations: Operations = WRITES,
    ) -> None:
        self.count = 0
        self.failed = 0
        self._first = first
        self._many = many
        self._number = number
        self._operations = operations
        self._thread = threading.get_ident()
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> Self:
        for owner, name in self._operations:
            self._patch.setattr(owner, name, self._guarded(getattr(owner, name)))
        return self

    def __exit__(self, *_details: object) -> None:
        self._patch.undo()

    def _guarded(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **options: Any) -> Any:
            if threading.get_ident() == self._thread:
                self._look()
            return operation(*args, **options)

        return guarded

    def _look(self) -> None:
        self.count += 1
        if self._first == 0 or self.count < self._first:
            return
        if self._many is not None and self.count >= self._first + self._many:
            return
        self.failed += 1
        self.fail()

    def fail(self) -> None:
        """Do what a failing operation does."""
        raise OSError(self._number, os.strerror(self._number))
