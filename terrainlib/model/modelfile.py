"""Model files: saved for everybody, loaded as data.

A file of ours is rebuilt by our own code from its record; an original notebook file
from its layer list (`reading.notebook`). Everything else is refused with one sentence.
What is in a file is never run, and Keras never deserialises it here.
"""

import io
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

from terrainlib import files, rights
from terrainlib.data.formats.bands import BandChoice
from terrainlib.data.formats.raster import BandKey
from terrainlib.data.palette import Classes
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import ModelFileError
from terrainlib.model.config import ENCODER_REACH_PX, UNetConfig
from terrainlib.model.reading.archive import (
    is_archive,
    not_a_model,
    opened,
    require_size,
    sentences,
)
from terrainlib.model.reading.hdf5 import checksum
from terrainlib.model.reading.layers import read_graph
from terrainlib.model.reading.notebook import build_network, find_record
from terrainlib.model.reading.writer import (
    CHECKSUM_KEY,
    HDF5_FILE,
    KERAS_FILE,
    save_model,
)
from terrainlib.model.record import ModelRecord
from terrainlib.places import require_readable

__all__ = [
    "HDF5_FILE",
    "KERAS_FILE",
    "ModelRecord",
    "TerrainModel",
    "find_model_file",
    "install_model",
    "load_model",
    "read_record",
    "receptive_field",
    "save_model",
]

_HEAD_BYTES: Final = 8
_MAX_SLUG_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class TerrainModel:
    """A model ready to predict.

    Attributes:
        network: The `keras.Model`, (N, H, W, C) to (N, H, W, K) or (N, H, W, 3).
        classes: The K terrain classes.
        config: Shape of the network.
        scale: Working pixels per original pixel; None for original notebook files,
            which take the whole image resized to `config.image_size`.
        record: Everything else that the file says.
        name: What to call it.
        path: The file it came from, if it came from one.
    """

    network: Any
    classes: Classes
    config: UNetConfig
    scale: float | None
    record: ModelRecord
    name: str
    path: Path | None = None

    @classmethod
    def of(cls, record: ModelRecord, path: Path, network: Any = None) -> Self:
        """Return the model of a file; without its network, what the record tells."""
        classes, config = record.terrain_classes(), record.unet_config()
        return cls(network, classes, config, record.scale, record, record.name, path)

    def bands(self, asked: Sequence[BandKey] | None = None) -> BandChoice:
        """Return which bands of an image to read.

        Args:
            asked: Those that were chosen for the image, by number or name.
        """
        used = self.record.band_set()
        if used is None or asked is None:
            return used or asked
        return replace(used, asked=tuple(asked))


def load_model(model: str | Path) -> TerrainModel:
    """Load a model; nothing is remembered between calls.

    Args:
        model: A `.keras` or `.h5` file (told apart by content), a run folder, or the
            words `default` and `default-height` for the embedded models.

    Raises:
        ModelFileError: If there is no such file, or it is not a model of this app or of
            the original notebook.
        RightsError: If whoever acts now may not open it.
    """
    path = find_model_file(model)
    require_readable(path)
    name = str(model) if str(model) in EMBEDDED_MODELS else path.name
    with sentences(name):
        record, network = _read_model(_read(path), _name_of(path))
    return TerrainModel.of(record, path, network)


def read_record(path: str | Path) -> ModelRecord | None:
    """Return the record of a model file, for lists; weights are not looked at.

    It is fast and loads no TensorFlow. Original notebook files get the record that
    `load_model` makes for them.

    Returns:
        None where the file is missing or no model.

    Raises:
        RightsError: If whoever acts now may not open it.
    """
    path = Path(path)
    require_readable(path)
    try:
        with (
            sentences(path.name),
            _regular(path).open("rb") as stream,
            opened(stream, path.stat().st_size) as contents,
        ):
            graph = read_graph(contents.description)
            return find_record(contents, graph, _name_of(path))
    except ModelFileError:
        return None


def install_model(data: bytes, name: str) -> Path:
    """Check an uploaded model file and keep it among the models added by hand.

    Args:
        data: The bytes.
        name: The file's name; its letters and digits become the name on disk, with a
            number behind it where that name is taken.

    Returns:
        Path of the stored file.

    Raises:
        ModelFileError: If it is not a model of this app or of the original notebook.
        StorageError: If it cannot be written.
    """
    rights.require("upload a model")
    rights.require_upload(len(data), name)
    with sentences(name):
        _read_model(data, _stem(name))
    folder = files.models_dir()
    files.require_free_space(folder, len(data))
    suffix = ".keras" if is_archive(data[:_HEAD_BYTES]) else ".h5"
    path = _reserve(folder, _slug(_stem(name)), suffix)
    try:
        files.write_bytes(path, data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def receptive_field(config: UNetConfig) -> int:
    """Return the half-width of the receptive field of the U-Net of a configuration.

    Every level reaches twice as far as the one above it, so that all of them together
    reach in proportion to the size of the coarsest pixel; what is taken off is what the
    finest level lacks of its share. `half_width` finds the same in the layers.

    Returns:
        The largest distance, in px of the network's input along a row or a column, at
        which an input pixel can change an output pixel.
    """
    if config.encoder == "imagenet":
        return ENCODER_REACH_PX[config.stem_stride][len(config.filters) - 2]
    return 8 * config.size_multiple - (6 if config.stem_stride == 1 else 10)


def _read_model(data: bytes, name: str) -> tuple[ModelRecord, Any]:
    """Return record and network of a file: all is read as data before one is built."""
    with opened(io.BytesIO(data), len(data)) as contents:
        graph = read_graph(contents.description)
        record = find_record(contents, graph, name)
        weights = contents.weights(graph)
    expected = contents.record.get(CHECKSUM_KEY) if contents.record else None
    if expected is not None and expected != checksum(weights):
        raise ModelFileError(
            "damaged (checksum does not match). Upload or copy it again."
        )
    config, ours = record.unet_config(), contents.record is not None
    network = build_network(graph, config, ours=ours)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(weights[layer.name])
    return record, network


def find_model_file(model: str | Path) -> Path:
    """Return the file that a model's word, run folder or path stands for.

    Raises:
        ModelFileError: If it is a folder without a model.
    """
    if str(model) in EMBEDDED_MODELS:
        return EMBEDDED_MODELS[str(model)]
    path = Path(model)
    if not _is_dir(path):
        return path
    if not (path / KERAS_FILE).exists():
        raise ModelFileError(
            f"the folder holds no {KERAS_FILE}. Give a .keras or .h5 file, or the "
            "folder of a training that has ended.",
            file=path.name or str(path),
        )
    return path / KERAS_FILE


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # for example a name that is too long
        return False


def _name_of(path: Path) -> str:
    """Return what a model without a name is called: by its run, else by its file."""
    return path.resolve().parent.name if path.name == KERAS_FILE else path.stem


def _regular(path: Path) -> Path:
    """Return a path that is a regular file; nothing else is ever opened."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise ModelFileError(
            "there is no such model file. Check the path, or run "
            "`python -m terrainlib models` to see what there is."
        ) from error
    if not stat.S_ISREG(mode):
        raise not_a_model()
    return path


def _read(path: Path) -> bytes:
    """Return the bytes of a file that begins like a model and is not too large."""
    try:
        with _regular(path).open("rb") as stream:
            is_archive(stream.read(_HEAD_BYTES))
            require_size(path.stat().st_size)
            stream.seek(0)
            return stream.read()
    except OSError as error:
        raise ModelFileError(
            f"cannot be read ({error.strerror}). Check the disk and the permissions."
        ) from error


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem or "model"


def _slug(stem: str) -> str:
    letters = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:_MAX_SLUG_CHARACTERS]
    return letters.strip("-") or "model"


def _reserve(folder: Path, slug: str, suffix: str) -> Path:
    """Create an empty file under the first name that is free, and return its path."""
    number = 1
    while True:
        ending = f"-{number}" if number > 1 else ""
        path = folder / f"{slug}{ending}{suffix}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.open("xb").close()
        except FileExistsError:
            number += 1
        except OSError as error:
            raise files.storage_error(path, error) from error
        else:
            return path
