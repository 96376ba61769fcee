"""How the results of a prediction leave: into a folder, or as one zip.

A folder that somebody named holds files of theirs. None of these is ever replaced.
"""

import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from terrainlib import files
from terrainlib.errors import InputError, RunError
from terrainlib.runs.folder import Job, read_job
from terrainlib.runs.jobs.config import RESULTS_FILE
from terrainlib.runs.status import JOB

ZIP_FILE: Final = "results.zip"
# Made of compressed data already.
_PACKED: Final = (".png", ".tif", ".zip")


def require_untaken(names: Iterable[str], folder: Path) -> None:
    """Refuse names that something in a folder already has.

    Raises:
        InputError: With the first of them.
    """
    for name in names:
        if os.path.lexists(folder / name):
            raise _taken(folder / name)


def deliver(paths: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """Move finished files into a folder on the same disk, all of them or none.

    Args:
        paths: The files, of which none is there under its name yet.
        folder: Where they go.

    Returns:
        Where they are now, in the same order.

    Raises:
        InputError: If a name is taken; nothing is replaced.
        StorageError: If the folder cannot be written.
    """
    require_untaken((path.name for path in paths), folder)
    given: list[Path] = []
    try:
        for path in paths:
            _give_name(path, folder / path.name)
            given.append(folder / path.name)
    except OSError as error:
        for target in given:
            target.unlink(missing_ok=True)
        taken = isinstance(error, FileExistsError)
        target = folder / paths[len(given)].name
        raise (_taken(target) if taken else files.storage_error(target, error)) from (
            error
        )
    for path in paths:
        path.unlink(missing_ok=True)
    files.sync_folder(folder)
    return tuple(given)


def hand_over(paths: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """Move finished files into a folder on the same disk, in the place of older ones.

    Returns:
        Where they are now, in the same order.

    Raises:
        StorageError: If the folder cannot be written.
    """
    for path in paths:
        try:
            path.replace(folder / path.name)
        except OSError as error:
            raise files.storage_error(folder / path.name, error) from error
    files.sync_folder(folder)
    return tuple(folder / path.name for path in paths)


def zip_results(path: Path) -> Path:
    """Return a zip, in a prediction's own folder, of all its finished files.

    It is written once, and again only if there are more results by now.

    Raises:
        RunError: If there are no results yet, or one of them is no longer there.
        StorageError: If the disk is full, read-only or failing.
    """
    job = read_job(path)
    target = job.path / ZIP_FILE
    finished = job.files
    if not finished:
        raise RunError("has no results yet.", file=job.name)
    try:
        sizes = [path.stat().st_size for path in finished]
        if _is_current(target, job):
            return target
        files.require_free_space(job.path, sum(sizes))
        with (
            files.atomic_path(target) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
        ):
            for result in finished:
                packed = result.suffix.lower() in _PACKED
                kind = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
                archive.write(result, result.name, kind)
    except FileNotFoundError as error:
        raise _vanished(job) from error
    return target


def _is_current(target: Path, job: Job) -> bool:
    try:
        made = target.stat().st_mtime_ns
    except FileNotFoundError:
        return False
    last = [job.path / JOB.config_file, job.path / RESULTS_FILE, *job.files]
    return all(path.stat().st_mtime_ns < made for path in last)


def _vanished(job: Job) -> RunError:
    name = next((path.name for path in job.files if not path.exists()), "a result")
    return RunError(
        "is no longer where it was written. Put it back, or predict the image again.",
        file=name,
    )


def _give_name(path: Path, target: Path) -> None:
    """Give a file a second name, which must be free; the first one may go as well."""
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        if os.path.lexists(target):
            raise FileExistsError from None
        path.rename(target)


def _taken(path: Path) -> InputError:
    return InputError(
        f"exists in {path.parent.name} already, and nothing is overwritten. Move it "
        "away, or choose another folder.",
        file=path.name,
    )
