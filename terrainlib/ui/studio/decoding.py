"""A stranger's file, decoded once in a process of its own before this one does.

That process is kept for the next file. It has bounds of memory and time: a file that
breaks them, or the decoder, is refused. What else is wrong is told where it is read.
"""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from terrainlib import rights
from terrainlib.data.scene import list_bands, open_scene
from terrainlib.errors import ImageError, TerrainError

LIMIT_MB: Final = 1500
LIMIT_SECONDS: Final = 20  # of the processor
_PATIENCE_S: Final = 120.0  # of the clock, on a busy machine
_KEPT_MB: Final = 300  # a process that has grown beyond is not kept
_OVERVIEW_PX: Final = 1024
_LOCK: Final = threading.Lock()
_KEPT: Final[list["subprocess.Popen[str]"]] = []


def check_cost(path: Path, name: str) -> None:
    """Refuse a file that takes too much memory or time to decode.

    Args:
        path: The file.
        name: Its name for the message.

    Raises:
        ImageError: If it does.
    """
    with _LOCK:
        if _asked(path):
            return
    raise ImageError(
        f"it takes more than {LIMIT_MB} MB of memory or {LIMIT_SECONDS} s to decode, "
        "which is the limit for uploads. Crop it, or save it again in another format.",
        file=name,
    )


def start_ahead() -> None:
    """Start the process, so that it is there when a file comes."""
    with _LOCK:
        _process()


def _asked(path: Path) -> bool:
    """Return whether the process decodes a file and is alive afterwards."""
    process = _process()
    impatient = threading.Timer(_PATIENCE_S, process.kill)
    impatient.start()
    answer = ""
    with suppress(OSError):
        print(json.dumps(str(path)), file=process.stdin, flush=True)
        answer = process.stdout.readline() if process.stdout else ""
    impatient.cancel()
    if answer != "next\n":
        process.kill()
        with suppress(OSError):  # what it has not read cannot be flushed
            process.communicate()
        _KEPT.clear()
    return answer in ("next\n", "last\n")


def _process() -> "subprocess.Popen[str]":
    if _KEPT and _KEPT[0].poll() is not None:
        _KEPT.clear()
    if not _KEPT:
        limits = (str(LIMIT_MB), str(LIMIT_SECONDS))
        _KEPT.append(
            subprocess.Popen(
                (sys.executable, "-m", "terrainlib.ui.studio.decoding", *limits),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=Path(__file__).parents[3],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
        )
    return _KEPT[0]


def _answer_all(limit_mb: int, limit_seconds: int) -> None:
    """Decode the files that are asked about, until nobody asks any more."""
    rights.work_for(rights.OWNER)  # the app has held each path against the rights
    for line in sys.stdin:
        _limit(limit_mb, limit_seconds)
        try:
            _decode(Path(json.loads(line)))
        except MemoryError:
            return
        large = _taken_mb() > _KEPT_MB
        sys.stdout.write("last\n" if large else "next\n")
        sys.stdout.flush()
        if large:
            return


def _decode(path: Path) -> None:
    with suppress(TerrainError):
        list_bands(path)
        with open_scene(path) as scene:
            scene.overview(_OVERVIEW_PX)


def _limit(megabytes: int, seconds: int) -> None:
    """Bound what this process may take until the next file."""
    with suppress(ImportError):  # not on Windows
        import resource

        endless = resource.RLIM_INFINITY
        until = int(time.process_time()) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (until, endless))
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 1_000_000, endless))


def _taken_mb() -> float:
    """Return what this process holds; its peak would begin with the app's own."""
    return psutil.Process().memory_info().rss / 1e6


if __name__ == "__main__":
    _answer_all(int(sys.argv[1]), int(sys.argv[2]))
