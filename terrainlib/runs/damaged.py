"""Folders of workers: which there are, which cannot be read, and deleting them.

A damaged folder is listed beside the others with its reason, so that whoever sees it
can delete it; nothing of it is needed for that but its name.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from terrainlib import files
from terrainlib.errors import RunError
from terrainlib.runs.status import ACTIVE, STATUS_FILE, Reported, real_state


@dataclass(frozen=True, slots=True)
class Damaged:
    """A worker's folder whose configuration cannot be read.

    Attributes:
        path: The folder.
        reason: What is wrong with it, in one sentence.
        active: Whether its worker is at it all the same.
    """

    path: Path
    reason: str
    active: bool


def worker_folders(home: Path, config_file: str) -> Iterator[Path]:
    """Yield the folders directly in `home` that are a worker's, readable or not.

    Args:
        home: Where to look; it may be missing.
        config_file: Name of the file that says what the worker was asked to do.
    """
    for path in home.iterdir() if home.is_dir() else ():
        if not path.name.startswith(".") and _is_worker_folder(path, config_file):
            yield path


def damaged_folders(
    home: Path,
    config_file: str,
    read_config: Callable[[Path], object],
    kind: type[Reported],
) -> list[Damaged]:
    """Return the workers' folders that cannot be read, by name.

    Args:
        home: Where to look; it may be missing.
        config_file: Name of the file that says what the worker was asked to do.
        read_config: Reads it; a `RunError` says why it cannot be.
        kind: The form of the worker's status.
    """
    found = []
    for path in worker_folders(home, config_file):
        try:
            read_config(path)
        except RunError as error:
            if files.exists(path):  # else it was deleted meanwhile
                active = real_state(path, kind)[1] in ACTIVE
                found.append(Damaged(path, error.message, active))
    return sorted(found, key=lambda entry: entry.path.name)


def require_deletable(
    path: Path, home: Path, config_file: str, what: str, *, active: bool
) -> None:
    """Refuse to delete what is not a worker's folder, in its place, and at rest.

    Args:
        path: The folder.
        home: Where such folders lie.
        config_file: Name of the file that says what the worker was asked to do.
        what: What lies there, such as `runs`.
        active: Whether its worker is at it.

    Raises:
        RunError: With the reason.
    """
    if not os.path.lexists(path):
        raise RunError("does not exist. Check the path.", file=path.name)
    if path.is_symlink() or path.resolve().parent != home.resolve():
        raise RunError(
            f"lies outside the folder of the {what}. Delete it by hand.", file=path.name
        )
    if not _is_worker_folder(path, config_file):
        raise RunError(
            f"is none of the {what} (its folder has a {config_file}). Delete it by "
            "hand.",
            file=path.name,
        )
    if active:
        raise RunError(
            "is still running. Stop it before you delete it.", file=path.name
        )


def _is_worker_folder(path: Path, config_file: str) -> bool:
    """Whether a folder holds what a worker's does, whatever became of it."""
    marks = (config_file, STATUS_FILE)
    return path.is_dir() and any(os.path.lexists(path / name) for name in marks)
