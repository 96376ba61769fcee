"""What the buttons of the models page do, and the question before a deletion."""

import tempfile
from pathlib import Path

from terrainlib import files
from terrainlib.errors import ModelFileError
from terrainlib.model.modelfile import (
    HDF5_FILE,
    KERAS_FILE,
    install_model,
    load_model,
    save_model,
)
from terrainlib.runs.models import ModelEntry, find_model, set_default
from terrainlib.ui.notices import ask, leave_notice, noticed
from terrainlib.ui.text import md_escape


def make_default(model_id: str) -> None:
    """Let the pages begin with this model."""
    with noticed("The default was not changed"):
        set_default(model_id)
        title = md_escape(find_model(model_id).title)
        leave_notice(f"The app now begins with {title}.")


def add_model(data: bytes, name: str) -> None:
    """Check an uploaded file and put it among the models; change nothing if refused."""
    with noticed("This file was not added"):
        path = install_model(data, name)
        leave_notice(f"{md_escape(path.stem)} was added.")


def delete_model(model_id: str) -> None:
    """Delete a model's files; never an embedded one."""
    with noticed("The model was not deleted"):
        entry = find_model(model_id)
        if entry.kind == "embedded":
            raise ModelFileError("An embedded model is part of the app and stays.")
        doomed = [entry.path]
        if entry.kind == "run":
            doomed.append(entry.path.with_name(HDF5_FILE))
        for path in doomed:
            _unlink(path)
        leave_notice(f"{md_escape(entry.title)} was deleted.")


def keras_bytes(entry: ModelEntry) -> bytes:
    """Return the model as a `.keras` file: the one on disk, or made on demand.

    Raises:
        ModelFileError: If the file cannot be read any more.
    """
    if entry.path.suffix == ".keras":
        return _read(entry.path)
    return _converted(entry, KERAS_FILE)


def hdf5_bytes(entry: ModelEntry) -> bytes:
    """Return the model as `TerrainMaskGenerator.h5`: from disk, or made on demand.

    Raises:
        ModelFileError: If the file cannot be read any more.
    """
    if entry.path.suffix != ".keras":
        return _read(entry.path)
    beside = entry.path.with_name(HDF5_FILE)
    if entry.kind == "run" and beside.is_file():
        return _read(beside)
    return _converted(entry, HDF5_FILE)


def ask_delete(entry: ModelEntry) -> None:
    """Ask before a model is deleted."""
    stays = " The curves of its training stay." if entry.kind == "run" else ""
    model_id = entry.id
    ask(
        "Delete this model?",
        f"**{md_escape(entry.title)}** is deleted from the disk.{stays} This cannot "
        "be undone.",
        "Delete",
        lambda: delete_model(model_id),
        key="models_question",
    )


def _converted(entry: ModelEntry, name: str) -> bytes:
    """Return a model saved anew in both formats: the file called `name`."""
    model = load_model(entry.path)
    with tempfile.TemporaryDirectory() as folder:
        save_model(model.network, model.record, Path(folder))
        return (Path(folder) / name).read_bytes()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError("cannot be read any more.", file=path.name) from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise files.storage_error(path, error) from error
