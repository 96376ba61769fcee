"""HDF5 files walked as data: what lies in them, and nothing that points elsewhere.

Shapes, types and stored sizes are compared from the file's own tables before any value
is read. Keras is not involved.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import ModelFileError
from terrainlib.model.allowlist import shortened

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
MAX_OBJECTS: Final = 20_000
MAX_DEPTH: Final = 40
MAX_NAMES_KB: Final = 1024
_LINKS: Final = {h5py.SoftLink: "soft link", h5py.ExternalLink: "external link"}


@dataclass(frozen=True, slots=True)
class Hdf5:
    """A walked file.

    Attributes:
        file: The open file.
        values: Every dataset by its path, none of them read yet.
    """

    file: h5py.File
    values: dict[str, h5py.Dataset]

    def text(self, path: str, attribute: str, limit_bytes: int) -> str | None:
        """Return a text attribute of a group, None where there is none.

        Raises:
            ModelFileError: If it is longer than `limit_bytes`.
        """
        return read_text(self.file[path], attribute, limit_bytes)

    def names(self, path: str, attribute: str) -> list[str]:
        """Return a list of names, which Keras spreads over several attributes."""
        group = self.file[path]
        parts = [attribute] if attribute in group.attrs else []
        while f"{attribute}{len(parts)}" in group.attrs:
            parts.append(f"{attribute}{len(parts)}")
        return [name for part in parts for name in _read_names(group, part)]

    def read(self, path: str) -> NDArray[Any]:
        """Return the values of a dataset."""
        return np.asarray(self.values[path][()])


def open_hdf5(stream: BinaryIO) -> h5py.File:
    """Open an HDF5 file for reading; the caller closes it."""
    return h5py.File(stream, "r")


def walk(file: h5py.File, stored_bytes: int) -> Hdf5:
    """Walk an open file.

    Args:
        file: The file.
        stored_bytes: Its size, which all values together cannot exceed.

    Raises:
        ModelFileError: If it has links to elsewhere, values that are declared but not
            stored, or far more objects than a model has.
    """
    values: dict[str, h5py.Dataset] = {}
    for number, (path, item) in enumerate(_objects(file), start=1):
        if number > MAX_OBJECTS:
            raise ModelFileError(
                f"holds more than {MAX_OBJECTS} objects, far more than a U-Net has."
            )
        if isinstance(item, h5py.Dataset):
            _check_values(path, item)
            values[path] = item
    if sum(_stored(item) for item in values.values()) > stored_bytes:
        raise ModelFileError(
            "the weights declare more than the file holds. The file is damaged or "
            "built to exhaust memory."
        )
    return Hdf5(file, values)


def read_text(group: h5py.Group, attribute: str, limit_bytes: int) -> str | None:
    """Return a text attribute of a group, None where there is none.

    Raises:
        ModelFileError: If it is longer than `limit_bytes`, or no text.
    """
    if attribute not in group.attrs:
        return None
    _require_text(group, attribute, limit_bytes)
    value = group.attrs[attribute]
    text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    if len(text.encode()) > limit_bytes:
        raise ModelFileError(
            f"the model description is larger than {limit_bytes / 2**20:g} MiB. "
            "Upload model.keras or TerrainMaskGenerator.h5 from a run folder."
        )
    return text


def _objects(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Yield path and object of everything below the root, each object once."""
    waiting: list[tuple[str, Any, int]] = [("", file, 0)]
    seen = {_address(file)}
    while waiting:
        parent, group, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ModelFileError(
                f"its groups are nested more than {MAX_DEPTH} levels deep."
            )
        for name in group:
            path = f"{parent}/{name}".lstrip("/")
            _require_hard_link(group, name)
            item = group[name]
            if _address(item) in seen:
                raise _pointing("second link to the same object")
            seen.add(_address(item))
            yield path, item
            if isinstance(item, h5py.Group):
                waiting.append((path, item, depth + 1))
            elif not isinstance(item, h5py.Dataset):
                raise ModelFileError("holds a type definition, which no model has.")


def _address(item: Any) -> Any:
    return h5py.h5o.get_info(item.id).addr


def _require_hard_link(group: h5py.Group, name: str) -> None:
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise _pointing(_LINKS.get(type(link), "link"))


def _check_values(path: str, item: h5py.Dataset) -> None:
    """Refuse values that lie elsewhere, are packed, or are not really stored."""
    settings = item.id.get_create_plist()
    if settings.get_external_count():
        raise _pointing("external storage")
    if settings.get_layout() == h5py.h5d.VIRTUAL:
        raise _pointing("virtual dataset")
    if item.dtype.kind not in "fiub" or settings.get_nfilters():
        raise ModelFileError(
            f"weight '{shortened(path)}' is packed or holds no plain numbers, as no "
            "model that Keras saved does."
        )
    declared, stored = item.size * item.dtype.itemsize, _stored(item)
    if stored < declared:
        raise ModelFileError(
            f"weight '{shortened(path)}' declares {declared / 1e6:.1f} MB but stores "
            f"{stored / 1e3:.1f} kB. The file is damaged or built to exhaust memory."
        )


def _stored(item: h5py.Dataset) -> int:
    return int(item.id.get_storage_size())


def _read_names(group: h5py.Group, attribute: str) -> list[str]:
    """Return the names in one attribute; an empty list has numbers as its type."""
    if group.attrs.get_id(attribute).shape == (0,):
        return []
    _require_text(group, attribute, MAX_NAMES_KB * 1024)
    values = np.atleast_1d(group.attrs[attribute]).tolist()
    return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values]


def _require_text(group: h5py.Group, attribute: str, limit_bytes: int) -> None:
    handle = group.attrs.get_id(attribute)
    is_text = handle.get_type().get_class() == h5py.h5t.STRING
    if not is_text or handle.get_storage_size() > limit_bytes:
        raise ModelFileError(
            f"the model description cannot be read: '{attribute}' is no short text."
        )


def _pointing(kind: str) -> ModelFileError:
    return ModelFileError(
        f"the weights point to another file ({kind}). Such files are not accepted. "
        "Upload model.keras or TerrainMaskGenerator.h5 from a run folder."
    )
