"""Starting worker processes, and ending those that do not listen.

A worker is put into a session of its own: it outlives the page, the tab and the server
that started it. Its output goes to the log in its folder.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

import terrainlib
from terrainlib import files
from terrainlib.errors import RunError, StorageError
from terrainlib.runs.process import (
    find_process,
    note_exit,
    read_process,
    write_process,
)

_KILL_WAIT_SECONDS = 10.0


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this package."""
    return [sys.executable, "-m", module, *arguments]


def child_environment() -> dict[str, str]:
    """Return the environment in which a child process finds this package and home."""
    package_root = str(Path(terrainlib.__file__).resolve().parents[1])
    search = [package_root, os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, search)),
        "PYTHONUNBUFFERED": "1",
        "TERRAINLIB_HOME": str(files.home_dir()),
    }


def spawn_worker(path: Path, command: Sequence[str], log_name: str) -> None:
    """Start the worker of a folder and note its process there.

    Args:
        path: The worker's folder.
        command: What to run.
        log_name: File in the folder that takes what it prints.

    Raises:
        StorageError: If the folder cannot be written.
    """
    with (path / log_name).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=child_environment(),
            start_new_session=True,
        )
    with suppress(psutil.NoSuchProcess):  # already over; status and log say why
        write_process(path, process.pid)
    threading.Thread(target=_reap, args=(path, process), daemon=True).start()


def kill_worker(path: Path) -> None:
    """End the worker of a folder at once, if there is one.

    Raises:
        RunError: If its process does not end.
    """
    process = find_process(read_process(path))
    if process is None:
        return
    try:
        process.kill()  # checks again that the id is not another program's by now
        process.wait(_KILL_WAIT_SECONDS)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired as error:
        raise RunError(
            f"process {process.pid} does not end. End it by hand.", file=path.name
        ) from error


def _reap(path: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait for a worker, so that it leaves no zombie, and note how it ended."""
    code = process.wait()
    if code:
        with suppress(StorageError):  # on a full disk nobody will know why
            note_exit(path, process.pid, code)
