"""Warnings that a library gives about what is meant, left unsaid."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# `warnings.catch_warnings` changes the whole process; one thread at a time.
_LOCK = threading.Lock()


@contextmanager
def unsaid(message: str = "", category: type[Warning] = Warning) -> Iterator[None]:
    """Leave a warning unsaid while the block lasts; other threads wait for it to end.

    Args:
        message: Pattern of how its text begins; empty for any.
        category: Its class.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, category)
        yield
