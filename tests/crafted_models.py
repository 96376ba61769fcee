"""Model files for the tests: good ones, and good ones with one thing made bad.

The hostile ones are harmless here: what they name is a file or an address that the test
itself owns, to see that it stays untouched.
"""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from terrainlib.model.config import UNetConfig
from terrainlib.model.reading.writer import save_model
from terrainlib.model.record import ModelRecord

Change = Callable[[dict[str, Any]], None]
KINDS = ("model.keras", "TerrainMaskGenerator.h5")
ORIGINAL_NAME = "TerrainMaskGenerator.h5"


@cache
def good_files() -> dict[str, bytes]:
    """Return both files of a small model of this app, by name."""
    from terrainlib.model.network import build_unet

    config = UNetConfig(filters=(2, 3), stem_stride=1, classes=2, image_size=16)
    classes = [
        {"name": "Land", "color": [9, 9, 9]},
        {"name": "Sea", "color": [1, 2, 3]},
    ]
    record = ModelRecord(config=config.to_dict(), classes=classes, name="good")
    network = build_unet(config)
    randomize(network)
    with tempfile.TemporaryDirectory() as folder:
        paths = save_model(network, record, Path(folder))
        return {path.name: path.read_bytes() for path in paths}


def good_file(name: str) -> bytes:
    """Return the bytes of one of the two good files."""
    return good_files()[name]


def original_network(
    filters: tuple[int, ...] = (16, 32, 64, 128, 256), size: int = 128
) -> Any:
    """Build the U-Net as the original notebook does, in plain Keras."""
    from keras import Input, Model, layers

    def block(x: Any, count: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(
                count, (3, 3), kernel_initializer="he_normal", padding="same"
            )(x)
            x = layers.BatchNormalization()(x)
            x = layers.Activation("relu")(x)
        return x

    image = Input((size, size, 3))
    x, skips = image, []
    for count in filters[:-1]:
        x = block(x, count)
        skips.append(x)
        x = layers.MaxPooling2D((2, 2))(x)
        x = layers.Dropout(0.07)(x)
    x = block(x, filters[-1])
    for count, skip in zip(filters[-2::-1], reversed(skips), strict=True):
        x = layers.Conv2DTranspose(count, (3, 3), strides=(2, 2), padding="same")(x)
        x = layers.concatenate([x, skip])
        x = layers.Dropout(0.07)(x)
        x = block(x, count)
    return Model(image, layers.Conv2D(3, (1, 1), activation="sigmoid")(x))


def randomize(network: Any, seed: int = 0) -> None:
    """Give every weight a seeded value, batch statistics included."""
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        low, high = (0.5, 1.5) if weight.name == "moving_variance" else (-0.4, 0.4)
        weight.assign(rng.uniform(low, high, weight.shape))


def with_description(data: bytes, change: Change) -> bytes:
    """Return a model file whose layer list was changed, of either kind."""
    if data.startswith(b"PK"):
        members = members_of(data)
        description = json.loads(members["config.json"])
        change(description)
        members["config.json"] = json.dumps(description).encode()
        return archive(members)
    with changed_hdf5(data) as (buffer, file):
        description = json.loads(file.attrs["model_config"])
        change(description)
        file.attrs["model_config"] = json.dumps(description)
        file.flush()
        return buffer.getvalue()


def set_description(data: bytes, text: bytes) -> bytes:
    """Return a model file with another text for its layer list."""
    if data.startswith(b"PK"):
        return archive({**members_of(data), "config.json": text}, compression=8)
    return with_weights(data, lambda f: f.attrs.modify("model_config", text.decode()))


def with_weights(data: bytes, change: Callable[[h5py.File], None]) -> bytes:
    """Return a model file whose HDF5 part was changed, of either kind."""
    inner = members_of(data)["model.weights.h5"] if data.startswith(b"PK") else data
    with changed_hdf5(inner) as (buffer, file):
        change(file)
        file.close()
        inner = buffer.getvalue()
    if data.startswith(b"PK"):
        return archive({**members_of(data), "model.weights.h5": inner})
    return inner


class changed_hdf5:  # noqa: N801 - reads as a function
    """Context of an HDF5 file in memory, open for changes."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO()
        self.buffer.write(data)
        self.file = h5py.File(self.buffer, "r+")

    def __enter__(self) -> tuple[io.BytesIO, h5py.File]:
        return self.buffer, self.file

    def __exit__(self, *_error: object) -> None:
        self.file.close()


def members_of(data: bytes) -> dict[str, bytes]:
    """Return the members of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return {name: source.read(name) for name in source.namelist()}


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive of the members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, data in members.items():
            target.writestr(name, data)
    return buffer.getvalue()


def first_weight(file: h5py.File) -> str:
    """Return the path of the first weight in an HDF5 file of Keras."""
    paths: list[str] = []
    file.visititems(
        lambda path, item: (
            paths.append(path) if isinstance(item, h5py.Dataset) else None
        )
    )
    return sorted(path for path in paths if not path.startswith("optimizer"))[0]


def extra_layer(layer: dict[str, Any]) -> Change:
    """Return a change that puts a layer into the list, fed by the first one."""

    def change(description: dict[str, Any]) -> None:
        layers = description["config"]["layers"]
        name = layers[0]["name"]
        item = {
            "registered_name": None,
            "name": "extra",
            "inbound_nodes": [[[name, 0, 0, {}]]],
            **layer,
        }
        item["config"] = {"name": "extra", **layer.get("config", {})}
        layers.insert(1, item)

    return change


def lambda_layer(module: str, function: str, **arguments: Any) -> dict[str, Any]:
    """Return a Lambda layer that calls a function of a module."""
    return {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {
            "function": {
                "module": module,
                "class_name": "function",
                "config": function,
                "registered_name": function,
            },
            "arguments": arguments,
        },
    }


def keras2_form(source: Path, target: Path) -> None:
    """Rewrite a Keras 3 HDF5 model into the forms that Keras 2.4 writes."""
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        description = json.loads(old.attrs["model_config"])
        new.attrs["keras_version"] = "2.4.0"
        new.attrs["backend"] = "tensorflow"
        new.attrs["model_config"] = json.dumps(_keras2_description(description))
        new.attrs["training_config"] = json.dumps({"loss": "binary_crossentropy"})
        weights = new.create_group("model_weights")
        weights.attrs["keras_version"] = "2.4.0"
        weights.attrs["layer_names"] = np.array(
            [str(name).encode() for name in old["model_weights"].attrs["layer_names"]]
        )
        for name, layer in old["model_weights"].items():
            group = weights.create_group(name)
            names = [f"{weight}:0" for weight in layer.attrs["weight_names"]]
            group.attrs["weight_names"] = np.array([n.encode() for n in names])
            for weight in names:
                group[weight] = layer[weight.removesuffix(":0")][()]


def _keras2_description(description: dict[str, Any]) -> dict[str, Any]:
    """Return a layer list as Keras 2 writes it."""
    config = description["config"]
    layers = [_keras2_layer(layer) for layer in config["layers"]]
    return {
        "class_name": "Functional",
        "config": {
            "name": "model",
            "layers": layers,
            "input_layers": [config["input_layers"]],
            "output_layers": [config["output_layers"]],
        },
    }


def _keras2_layer(layer: dict[str, Any]) -> dict[str, Any]:
    """Return one layer as Keras 2 writes it."""
    config = dict(layer["config"]) | {"dtype": "float32"}
    for key, value in config.items():
        if key.endswith("_initializer"):
            config[key] = {"class_name": value["class_name"], "config": {}}
    if layer["class_name"] == "InputLayer":
        config["batch_input_shape"] = config.pop("batch_shape")
        config.pop("optional")
    if layer["class_name"] == "Conv2DTranspose":
        config["groups"] = 1
    if layer["class_name"] == "BatchNormalization":
        config["axis"] = [3]
    return {
        "class_name": layer["class_name"],
        "config": config,
        "name": layer["name"],
        "inbound_nodes": [
            [[name, 0, 0, {}] for name in _sources(node["args"])]
            for node in layer["inbound_nodes"]
        ],
    }


def _sources(value: Any) -> list[str]:
    """Return the names of the layers among the arguments of a call."""
    if isinstance(value, list):
        return [name for item in value for name in _sources(item)]
    return [value["config"]["keras_history"][0]]
