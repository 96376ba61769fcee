"""Which layers of a model a network takes over."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terrainlib.data.palette import KAGGLE_CLASSES, TerrainClass
from terrainlib.errors import ConfigError
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import TerrainModel, load_model
from terrainlib.model.network import build_unet
from terrainlib.model.start import require_fit, take_over, what_is_taken
from tests.models import KERAS_COPY_WARNING, write_model

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)

SHAPE = UNetConfig(image_size=32, filters=(4, 8))
OTHERS = (TerrainClass("Road", (1, 2, 3)), *KAGGLE_CLASSES[1:])
FIRST = ("stem", "head_detail")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TerrainModel:
    return load_model(write_model(tmp_path_factory.mktemp("models")))


def equal(one: Any, other: Any) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("changes", "classes", "new"),
    [
        ({}, KAGGLE_CLASSES, ()),
        ({}, OTHERS, ("mask",)),
        ({"classes": 3}, KAGGLE_CLASSES[:3], ("mask",)),
        ({"height": True}, KAGGLE_CLASSES, FIRST),
    ],
)
def test_layers_that_fit_are_the_model_s_and_the_others_are_new(
    model: TerrainModel, changes: dict[str, Any], classes: Any, new: tuple[str, ...]
) -> None:
    network = build_unet(UNetConfig.from_dict(SHAPE.to_dict() | changes))
    before = {layer.name: layer.get_weights() for layer in network.layers}
    taken = take_over(network, model, classes)
    assert set(taken.new) == set(new)
    for layer in network.layers:
        if layer.name in new:
            same = zip(layer.get_weights(), before[layer.name], strict=True)
            assert all(np.array_equal(*pair) for pair in same)
        elif layer.weights:
            assert equal(layer, model.network.get_layer(layer.name))


def test_layers_that_read_the_image_are_new_where_it_has_other_bands(
    model: TerrainModel,
) -> None:
    bands = ("nir", "red", "green")
    taken = take_over(build_unet(SHAPE), model, KAGGLE_CLASSES, bands)
    assert set(taken.new) == set(FIRST)
    said = what_is_taken(model.record, SHAPE, KAGGLE_CLASSES, bands)
    assert "those that read the image" in said


def test_an_original_file_s_layers_are_found_by_their_order(tmp_path: Path) -> None:
    import keras

    config = UNetConfig.preset("notebook", image_size=32, filters=(4, 8))
    network = build_unet(config)
    copy = keras.models.clone_model(
        network,
        clone_function=lambda layer: type(layer).from_config(
            layer.get_config() | {"name": f"their_{layer.name}"}
        ),
    )
    copy.save(tmp_path / "theirs.h5")
    found = load_model(tmp_path / "theirs.h5")
    taken = take_over(network, found, KAGGLE_CLASSES)
    assert taken.new == ()
    assert equal(network, found.network)


def test_a_model_of_which_nothing_fits_is_refused(model: TerrainModel) -> None:
    config = UNetConfig(image_size=32, filters=(6, 9))
    for refuse in (
        lambda: take_over(build_unet(config), model, KAGGLE_CLASSES),
        lambda: require_fit(model.record, config),
    ):
        with pytest.raises(ConfigError, match="no layer of tiny fits"):
            refuse()


@pytest.mark.parametrize(
    ("changes", "classes", "says"),
    [
        ({}, KAGGLE_CLASSES, "All its layers are taken over."),
        ({}, OTHERS, "but the last one, for it tells other classes apart."),
        ({"height": True}, KAGGLE_CLASSES, "but those that read the image"),
        ({"filters": (4, 16)}, KAGGLE_CLASSES, "only layers of the same name and size"),
    ],
)
def test_a_sentence_says_what_will_be_taken_over(
    model: TerrainModel, changes: dict[str, Any], classes: Any, says: str
) -> None:
    network = UNetConfig.from_dict(SHAPE.to_dict() | changes)
    require_fit(model.record, network)
    assert says in what_is_taken(model.record, network, classes)
