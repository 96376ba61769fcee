"""Exported models give the same probabilities elsewhere, and say how to use them."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from terrainlib.data.formats.raster import BandSet, UsedBand
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.errors import ConfigError, ModelFileError
from terrainlib.mask.prediction import predict_image
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import TerrainModel, receptive_field
from terrainlib.model.reading import onnxfile
from terrainlib.model.reading.onnxfile import export_onnx, input_text, tiles_of
from tests.mask_models import make_model
from tests.models import KERAS_COPY_WARNING

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)

NIR_SWIR = BandSet(
    (UsedBand("B08", 8, 200.0, 5200.0), UsedBand("B11", 11, 0.0, 4000.0)),
    "integer",
    13,
    (0, 1, 1),
)


def seeded_model(**config: Any) -> TerrainModel:
    """Return a tiny network with statistics and weights that spread its answers."""
    import keras

    from terrainlib.model.network import build_unet

    keras.utils.set_random_seed(7)
    shape = UNetConfig(image_size=32, filters=(4, 8), **config)
    network = build_unet(shape)
    random = np.random.default_rng(1)
    network.set_weights(
        [w + random.uniform(-0.4, 0.4, w.shape) for w in network.get_weights()]
    )
    bands = NIR_SWIR.to_dict() if shape.bands == 2 else None
    reach = receptive_field(shape)
    return make_model(network, shape, receptive_field=reach, bands=bands, scale=0.5)


def as_deepness_does(session: Any, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return the probabilities (H, W, K) of a layer two tiles wide, (H, W, C) values.

    Values are divided by 255 and standardised; of two tiles that overlap each gives its
    half, and all of what no other one has.
    """
    facts = session.get_modelmeta().custom_metadata_map
    side = session.get_inputs()[0].shape[-1]
    assert side == json.loads(facts["tile_size"])
    mean, std = (
        np.array(json.loads(facts[f"standardization_{what}"]), np.float32)
        for what in ("mean", "std")
    )
    overlap = int(side * json.loads(facts["tiles_overlap"]) / 100 * 2) // 2
    stride = side - overlap
    result = np.empty((side, side + stride, len(KAGGLE_CLASSES)), np.float32)
    for start, first in ((0, 0), (stride, overlap // 2)):
        tile = np.float32(values[None, :, start : start + side] * 1.0 / 255.0)
        tile = ((tile - mean) / std).transpose(0, 3, 1, 2)
        [planes] = session.run(None, {session.get_inputs()[0].name: tile})
        result[:, start + first : start + side] = planes[0].transpose(1, 2, 0)[
            :, first:
        ]
    return result


def layer(maxima: tuple[float, ...], model: TerrainModel) -> NDArray[np.float32]:
    """Return smooth values up to these, (H, W, C), that two tiles of a model cover."""
    side, percent = tiles_of(model.record.receptive_field, model.config.size_multiple)
    width = 2 * side - int(side * percent / 100 * 2) // 2
    rows, columns = np.mgrid[:side, :width].astype(np.float32)
    waves = [np.sin(rows / (9 + n)) * np.cos(columns / (7 + n)) for n in range(9)]
    return np.stack([m * (w + 1) / 2 for m, w in zip(maxima, waves, strict=False)], -1)


def test_a_picture_has_the_same_probabilities_by_tiles_in_qgis() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = seeded_model()
    values = layer((255, 255, 255), model).astype(np.uint8)

    data = export_onnx(model.network, model.record, pixel_metres=10.0)
    found = as_deepness_does(onnxruntime.InferenceSession(data), values)

    pixels = values.astype(np.float32) / 255
    expected = predict_image(model, pixels, scale=1.0).probabilities
    assert np.ptp(expected, axis=(0, 1)).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_stored_bands_and_heights_are_scaled_in_the_file() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = seeded_model(bands=2, height=True)
    values = layer((6000, 5000, 900), model)
    values[100:120, 200:230, 2] = -9999  # a void as QGIS hands it on
    pixels = np.clip((values[..., :2] - (200, 0)) / (5000, 4000), 0, 1)
    height = np.where(values[..., 2] < -500, np.nan, values[..., 2])

    session = onnxruntime.InferenceSession(export_onnx(model.network, model.record))
    found = as_deepness_does(session, values)

    expected = predict_image(
        model, pixels.astype(np.float32), height=height, scale=1.0
    ).probabilities
    assert np.ptp(expected, axis=(0, 1)).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)
    facts = session.get_modelmeta()
    assert json.loads(facts.custom_metadata_map["class_names"]) == {
        str(n): item.name for n, item in enumerate(KAGGLE_CLASSES)
    }
    assert json.loads(facts.custom_metadata_map["model_type"]) == "Segmentor"
    assert json.loads(facts.custom_metadata_map["seg_thresh"]) == 0
    assert "resolution" not in facts.custom_metadata_map  # nobody knows it
    assert facts.description == input_text(model.record)
    assert input_text(model.record) == (
        "B08, B11 (integer values), then heights in metres; all divided by 255"
    )


@pytest.mark.parametrize(
    ("reach", "multiple"), [(54, 8), (250, 32), (0, 2), (1000, 64)]
)
def test_tiles_overlap_by_what_one_pass_would_see(reach: int, multiple: int) -> None:
    side, percent = tiles_of(reach, multiple)

    overlap = int(side * percent / 100 * 2) // 2
    assert overlap // 2 >= reach
    assert (side - overlap) % multiple == side % multiple == 0
    assert percent <= 60


def test_a_model_of_whole_images_is_refused() -> None:
    config = UNetConfig.preset("notebook")
    model = make_model(None, config, scale=None, name="sketch")

    with pytest.raises(ModelFileError, match=r"^sketch: .* as a whole, resized to 128"):
        export_onnx(None, model.record)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxfile, "_PACKAGES", ("onnx_of_nobody",))

    with pytest.raises(ConfigError, match=r"onnx_of_nobody.*requirements-onnx"):
        export_onnx(None, make_model(None, UNetConfig()).record)
