"""Model files opened as data: `.keras` archives and HDF5, their limits, and their JSON.

The kind is decided by content, never by the file's name. Whatever is wrong becomes one
sentence; nothing in a file is run, deserialised or written. No Keras, no TensorFlow.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final

import h5py

from terrainlib import files
from terrainlib.errors import ModelFileError
from terrainlib.model.reading.hdf5 import SIGNATURE, Weights, read_text, read_weights
from terrainlib.model.reading.layers import Graph, shortened

MAX_FILE_MB: Final = 2048
MAX_MEMBERS: Final = 64
MAX_DESCRIPTION_BYTES: Final = 2**20
MAX_RECORD_BYTES: Final = 2**23
CONFIG: Final = "config.json"
METADATA: Final = "metadata.json"
WEIGHTS: Final = "model.weights.h5"
RECORD_KEY: Final = "terrain"
RECORD_ATTRIBUTE: Final = "terrain_config"
_ZIP_SIGNATURE: Final = b"PK\x03\x04"
_HINT: Final = "Upload model.keras from a run folder."
_HINT_BOTH: Final = "Upload model.keras or TerrainMaskGenerator.h5 from a run folder."
_DAMAGED: Final = "damaged (checksum does not match). Upload or copy it again."
_CUT_OFF: Final = (
    "the file is cut off or damaged (not a complete .keras archive or HDF5 file). "
    "Upload or copy it again."
)
_DAMAGES: Final = (
    OSError,
    RuntimeError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    EOFError,
    NotImplementedError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in a model file.

    Attributes:
        in_archive: Whether it is a `.keras` archive; else it is HDF5.
        description: Parsed JSON of the layers, as Keras wrote it.
        record: Parsed JSON of our record, None where there is none.
        keras_version: The version that wrote it, empty where it does not say.
        source: The open file.
        size: Its bytes.
    """

    in_archive: bool
    description: Any
    record: Any | None
    keras_version: str
    source: zipfile.ZipFile | h5py.File
    size: int

    def weights(self, graph: Graph) -> Weights:
        """Return the weights of the file's layers, every one of them checked.

        Raises:
            ModelFileError: If they are not plainly there, or are not those of `graph`.
        """
        if isinstance(self.source, h5py.File):
            return read_weights(self.source, self.size, graph, in_archive=False)
        data = _member(self.source, WEIGHTS, MAX_FILE_MB * 2**20)
        with h5py.File(io.BytesIO(data), "r") as file:
            return read_weights(file, len(data), graph, in_archive=True)


@contextmanager
def sentences(name: str) -> Iterator[None]:
    """Turn everything that can go wrong with a file into one sentence that names it."""
    file = PurePosixPath(name.replace("\\", "/")).name or "model"
    try:
        yield
    except ModelFileError as error:
        if error.file is not None:
            raise
        raise ModelFileError(error.message, file=file) from error
    except _DAMAGES as error:
        wrong_sum = isinstance(error, zipfile.BadZipFile) and "CRC" in str(error)
        raise ModelFileError(_DAMAGED if wrong_sum else _CUT_OFF, file=file) from error


def is_archive(head: bytes) -> bool:
    """Return whether a model file is a `.keras` archive, from its first bytes.

    Raises:
        ModelFileError: If it is empty, or neither a zip archive nor HDF5.
    """
    if not head:
        raise ModelFileError("the file is empty. Upload or copy it again.")
    if not head.startswith((_ZIP_SIGNATURE, SIGNATURE)):
        raise not_a_model()
    return head.startswith(_ZIP_SIGNATURE)


def not_a_model() -> ModelFileError:
    """Return the sentence for a file of another kind."""
    return ModelFileError(
        "not a Keras model (.keras or .h5). Choose model.keras or "
        "TerrainMaskGenerator.h5 from a run folder."
    )


def require_size(size: int) -> None:
    """Refuse a file of more bytes than any model has.

    Raises:
        ModelFileError: If it is larger than 2048 MB.
    """
    if size > MAX_FILE_MB * 2**20:
        raise ModelFileError(
            f"{size / 2**20:.0f} MB; the limit is {MAX_FILE_MB} MB. Use a smaller "
            "model."
        )


@contextmanager
def opened(stream: BinaryIO, size: int) -> Iterator[Contents]:
    """Open a model file as data.

    Yields:
        What lies in it, valid inside the `with` block.

    Raises:
        ModelFileError: If it is not a model file, damaged, or breaks a limit.
    """
    require_size(size)
    in_archive = is_archive(stream.read(len(SIGNATURE)))
    stream.seek(0)
    if in_archive:
        with zipfile.ZipFile(stream) as archive:
            yield _archive_contents(archive, size)
    else:
        with h5py.File(stream, "r") as file:
            yield _hdf5_contents(file, size)


def _hdf5_contents(file: h5py.File, size: int) -> Contents:
    text = read_text(file, "model_config", MAX_DESCRIPTION_BYTES)
    if text is None:
        raise ModelFileError(f"holds weights only, no model description. {_HINT_BOTH}")
    record = read_text(file, RECORD_ATTRIBUTE, MAX_RECORD_BYTES)
    return Contents(
        in_archive=False,
        description=_parse(text),
        record=None if record is None else _parse(record),
        keras_version=read_text(file, "keras_version", 100) or "",
        source=file,
        size=size,
    )


def _archive_contents(archive: zipfile.ZipFile, size: int) -> Contents:
    _check_members(archive)
    metadata = _parse(_member(archive, METADATA, MAX_RECORD_BYTES))
    if not isinstance(metadata, dict):
        raise not_a_model()
    return Contents(
        in_archive=True,
        description=_parse(_member(archive, CONFIG, MAX_DESCRIPTION_BYTES)),
        record=metadata.get(RECORD_KEY),
        keras_version=shortened(metadata.get("keras_version", "")),
        source=archive,
        size=size,
    )


def _check_members(archive: zipfile.ZipFile) -> None:
    names = [member.filename for member in archive.infolist()]
    if CONFIG not in names:
        raise not_a_model()
    if len(names) > MAX_MEMBERS:
        raise ModelFileError(
            f"the archive has {len(names)} members; the limit is {MAX_MEMBERS}."
        )
    expected = {CONFIG, METADATA, WEIGHTS}
    for number, name in enumerate(names):
        if name not in expected or name in names[:number]:
            raise ModelFileError(
                f"the archive contains the unexpected member '{shortened(name)}'. "
                f"{_HINT}"
            )
    if missing := sorted(expected - set(names)):
        raise ModelFileError(f"the archive lacks {missing[0]}. {_HINT}")


def _member(archive: zipfile.ZipFile, name: str, limit_bytes: int) -> bytes:
    """Return one member, its checksum checked, after a look at its declared size."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED and name == WEIGHTS:
        raise ModelFileError(
            f"the weights are packed, as no model that Keras saved is. {_HINT}"
        )
    if member.file_size > limit_bytes:
        what = "model description" if name != WEIGHTS else "weights member"
        raise ModelFileError(
            f"the {what} is larger than {limit_bytes / 2**20:g} MiB. {_HINT}"
        )
    return archive.read(member)


def _parse(text: str | bytes) -> Any:
    """Parse JSON and refuse what is larger or nested deeper than any model's."""
    try:
        return files.parse_json(text)
    except ValueError as error:
        raise ModelFileError(
            "the model description cannot be read: it is not JSON of this app "
            f"({error}). {_HINT_BOTH}"
        ) from error
