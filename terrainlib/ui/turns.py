"""Work of the pages that takes much memory: one at a time, in the order of asking.

However many people visit, memory is that of one prediction and of one picture that is
decoded. Who waits sees how many are before.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from terrainlib.ui.memory import give_memory_back, leave_to_disk

_LOOK_SECONDS: Final = 1.0  # how often one that waits tells its place
_places: Final[ContextVar[frozenset[object]]] = ContextVar(
    "places", default=frozenset()
)  # in any queue, of the work that runs here


class Turns:
    """A queue: the one that has waited longest is at work, the others wait.

    Args:
        after: Called when a turn has ended.
    """

    def __init__(self, after: Callable[[], object] = lambda: None) -> None:
        self._after = after
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def turn(
        self, tell: Callable[[int], object] | None = None
    ) -> Iterator[Callable[[], None]]:
        """Wait, and be the one at work during the block.

        A part of the work that asks for a turn too does not wait: it has it already.

        Args:
            tell: Called with the number of those before, again and again while there
                are any; what it raises ends the waiting.

        Yields:
            What a long work calls at times, to let those go first who wait.
        """
        place = object()
        with self._changed:
            inside = bool(self._queue) and self._queue[0] in _places.get()
        if inside:
            yield lambda: None
            return

        def give_way() -> None:
            with self._changed:
                if len(self._queue) == 1:
                    return
                self._queue.remove(place)
                self._changed.notify_all()
            self._enter(place, tell)

        token = _places.set(_places.get() | {place})
        try:
            self._enter(place, tell)
            yield give_way
        finally:
            _places.reset(token)
            with self._changed, suppress(ValueError):
                self._queue.remove(place)
                self._changed.notify_all()
            self._after()

    def _enter(self, place: object, tell: Callable[[int], object] | None) -> None:
        with self._changed:
            self._queue.append(place)
        while True:
            with self._changed:
                before = self._queue.index(place)
            if before == 0:
                return
            if tell is not None:
                tell(before)
            with self._changed:
                if self._queue[0] is not place:
                    self._changed.wait(_LOOK_SECONDS)


PREDICTIONS: Final = Turns(give_memory_back)  # and what is made for downloads
PICTURES: Final = Turns(leave_to_disk)  # what is decoded, and predicted in small


def made_in_turn(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """Return what makes a file when it is its turn."""

    def run() -> bytes:
        with PREDICTIONS.turn():
            return make()

    return run


def waiting_text(before: int) -> str:
    """Return what somebody reads who waits.

    Example:
        >>> waiting_text(2)
        'Waiting for other people’s masks: 2 before you'
    """
    return f"Waiting for other people’s masks: {before} before you"


@contextmanager
def in_turn(turns: Turns = PREDICTIONS) -> Iterator[Callable[[], None]]:
    """Wait in a queue and show the place in it, where one waits."""
    lines: list[DeltaGenerator] = []

    def tell(before: int) -> None:
        if not lines:
            lines.append(st.empty())
        lines[0].caption(f":material/hourglass_top: {waiting_text(before)}")

    with turns.turn(tell) as give_way:
        for line in lines:
            line.empty()
        yield give_way
