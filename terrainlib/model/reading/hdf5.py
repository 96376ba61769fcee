"""The weights of a model file: HDF5 walked as data, compared, and only then read.

Names, shapes, types and stored sizes come from the file's own tables before a value is
read; what points elsewhere is refused. Keras is not involved.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from terrainlib.errors import ModelFileError
from terrainlib.model.reading.layers import Graph, Layer, shortened

Weights = dict[str, list[NDArray[np.float32]]]

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
HDF5_GROUP: Final = "model_weights"
MAX_OBJECTS: Final = 20_000
MAX_DEPTH: Final = 40
MAX_NAMES_BYTES: Final = 2**20
_LINKS: Final = {h5py.SoftLink: "soft link", h5py.ExternalLink: "external link"}
_ARCHIVE_NAMES: Final = {
    "Conv2D": "conv2d",
    "Conv2DTranspose": "conv2d_transpose",
    "DepthwiseConv2D": "depthwise_conv2d",
    "BatchNormalization": "batch_normalization",
}


def read_weights(
    file: h5py.File, size: int, graph: Graph, *, in_archive: bool
) -> Weights:
    """Return the weights of each layer that has some, in Keras' order.

    Args:
        file: The open file.
        size: Its bytes, which all values together cannot exceed.
        graph: The layers.
        in_archive: Whether it lies in a `.keras` archive; else it is a whole model.

    Raises:
        ModelFileError: If the file has links to elsewhere, values that are declared but
            not stored, or far more objects than a model; if a weight is missing, of
            another name, shape or type than the layers say, or not a finite number.
    """
    values = dict(_datasets(file))
    if sum(map(_stored, values.values())) > size:
        raise ModelFileError(
            "the weights declare more than the file holds. The file is damaged or "
            "built to exhaust memory."
        )
    weighted = [layer for layer in graph.layers.values() if layer.weights]
    paths = (_archive_paths if in_archive else _hdf5_paths)(file, weighted)
    _compare(values, "layers/" if in_archive else f"{HDF5_GROUP}/", weighted, paths)
    weights = {
        layer: [np.asarray(values[path][()]) for path in layer_paths]
        for layer, layer_paths in paths.items()
    }
    arrays = [array for layer in weights.values() for array in layer]
    if bad := sum(int(np.count_nonzero(~np.isfinite(array))) for array in arrays):
        raise ModelFileError(
            f"{bad} weights are not numbers (NaN/Inf). The training that wrote it "
            "failed. Train again, with a lower learning rate."
        )
    return weights


def checksum(weights: Mapping[str, list[NDArray[np.float32]]]) -> str:
    """Return the SHA-256 of all values, layer by layer in the order of their names."""
    digest = hashlib.sha256()
    for layer in sorted(weights):
        for values in weights[layer]:
            digest.update(np.ascontiguousarray(values, np.dtype("<f4")).tobytes())
    return digest.hexdigest()


def weights_of(network: Any) -> Weights:
    """Return the weights of a built network, by layer."""
    return {
        layer.name: layer.get_weights() for layer in network.layers if layer.weights
    }


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


def _datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    seen = {h5py.h5o.get_info(file.id).addr}
    while waiting:
        parent, group = waiting.pop()
        if parent.count("/") > MAX_DEPTH:
            raise ModelFileError(
                f"its groups are nested more than {MAX_DEPTH} levels deep."
            )
        for name in group:
            path, item = f"{parent}{name}", _own_object(group, name, seen)
            if isinstance(item, h5py.Group):
                waiting.append((f"{path}/", item))
            elif isinstance(item, h5py.Dataset):
                _check_stored(path, item)
                yield path, item
            else:
                raise ModelFileError("holds a type definition, which no model has.")


def _own_object(group: h5py.Group, name: str, seen: set[Any]) -> Any:
    """Return what lies in the file itself under a name, and nowhere else in it."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise _pointing(_LINKS.get(type(link), "link"))
    item = group[name]
    address = h5py.h5o.get_info(item.id).addr
    if address in seen:
        raise _pointing("second link to the same object")
    seen.add(address)
    if len(seen) > MAX_OBJECTS + 1:
        raise ModelFileError(
            f"holds more than {MAX_OBJECTS} objects, far more than a U-Net has."
        )
    return item


def _check_stored(path: str, item: h5py.Dataset) -> None:
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


def _archive_paths(file: h5py.File, layers: list[Layer]) -> dict[str, list[str]]:
    """Return where a `.keras` archive keeps the weights: by class, counted up."""
    counts: dict[str, int] = {}
    paths = {}
    for layer in layers:
        base = _ARCHIVE_NAMES[layer.kind]
        number = counts.get(base, 0)
        counts[base] = number + 1
        group = f"layers/{base}_{number}/vars" if number else f"layers/{base}/vars"
        if group not in file or read_text(file[group], "name", 1000) != layer.name:
            raise _other(f"those of layer '{layer.name}' are missing")
        paths[layer.name] = [f"{group}/{n}" for n in range(len(layer.weights))]
    return paths


def _hdf5_paths(file: h5py.File, layers: list[Layer]) -> dict[str, list[str]]:
    """Return where an HDF5 model keeps the weights: by the names it lists itself."""
    wanted = {layer.name: list(layer.weights) for layer in layers}
    paths = {}
    for layer in _names(file[HDF5_GROUP], "layer_names"):
        names = _names(file[f"{HDF5_GROUP}/{layer}"], "weight_names")
        if names:
            paths[layer] = [f"{HDF5_GROUP}/{layer}/{name}" for name in names]
            found = [name.rpartition("/")[2].partition(":")[0] for name in names]
            if found != wanted.get(layer, []):
                raise _other(f"layer '{shortened(layer)}' has other weights")
    if set(paths) != set(wanted):
        raise _other("its layers and its weights differ")
    return paths


def _compare(
    values: Mapping[str, h5py.Dataset],
    prefix: str,
    layers: list[Layer],
    paths: dict[str, list[str]],
) -> None:
    """Refuse weights that no layer uses, or of another shape or type than it has."""
    used = {path for layer_paths in paths.values() for path in layer_paths}
    found = {path for path in values if path.startswith(prefix)}
    if unused := sorted(found - used):
        raise _other(f"no layer uses the weight '{shortened(unused[0])}'")
    for layer in layers:
        named = zip(paths[layer.name], layer.weights.items(), strict=True)
        for path, (name, shape) in named:
            if path not in values:
                raise _other(f"the {name} of layer '{layer.name}' is missing")
            if values[path].shape != shape:
                raise _other(f"the {name} of layer '{layer.name}' has another shape")
            if (kind := values[path].dtype) != np.dtype("<f4"):
                raise _other(
                    f"the {name} of layer '{layer.name}' is {kind}, not float32"
                )


def _names(group: h5py.Group, attribute: str) -> list[str]:
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    names: list[str | bytes] = []
    for part in parts:
        if group.attrs.get_id(part).shape != (0,):  # else numbers are its type
            _require_text(group, part, MAX_NAMES_BYTES)
            names += np.atleast_1d(group.attrs[part]).tolist()
    return [n.decode("utf-8") if isinstance(n, bytes) else str(n) for n in names]


def _require_text(group: h5py.Group, attribute: str, limit_bytes: int) -> None:
    handle = group.attrs.get_id(attribute)
    is_text = handle.get_type().get_class() == h5py.h5t.STRING
    if not is_text or handle.get_storage_size() > limit_bytes:
        raise ModelFileError(
            f"the model description cannot be read: '{attribute}' is not a short text."
        )


def _other(what: str) -> ModelFileError:
    return ModelFileError(
        f"the weights do not fit the layers: {what}. The file is damaged or was "
        "changed; upload it again."
    )


def _pointing(kind: str) -> ModelFileError:
    return ModelFileError(
        f"the weights point to another file ({kind}). Such files are not accepted. "
        "Upload model.keras or TerrainMaskGenerator.h5 from a run folder."
    )
