"""Model files opened as data: the archive, its limits, and the JSON inside.

The kind is decided by content, never by the file's name. Whatever is wrong becomes one
sentence; nothing in a file is run, deserialised or written. No Keras, no TensorFlow.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final, Literal

import h5py

from terrainlib import files
from terrainlib.errors import ModelFileError
from terrainlib.model.allowlist import shortened
from terrainlib.model.hdf5check import SIGNATURE, Hdf5, open_hdf5, read_text, walk

Kind = Literal["keras", "h5"]

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
        kind: `keras` or `h5`.
        description: Parsed JSON of the layers, as Keras wrote it.
        record: Parsed JSON of our record, None where there is none.
        weights: The walked weights; None where only the record was asked for.
        keras_version: The version that wrote it, empty where it does not say.
    """

    kind: Kind
    description: Any
    record: Any | None
    weights: Hdf5 | None
    keras_version: str


@contextmanager
def sentences(name: str) -> Iterator[None]:
    """Turn everything that can go wrong with a file into one sentence that names it.

    Args:
        name: Name of the file; folders in front of it are left out.
    """
    file = PurePosixPath(name.replace("\\", "/")).name or "model"
    try:
        yield
    except ModelFileError as error:
        if error.file is not None:
            raise
        raise ModelFileError(error.message, file=file) from error
    except RecursionError as error:
        raise ModelFileError(
            "the model description cannot be read: it is nested too deeply.", file=file
        ) from error
    except zipfile.BadZipFile as error:
        wrong_sum = "CRC" in str(error)
        raise ModelFileError(_DAMAGED if wrong_sum else _CUT_OFF, file=file) from error
    except _DAMAGES as error:
        raise ModelFileError(_CUT_OFF, file=file) from error


_DAMAGED: Final = "damaged (checksum does not match). Upload or copy it again."
_CUT_OFF: Final = (
    "the file is cut off or damaged (not a complete .keras archive or HDF5 file). "
    "Upload or copy it again."
)


def kind_of(head: bytes) -> Kind:
    """Return the kind of a file from its first bytes.

    Raises:
        ModelFileError: If it is empty, or neither a zip archive nor HDF5.
    """
    if not head:
        raise ModelFileError("the file is empty. Upload or copy it again.")
    if head.startswith(_ZIP_SIGNATURE):
        return "keras"
    if head.startswith(SIGNATURE):
        return "h5"
    raise not_a_model()


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
def opened(
    stream: BinaryIO, size: int, *, record_only: bool = False
) -> Iterator[Contents]:
    """Open a model file as data.

    Args:
        stream: The file, open for reading, at its start.
        size: Its size in bytes.
        record_only: Leave the weights alone, which makes it fast.

    Yields:
        What lies in it, valid inside the `with` block.

    Raises:
        ModelFileError: If it is not a model file, damaged, or breaks a limit.
    """
    require_size(size)
    kind = kind_of(stream.read(len(SIGNATURE)))
    stream.seek(0)
    with ExitStack() as stack:
        if kind == "h5":
            file = stack.enter_context(open_hdf5(stream))
            weights = None if record_only else walk(file, size)
            yield _hdf5_contents(file, weights)
        else:
            yield _archive_contents(stream, stack, record_only=record_only)


def _hdf5_contents(file: h5py.File, weights: Hdf5 | None) -> Contents:
    text = read_text(file, "model_config", MAX_DESCRIPTION_BYTES)
    if text is None:
        raise ModelFileError(
            "holds weights only, no model description. Upload model.keras or "
            "TerrainMaskGenerator.h5 from a run folder."
        )
    record = read_text(file, RECORD_ATTRIBUTE, MAX_RECORD_BYTES)
    return Contents(
        kind="h5",
        description=_parse(text),
        record=None if record is None else _parse(record),
        weights=weights,
        keras_version=read_text(file, "keras_version", 100) or "",
    )


def _archive_contents(
    stream: BinaryIO, stack: ExitStack, *, record_only: bool
) -> Contents:
    archive = stack.enter_context(zipfile.ZipFile(stream))
    _check_members(archive)
    metadata = _parse(_member(archive, METADATA, MAX_RECORD_BYTES).decode("utf-8"))
    description = _parse(
        _member(archive, CONFIG, MAX_DESCRIPTION_BYTES).decode("utf-8")
    )
    weights = None
    if not record_only:
        data = _member(archive, WEIGHTS, MAX_FILE_MB * 2**20)
        file = stack.enter_context(open_hdf5(io.BytesIO(data)))
        weights = walk(file, len(data))
    if not isinstance(metadata, dict):
        raise not_a_model()
    return Contents(
        kind="keras",
        description=description,
        record=metadata.get(RECORD_KEY),
        weights=weights,
        keras_version=shortened(metadata.get("keras_version", "")),
    )


def _check_members(archive: zipfile.ZipFile) -> None:
    """Refuse an archive with other members than the three of a model."""
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
                "Upload model.keras from a run folder."
            )
    if missing := sorted(expected - set(names)):
        raise ModelFileError(
            f"the archive lacks {missing[0]}. Upload model.keras from a run folder."
        )


def _member(archive: zipfile.ZipFile, name: str, limit_bytes: int) -> bytes:
    """Return one member, its checksum checked, after a look at its declared size."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED and name == WEIGHTS:
        raise ModelFileError(
            "the weights are packed, as no model that Keras saved is. "
            "Upload model.keras from a run folder."
        )
    if member.file_size > limit_bytes:
        what = "model description" if name != WEIGHTS else "weights member"
        raise ModelFileError(
            f"the {what} is larger than {limit_bytes / 2**20:g} MiB. "
            "Upload model.keras from a run folder."
        )
    return archive.read(member)


def _parse(text: str) -> Any:
    """Parse JSON and refuse what is larger or nested deeper than any model's."""
    try:
        return files.parse_json(text)
    except ValueError as error:
        raise ModelFileError(
            f"the model description cannot be read: it is no JSON of ours ({error}). "
            "Upload model.keras or TerrainMaskGenerator.h5 from a run folder."
        ) from error
