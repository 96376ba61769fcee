"""The files that a run learns from, known by their contents.

They are listed when the run begins. When it goes on, the same list is made again, and
whatever is another file by then is named: a training that silently went on with other
data would be neither the old one nor a new one.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from terrainlib import files
from terrainlib.data._parallel import ordered_map
from terrainlib.data.dataset import Dataset, Progress
from terrainlib.errors import RunError, StoppedError
from terrainlib.types import PathText, known_record

FILES_FILE: Final = "files.json"
_NAMED: Final = 5
_UNREADABLE: Final = "unreadable"
Manifest = Mapping[str, str]
_Digest = Annotated[str, Field(max_length=64)]


def list_files(
    dataset: Dataset,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, str]:
    """Return the SHA-256 of every file of the usable pairs, by its name in the folder.

    Args:
        dataset: The data set.
        progress: Called with the numbers of files read and in all.
        should_stop: Asked between files.

    Raises:
        StoppedError: If `should_stop` said so.
    """
    kinds = [(pair.image, pair.mask, pair.height) for pair in dataset.pairs]
    paths = sorted(path for pair in kinds for path in pair if path is not None)
    contents = list(
        ordered_map(_sha256, paths, progress=progress, should_stop=should_stop)
    )
    if len(contents) < len(paths):
        raise StoppedError("stopped while the files were read, as asked.")
    names = [path.relative_to(dataset.folder).as_posix() for path in paths]
    return dict(zip(names, contents, strict=True))


def store_files(run_dir: Path, listed: Manifest) -> None:
    """Write the list into a run folder.

    Raises:
        StorageError: If it cannot be written.
    """
    files.write_json(run_dir / FILES_FILE, dict(listed))


def stored_files(run_dir: Path) -> Manifest | None:
    """Return the list of a run folder; None where it has none that can be read."""
    return known_record(
        run_dir / FILES_FILE,
        dict[PathText, _Digest],
        limit_bytes=files.MAX_JSON_BYTES,
    )


def require_same(before: Manifest, now: Manifest, folder: Path, *, name: str) -> None:
    """Refuse to go on with other files than a run began with.

    Args:
        before: The list of the run.
        now: The list as it is now.
        folder: The data set's folder.
        name: Name of the run.

    Raises:
        RunError: With the names of the first files that differ.
    """
    gone = [
        f"{key} is {'not usable any more' if (folder / key).exists() else 'gone'}"
        for key in before
        if key not in now
    ]
    other = [
        f"{key} has changed" for key in before if key in now and now[key] != before[key]
    ]
    new = [f"{key} is new" for key in now if key not in before]
    differences = [*gone, *other, *new]
    if not differences:
        return
    count, rest = len(differences), len(differences) - _NAMED
    listed = ", ".join(differences[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    files_are = "1 file of the data set is" if count == 1 else f"{count} files are"
    raise RunError(
        f"{files_are} not what this run began with: {listed}. Put them back, or start "
        "a new run.",
        file=name,
    )


def _sha256(path: Path) -> str:
    """Return the checksum of a file's contents."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return _UNREADABLE
