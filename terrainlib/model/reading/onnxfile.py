"""A model as an ONNX file, for programs that know nothing of this one.

The file is made by Keras' own export, of our network between what it needs to be right
by itself: bands first, scaling of the bands and relief are part of the graph. Its
metadata are those that the QGIS plugin Deepness reads. It loads TensorFlow when used.
"""

import json
import logging
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from terrainlib.data.formats.heights import HIGHEST_M, LOWEST_M
from terrainlib.data.formats.raster import BandSet
from terrainlib.errors import ConfigError, ModelFileError, ignored_warnings
from terrainlib.model.config import UNetConfig
from terrainlib.model.forward import RELIEF_UNIT_M, RELIEF_WINDOW_PX
from terrainlib.model.record import ModelRecord
from terrainlib.model.tiling import round_up

ONNX_FILE: Final = "model.onnx"
FULL_SCALE: Final = 255  # Deepness divides every value by it, whatever its type
_PACKAGES: Final = ("onnx", "tf2onnx")  # the second makes the files, by way of Keras
_TILE_PX: Final = 512
_LARGEST_OVERLAP: Final = 75  # percent; half of a tile is always left at 50


def export_onnx(
    network: Any, record: ModelRecord, *, pixel_metres: float | None = None
) -> bytes:
    """Return a model as an ONNX file.

    Its input is (N, C, S, S) float32: values as in the image file, divided by 255, at
    the resolution that the model works at; C are the bands of the model, and behind
    them the heights in metres (divided by 255 too) where it uses them. S is fixed. Its
    output is (N, K, S, S) float32, the probabilities of the classes.

    Args:
        network: The `keras.Model`.
        record: What the model says about itself.
        pixel_metres: Ground that a pixel of the training images covers, where known.

    Raises:
        ConfigError: If the packages for it are not installed.
        ModelFileError: If the model gives colours, or takes whole images only.
    """
    require_exportable(record)
    config = record.unet_config()
    side, overlap = tiles_of(record.receptive_field, config.size_multiple)
    model = _from_file_values(network, config, record.band_set(), side)
    exported = _exported(model)
    facts: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": {n: c.name for n, c in enumerate(record.terrain_classes())},
        "tile_size": side,
        "tiles_overlap": overlap,
        "standardization_mean": [0.0] * config.input_channels,
        "standardization_std": [1.0] * config.input_channels,
        "seg_thresh": 0.0,  # else what is less sure would be of the first class
        "seg_small_segment": 0,
    }
    if pixel_metres is not None:
        working = pixel_metres / (record.scale or 1)
        facts["resolution"] = round(100 * working, 3)  # cm per px
    for key, value in facts.items():
        exported.metadata_props.add(key=key, value=json.dumps(value))
    exported.doc_string = input_text(record)
    data: bytes = exported.SerializeToString()
    return data


def require_exportable(record: ModelRecord) -> None:
    """Refuse what cannot be an ONNX file; TensorFlow is not loaded.

    Raises:
        ConfigError: If the packages for it are not installed.
        ModelFileError: If the model gives colours, or takes whole images only.
    """
    config = record.unet_config()
    if record.scale is None or config.output == "colors":
        raise ModelFileError(
            f"this model sees each image as a whole, resized to {config.image_size} "
            "px, and ONNX files are for programs that cut maps into tiles. Train one "
            "with the preset fast or best.",
            file=record.name or None,
        )
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise ConfigError(
            f"ONNX files need the Python package {missing[0]}, which is not installed "
            "here. Run `pip install -r requirements-onnx.txt`."
        )


def input_text(record: ModelRecord) -> str:
    """Return in words what the channels of an exported model are."""
    used = record.band_set()
    names = ", ".join(used.names if used else ("red", "green", "blue"))
    heights = ", then heights in metres" if record.unet_config().height else ""
    kind = used.samples if used else "8-bit"
    return f"{names} ({kind} values){heights}; all divided by {FULL_SCALE}"


def tiles_of(receptive_field: int, multiple: int) -> tuple[int, int]:
    """Return the side of the tiles in px, and their overlap in whole percent of it.

    Deepness uses the middle of each tile. The overlap is the least with which that is
    what one pass over the whole image would give: half of it is no less than the
    receptive field, and tiles begin at multiples of the coarsest pixel.

    Args:
        receptive_field: Half-width of the receptive field in px.
        multiple: What the sizes fed to the network are multiples of.
    """
    side = round_up(max(_TILE_PX, 4 * round_up(receptive_field, multiple)), multiple)
    for percent in range(_LARGEST_OVERLAP):
        overlap = int(side * percent / 100 * 2) // 2  # as Deepness computes it
        if overlap // 2 >= receptive_field and (side - overlap) % multiple == 0:
            return side, percent
    return tiles_of(receptive_field, 2 * multiple)


def _from_file_values(
    network: Any, config: UNetConfig, used: BandSet | None, side: int
) -> Any:
    """Return a `keras.Model` that takes the values of image files, bands first."""
    import keras
    from keras import ops

    planes = keras.Input((config.input_channels, side, side), name="image")
    values = ops.transpose(planes, (0, 2, 3, 1))
    pixels = values[..., : config.bands]
    if used is not None:
        low = np.array([band.low for band in used.bands], np.float32)
        spread = np.array([band.high for band in used.bands], np.float32) - low
        pixels = (pixels * FULL_SCALE - low) / np.where(spread > 0, spread, 1)
    pixels = ops.clip(pixels, 0.0, 1.0)
    if config.height:
        metres = values[..., config.bands :] * FULL_SCALE
        pixels = ops.concatenate([pixels, _relief(metres)], axis=-1)
    return keras.Model(planes, ops.transpose(network(pixels), (0, 3, 1, 2)))


def _relief(metres: Any) -> Any:
    """Return what `model.inputs.relief` does, of voids that may be any far value."""
    from keras import ops

    there = ops.logical_and(metres >= LOWEST_M, metres <= HIGHEST_M)  # not of NaN
    far = 1e9
    highest, lowest = (
        ops.max_pool(
            ops.where(there, sign * metres, -far), RELIEF_WINDOW_PX, 1, padding="same"
        )
        for sign in (1, -1)
    )
    return ops.sqrt(ops.maximum(highest + lowest, 0.0) / RELIEF_UNIT_M)


def _exported(model: Any) -> Any:
    """Return the `onnx.ModelProto` of a model; what the converter says is not shown."""
    import keras

    signature = [keras.InputSpec("float32", model.input.shape, name="image")]
    with ignored_warnings(), tempfile.TemporaryDirectory() as folder:
        import onnx
        import tf2onnx

        logging.getLogger(tf2onnx.__name__).setLevel(logging.ERROR)
        path = Path(folder) / ONNX_FILE
        model.export(path, "onnx", verbose=False, input_signature=signature)
        return onnx.load(path)
