"""Checkpoints: all that the next step of a training depends on, in one file.

A checkpoint is an uncompressed `.npz` (a zip with a checksum for each array, no
pickles): every variable in order, and one JSON text. It is written atomically and read
back before an older one goes. The last two are kept.
"""

import io
import json
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.errors import StorageError, TrainingError

KEPT_CHECKPOINTS = 2
BEST_NAME = "best.npz"
_FACTS = "facts"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint as read from its file.

    Attributes:
        arrays: The variables' values in their order.
        facts: What else there is to know: epoch, plan, best value, history, hashes.
    """

    arrays: tuple[NDArray[Any], ...]
    facts: dict[str, Any]


def save_checkpoint(
    folder: Path, epoch: int, arrays: Sequence[Any], facts: dict[str, Any]
) -> Path:
    """Write the checkpoint of an epoch and drop those that are no longer needed.

    Raises:
        StorageError: If it cannot be written or does not read back; the older
            checkpoints are then all still there.
    """
    path = folder / f"epoch-{epoch:05d}.npz"
    write(path, arrays, facts)
    if read(path) is None:
        raise StorageError(
            "does not read back; the disk may be failing.", file=path.name
        )
    for old in epochs_saved(folder)[:-KEPT_CHECKPOINTS]:
        old.unlink(missing_ok=True)
    return path


def save_best(folder: Path, arrays: Sequence[Any], facts: dict[str, Any]) -> None:
    """Write the best weights so far, in place of those before."""
    write(folder / BEST_NAME, arrays, facts)


def load_latest(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, or None where there is none.

    Raises:
        TrainingError: If there are checkpoints, and all of them are damaged.
    """
    paths = epochs_saved(folder)
    for path in reversed(paths):
        if (checkpoint := read(path)) is not None:
            return checkpoint
        _logger.warning("%s is damaged; the one before it is used.", path.name)
    if paths:
        raise TrainingError(
            "all checkpoints of this run are damaged. Start a new run.",
            file=folder.parent.name,
        )
    return None


def load_best(folder: Path) -> Checkpoint | None:
    """Return the best weights so far, or None where there are none that are whole."""
    return read(folder / BEST_NAME)


def epochs_saved(folder: Path) -> list[Path]:
    """Return the checkpoint files of epochs, oldest first."""
    return sorted(folder.glob("epoch-*.npz"))


def write(path: Path, arrays: Sequence[Any], facts: dict[str, Any]) -> None:
    """Write arrays and facts to one file, atomically.

    Raises:
        StorageError: If there is no room or the disk fails.
    """
    named = {f"{i:04d}": np.asarray(array) for i, array in enumerate(arrays)}
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **named, **{_FACTS: text})
    files.require_free_space(path.parent, 2 * buffer.getbuffer().nbytes)
    files.write_bytes(path, buffer.getvalue())


def read(path: Path) -> Checkpoint | None:
    """Return the checkpoint in `path`, or None where it is missing or damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            names = sorted(name for name in stored.files if name != _FACTS)
            # a training may go wrong: then its loss is no number
            facts = files.parse_json(stored[_FACTS].tobytes(), finite=False)
            arrays = tuple(stored[name] for name in names)
            return Checkpoint(arrays, facts) if isinstance(facts, dict) else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
