"""Work on many files at once, in order, with progress and a way to stop.

Threads suffice: decoding and resizing release Python's lock.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from terrainlib.rights import bound

_T = TypeVar("_T")
_R = TypeVar("_R")

MAX_WORKERS = 16
_WAITING_PER_WORKER = 4  # bounds the memory held by results that wait for their turn


def ordered_map(
    function: Callable[[_T], _R],
    items: Sequence[_T],
    *,
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    workers: int | None = None,
    ahead: int | None = None,
) -> Iterator[_R]:
    """Yield `function(item)` of every item, in the order of the items.

    What the function raises comes out in its turn. An iterator that is given up before
    its end takes its threads with it.

    Args:
        function: Called in threads.
        items: What to work on.
        progress: Called in the caller's thread with the numbers done and in all.
        should_stop: Asked before each result; the iterator ends early when it says so.
        workers: Threads; None takes one a core.
        ahead: Results that are made or wait for their turn; None is four a thread.
    """
    function = bound(function)
    workers = workers or min(MAX_WORKERS, os.cpu_count() or 1)
    ahead = ahead or workers * _WAITING_PER_WORKER
    waiting: deque[Future[_R]] = deque()
    source = iter(items)
    done = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="terrain-data") as pool:
        try:
            while True:
                while len(waiting) < ahead:
                    try:
                        waiting.append(pool.submit(function, next(source)))
                    except StopIteration:
                        break
                if not waiting or (should_stop is not None and should_stop()):
                    return
                yield waiting.popleft().result()
                done += 1
                if progress is not None:
                    progress(done, len(items))
        finally:
            for future in waiting:
                future.cancel()
