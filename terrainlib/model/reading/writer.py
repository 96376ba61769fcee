"""Saving a model: `model.keras` and `TerrainMaskGenerator.h5`, whole or not at all.

Both hold the record and open in plain Keras. HDF5 is made in memory, because a disk
that fills up while HDF5 writes to it can bring the whole process down.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import h5py
import numpy as np

from terrainlib import files
from terrainlib.data.palette import Classes, require_distinct
from terrainlib.errors import ModelFileError, ignored_warnings
from terrainlib.model.reading.archive import (
    MAX_RECORD_BYTES,
    METADATA,
    RECORD_ATTRIBUTE,
    RECORD_KEY,
    opened,
    sentences,
)
from terrainlib.model.reading.hdf5 import HDF5_GROUP, checksum, weights_of
from terrainlib.model.reading.layers import graph_of
from terrainlib.model.record import ModelRecord, class_list
from terrainlib.places import require_changeable

KERAS_FILE: Final = "model.keras"
HDF5_FILE: Final = "TerrainMaskGenerator.h5"
CHECKSUM_KEY: Final = "weights_sha256"
_SCORES: Final = ("scores", "pixel_classifier", "yardstick")  # last: its old name


def save_model(network: Any, record: ModelRecord, folder: Path) -> tuple[Path, Path]:
    """Write both files of a model into a folder.

    Args:
        network: The `keras.Model`; neither its optimizer nor its losses are saved.
        record: What the model says about itself.
        folder: Where to; it is made where it is missing.

    Returns:
        Paths of `model.keras` and `TerrainMaskGenerator.h5`.

    Raises:
        ModelFileError: If the network has layers that a model file may not have, or the
            record is too large.
        StorageError: If the disk is full, read-only or failing; old files are intact.
    """
    import keras

    # The same layers without what a training compiled into the network.
    plain = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    graph_of(plain)
    folder = Path(folder)
    text = _record_text(plain, record)
    size = 4 * sum(int(np.prod(weight.shape)) for weight in plain.weights)
    files.require_free_space(folder, 6 * size)
    hdf5 = _hdf5_bytes(plain, text)
    archive = _keras_bytes(plain, text, folder)
    paths = (folder / KERAS_FILE, folder / HDF5_FILE)
    files.write_bytes(paths[0], archive)
    files.write_bytes(paths[1], hdf5)
    return paths


def rename_classes(path: Path, classes: Classes) -> None:
    """Give the classes of a model file other names and colours.

    All else stays as it is, the weights byte for byte; the scores of each class go
    under its new name.

    Args:
        path: A `.keras` or `.h5` file with a record of ours.
        classes: The model's classes in their order.

    Raises:
        DatasetError: If names or colours are not distinct.
        ModelFileError: If the file cannot be read, holds no record, or has another
            number of classes, or predicts in colours, which are then fixed.
        StorageError: If the disk is full, read-only or failing; the old file is intact.
    """
    path = Path(path)
    require_changeable(path)
    require_distinct(classes)
    with sentences(path.name):
        data = path.read_bytes()
        with opened(io.BytesIO(data), len(data)) as contents:
            record, in_archive = contents.record, contents.in_archive
        renamed = json.dumps(_renamed(record, classes), allow_nan=False)
        if in_archive:
            written = _with_record(io.BytesIO(data), renamed)
        else:
            written = _with_attribute(data, renamed)
    files.write_bytes(path, written)


def _renamed(values: Any, classes: Classes) -> dict[str, Any]:
    """Return the JSON form of a record with other classes."""
    if values is None:
        raise ModelFileError(
            "holds no record of its classes, as files of the original notebook do not. "
            "Train a model here to name its classes."
        )
    before = ModelRecord.from_dict(values)
    old = before.terrain_classes()
    if len(old) != len(classes):
        raise ModelFileError(
            f"has {len(old)} classes, not {len(classes)}. Name each of them."
        )
    colors = [item.color for item in classes]
    if before.unet_config().output == "colors" and colors != [c.color for c in old]:
        raise ModelFileError(
            "predicts the colours of its classes, which cannot be changed. Train it "
            "again for other colours."
        )
    pairs = zip(old, classes, strict=True)
    names = {item.name: other.name for item, other in pairs}
    changed = {**values, "classes": class_list(classes)}
    for part in _SCORES:
        if isinstance(values.get(part), dict):
            changed[part] = _with_names(values[part], names)
    ModelRecord.from_dict(changed)
    return changed


def _with_names(scores: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return scores with other names of the classes where they are keys."""
    return {
        kind: {names.get(key, key): number for key, number in value.items()}
        if isinstance(value, dict)
        else value
        for kind, value in scores.items()
    }


def _with_attribute(data: bytes, record: str) -> bytes:
    """Return an HDF5 model file with another record."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        file.attrs[RECORD_ATTRIBUTE] = record
    return buffer.getvalue()


def _hdf5_bytes(network: Any, record: str) -> bytes:
    """Return the HDF5 form of a network, laid out as Keras lays it out."""
    import keras

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        origin = {
            "keras_version": keras.__version__,
            "backend": keras.backend.backend(),
        }
        file.attrs.update(origin)
        file.attrs["model_config"] = network.to_json()
        file.attrs[RECORD_ATTRIBUTE] = record
        group = file.create_group(HDF5_GROUP)
        group.attrs.update(origin)
        group.attrs["layer_names"] = _names([layer.name for layer in network.layers])
        for layer in network.layers:
            names = [f"{layer.name}/{weight.name}" for weight in layer.weights]
            below = group.create_group(layer.name)
            below.attrs["weight_names"] = _names(names)
            for name, values in zip(names, layer.get_weights(), strict=True):
                below.create_dataset(name, data=values)
    return buffer.getvalue()


def _keras_bytes(network: Any, record: str, folder: Path) -> bytes:
    """Return the `.keras` form of a network: Keras' own, with our record beside."""
    try:
        with files.scratch_folder(folder) as temporary:
            path = temporary / KERAS_FILE
            # Keras 3.15 converts TensorFlow's variables in a way that NumPy 2 announces
            # it will not take for ever.
            with ignored_warnings("__array__ implementation"):
                network.save(path)
            return _with_record(path, record)
    except OSError as error:
        raise files.storage_error(folder / KERAS_FILE, error) from error


def _with_record(path: Path | BinaryIO, record: str) -> bytes:
    """Return a `.keras` archive with the record as a key of its metadata."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(buffer, "w") as target:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == METADATA:
                known = files.parse_json(data)
                metadata = {**known, RECORD_KEY: files.parse_json(record)}
                data = json.dumps(metadata).encode()
            target.writestr(member.filename, data)
    return buffer.getvalue()


def _record_text(network: Any, record: ModelRecord) -> str:
    values = record.to_dict() | {CHECKSUM_KEY: checksum(weights_of(network))}
    text = json.dumps(values, allow_nan=False)
    if len(text) > MAX_RECORD_BYTES:
        raise ModelFileError(
            f"the record of the model would take {len(text) / 2**20:.0f} MiB; the "
            f"limit is {MAX_RECORD_BYTES / 2**20:g} MiB. Use a data set with shorter "
            "names.",
            file=KERAS_FILE,
        )
    return text


def _names(names: list[str]) -> Any:
    """Return names as Keras stores them: fixed-length bytes, or an empty list."""
    return np.array([name.encode() for name in names]) if names else []
