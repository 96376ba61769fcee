"""The search for shared ground, in a thread of the server: it outlives page and tab.

Sessions that look at the same data set see the same search, and one search has the
machine at a time. What is found lies in the cache on the disk; nothing is lost when the
server ends.
"""

import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import streamlit as st

from terrainlib import files
from terrainlib.data.dataset import Dataset
from terrainlib.data.overlaps import Overlaps, find_overlaps
from terrainlib.errors import StoppedError, TerrainError

KEPT_SEARCHES: Final = 32
_NICENESS: Final = 5
_TURN_SECONDS: Final = 0.2


@dataclass(slots=True)
class Search:
    """A search that goes on, or how it ended.

    Attributes:
        share: How much of it is done, 0 to 1.
        waiting: Whether another search has the machine.
        found: What it found.
        error: Why it found nothing, if it failed.
        stopping: Set to end it.
        ended: Set when it is over.
    """

    share: float = 0.0
    waiting: bool = True
    found: Overlaps | None = None
    error: TerrainError | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def running(self) -> bool:
        """Whether it goes on or waits for its turn."""
        return not self.ended.is_set()


@dataclass(slots=True)
class _Searches:
    """The searches of this server, by data set."""

    by_key: dict[str, Search] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)
    turn: threading.Lock = field(default_factory=threading.Lock)


def search_of(dataset: Dataset) -> Search | None:
    """Return the search of a data set that goes on or ended last, if there is one."""
    return _searches().by_key.get(_key(dataset))


def start_search(dataset: Dataset) -> Search:
    """Start the search of a data set, or return the one that goes on."""
    searches = _searches()
    with searches.guard:
        known = searches.by_key.get(_key(dataset))
        if known is not None and known.running:
            return known
        search = Search()
        searches.by_key.pop(_key(dataset), None)
        searches.by_key[_key(dataset)] = search
        over = [key for key, one in searches.by_key.items() if not one.running]
        for key in over[: max(0, len(searches.by_key) - KEPT_SEARCHES)]:
            del searches.by_key[key]
    threading.Thread(
        target=_work,
        args=(search, dataset, searches.turn),
        name="shared-ground",
        daemon=True,
    ).start()
    return search


def _work(search: Search, dataset: Dataset, turn: threading.Lock) -> None:
    """Wait for the turn and search; the body of the thread."""

    def show(done: int, total: int) -> None:
        search.share = done / max(total, 1)

    _step_back()
    try:
        while not turn.acquire(timeout=_TURN_SECONDS):
            if search.stopping.is_set():
                return
        try:
            search.waiting = False
            should_stop = search.stopping.is_set
            search.found = find_overlaps(
                dataset, progress=show, should_stop=should_stop
            )
        finally:
            turn.release()
    except StoppedError:
        pass
    except TerrainError as error:
        search.error = error
    finally:
        search.ended.set()


def _step_back() -> None:
    """Let the pages go before this thread and those it starts, where that is known."""
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _key(dataset: Dataset) -> str:
    return f"{files.cache_dir()}|{dataset.folder}|{dataset.fingerprint}"


@st.cache_resource(show_spinner=False)
def _searches() -> _Searches:
    return _Searches()
