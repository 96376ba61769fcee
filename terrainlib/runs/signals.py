"""SIGTERM and Ctrl-C as a request to stop in order."""

import signal
import threading
from collections.abc import Callable
from types import FrameType


def stop_requested_by_signals() -> Callable[[], bool]:
    """Take over SIGTERM and SIGINT; return whether one of them has come.

    The first one asks for an end with the model saved. A second SIGINT interrupts at
    once. Only the main thread may call this.
    """
    asked = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return asked.is_set
