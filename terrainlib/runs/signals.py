"""SIGTERM and Ctrl-C as a request to stop in order."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_requested_by_signals() -> Iterator[Callable[[], bool]]:
    """Take over SIGTERM and SIGINT while the block lasts.

    The first one asks for an end with the model saved; a second Ctrl-C interrupts at
    once. Only the main thread may call this.

    Yields:
        A function that says whether one of them has come.
    """
    asked = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, on_signal) for number in numbers]
    try:
        yield asked.is_set
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
