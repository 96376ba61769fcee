"""The app's memory: large results lie on the disk, and what is freed goes back."""

import ctypes
import mmap
import tempfile
import threading
import weakref
from contextlib import suppress
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrainlib import files

_MMAP_THRESHOLD: Final = -3  # names of glibc's <malloc.h>
_ARENA_MAX: Final = -8
_LARGE_BYTES: Final = 2**20
_Kind = TypeVar("_Kind", bound=np.generic)
_MAPPED: Final[weakref.WeakSet[mmap.mmap]] = weakref.WeakSet()
_LOCK: Final = threading.Lock()  # two queues put in and go through it


def on_disk(array: NDArray[_Kind]) -> NDArray[_Kind]:
    """Return an array, read only, whose values lie in a file that nobody sees.

    The system reads them when they are needed; in memory they would stay as long as
    anybody looks at what was made of them.
    """
    if array.nbytes < _LARGE_BYTES:
        return array
    files.cache_dir().mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=files.cache_dir()) as file:
            array.tofile(file)
            file.flush()
            mapped = mmap.mmap(file.fileno(), array.nbytes, access=mmap.ACCESS_READ)
    except OSError:  # no room: it stays where it is
        return array
    with _LOCK:
        _MAPPED.add(mapped)
    return np.frombuffer(mapped, array.dtype).reshape(array.shape)


def leave_to_disk() -> None:
    """Give back the memory that values `on_disk` have been read into since."""
    if not hasattr(mmap, "MADV_DONTNEED"):  # on Windows
        return
    with _LOCK:
        now = list(_MAPPED)
    for mapped in now:
        mapped.madvise(mmap.MADV_DONTNEED)


def keep_memory_small() -> None:
    """Let glibc give large blocks back at once, and keep two heaps for all threads."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_ARENA_MAX, 2)


def give_memory_back() -> None:
    """Return freed memory to the system, where its C library (glibc) would keep it."""
    leave_to_disk()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
