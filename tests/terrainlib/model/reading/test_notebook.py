"""Original notebook files: what plain Keras predicts, predicted here."""

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.errors import ModelFileError
from terrainlib.model.modelfile import load_model, read_record
from terrainlib.model.reading.layers import graph_of
from terrainlib.model.reading.notebook import level_filters
from terrainlib.model.reading.writer import save_model
from tests.crafted_models import (
    ORIGINAL_NAME,
    keras2_form,
    original_network,
    randomize,
)

# Keras 3.15 saves TensorFlow's variables in a way that NumPy 2 announces it will not
# take for ever; here Keras itself writes the files.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

SMALL = (2, 3, 4)
SIZE = 16


def save(network: keras.Model, path: Path) -> Path:
    network.save(path)
    return path


def images(size: int = SIZE, count: int = 2) -> np.ndarray:
    return np.random.default_rng(5).random((count, size, size, 3), np.float32)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    network = original_network(SMALL, SIZE)
    randomize(network)
    return save(network, tmp_path / ORIGINAL_NAME)


def predict(network: keras.Model) -> np.ndarray:
    return network(images(), training=False).numpy()


def keras_predicts(path: Path) -> np.ndarray:
    return predict(keras.models.load_model(path, compile=False))


def test_a_full_size_original_predicts_what_it_predicts_in_keras(
    tmp_path: Path,
) -> None:
    network = original_network()
    randomize(network)
    path = save(network, tmp_path / ORIGINAL_NAME)
    pixels = images(128)

    model = load_model(path)

    assert model.network.count_params() == 2_164_627
    found = model.network.predict_on_batch(pixels)
    plain_keras = keras.models.load_model(path, compile=False)
    np.testing.assert_array_equal(found, network.predict_on_batch(pixels))
    np.testing.assert_array_equal(found, plain_keras.predict_on_batch(pixels))


def test_a_trained_and_compiled_original_predicts_what_it_predicts_in_keras(
    tmp_path: Path,
) -> None:
    network = original_network(SMALL, SIZE)
    network.compile(
        optimizer="adam",
        loss="binary_crossentropy",
        metrics=["accuracy"],
        run_eagerly=True,
    )
    network.train_on_batch(images(), images())
    path = save(network, tmp_path / ORIGINAL_NAME)

    found = predict(load_model(path).network)

    np.testing.assert_array_equal(found, keras_predicts(path))


def test_a_file_saved_with_a_loss_by_its_short_name_loads(tmp_path: Path) -> None:
    network = original_network(SMALL, SIZE)
    network.compile(optimizer="adam", loss="mse")
    path = save(network, tmp_path / ORIGINAL_NAME)

    np.testing.assert_array_equal(
        predict(load_model(path).network),
        predict(network),
    )


def test_a_network_given_as_lists_loads(tmp_path: Path) -> None:
    inner = original_network(SMALL, SIZE)
    network = keras.Model(inputs=[inner.input], outputs=[inner.output])
    path = save(network, tmp_path / ORIGINAL_NAME)

    np.testing.assert_array_equal(
        predict(load_model(path).network),
        predict(inner),
    )


def test_a_file_in_the_forms_of_keras_2_predicts_the_same(
    original: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.h5"
    keras2_form(original, old)

    found = predict(load_model(old).network)

    np.testing.assert_array_equal(found, keras_predicts(original))


def variant(normalised: bool) -> keras.Model:
    """Return a U-Net as others write it, with nearly every option changed."""
    layers = keras.layers

    def block(x, filters: int):
        if not normalised:
            x = layers.Conv2D(
                filters,
                3,
                padding="same",
                activation="elu",
                kernel_regularizer="l2",
                kernel_initializer="glorot_normal",
            )(x)
            return layers.Dropout(0.1)(x)
        x = layers.Conv2D(filters, 5, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(epsilon=1e-4, momentum=0.8, center=False)(x)
        return layers.Activation("tanh")(x)

    image = keras.Input((SIZE, SIZE, 3))
    first = block(image, 2)
    second = block(layers.MaxPooling2D((2, 2))(first), 3)
    x = block(layers.MaxPooling2D(2, padding="same")(second), 4)
    for filters, skip in ((3, second), (2, first)):
        kernel, padding = (3, "same") if normalised else (2, "valid")
        x = layers.Conv2DTranspose(filters, kernel, strides=2, padding=padding)(x)
        x = block(layers.concatenate([skip, x, x]), filters)
    small = layers.Conv2D(2, 3, strides=2, padding="same", activation="gelu")(image)
    large = layers.AveragePooling2D(3, 1, padding="same")(layers.UpSampling2D()(small))
    x = layers.Concatenate()([x, large])
    return keras.Model(image, layers.Conv2D(3, 1, activation="sigmoid")(x))


@pytest.mark.parametrize("normalised", [True, False])
def test_a_u_net_of_another_hand_predicts_what_it_predicts_in_keras(
    normalised: bool, tmp_path: Path
) -> None:
    network = variant(normalised)
    randomize(network)
    path = save(network, tmp_path / "variant.h5")
    old = tmp_path / "old.h5"
    keras2_form(path, old)

    for name in (path, old):
        model = load_model(name)
        assert model.config.filters == SMALL
        np.testing.assert_array_equal(predict(model.network), predict(network))


def test_its_record_names_the_notebook_the_kaggle_classes_and_no_scale(
    original: Path,
) -> None:
    model = load_model(original)

    assert model.config.preset_name == "notebook"
    assert model.config.output == "colors"
    assert model.config.image_size == SIZE
    assert model.config.filters == SMALL
    assert model.config.dropout == 0.07
    assert model.classes == KAGGLE_CLASSES
    assert model.scale is None
    assert model.record.receptive_field == 26
    assert read_record(original) == model.record


def test_it_takes_images_of_other_sizes_too(original: Path) -> None:
    network = load_model(original).network

    assert network.predict_on_batch(images(32)).shape == (2, 32, 32, 3)


def test_saved_again_by_this_app_it_keeps_its_layers_and_predictions(
    original: Path, tmp_path: Path
) -> None:
    model = load_model(original)

    for path in save_model(model.network, model.record, tmp_path / "again"):
        again = load_model(path)
        assert again.scale is None
        np.testing.assert_array_equal(
            predict(again.network),
            predict(model.network),
        )


def test_the_settings_of_its_training_are_never_read(
    original: Path, tmp_path: Path
) -> None:
    with h5py.File(original, "r+") as file:
        file.attrs["training_config"] = json.dumps(
            {
                "loss": {"module": "os", "class_name": "function", "config": "system"},
                "optimizer_config": {"class_name": "Lambda"},
            }
        )

    assert load_model(original).config.filters == SMALL


def test_the_levels_are_read_from_the_layers() -> None:
    assert level_filters(graph_of(original_network(SMALL, SIZE))) == SMALL


def plain(size: tuple[int, int, int], outputs: int, activation: str) -> keras.Model:
    image = keras.Input(size)
    x = keras.layers.Conv2D(2, 3, padding="same")(image)
    low = keras.layers.MaxPooling2D(2)(x)
    up = keras.layers.Conv2DTranspose(2, 3, strides=2, padding="same")(low)
    x = keras.layers.Concatenate()([up, x])
    return keras.Model(image, keras.layers.Conv2D(outputs, 1, activation=activation)(x))


def flat() -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, keras.layers.Conv2D(3, 1, activation="sigmoid")(image))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (
            lambda: plain((SIZE, SIZE, 4), 3, "sigmoid"),
            "expects 4 input channels and size 16 x 16; the original's network has 3",
        ),
        (
            lambda: plain((SIZE, 2 * SIZE, 3), 3, "sigmoid"),
            "expects 3 input channels and size 32 x 16",
        ),
        (
            lambda: plain((SIZE, SIZE, 3), 7, "softmax"),
            r"gives 7 output channels \(softmax\)",
        ),
        (
            lambda: plain((SIZE, SIZE, 3), 3, "relu"),
            r"gives 3 output channels \(relu\)",
        ),
        (lambda: plain((10, 10, 3), 3, "sigmoid"), "image size must be 16 to 8192"),
        (flat, "no U-Net: 0 poolings"),
    ],
)
def test_another_network_is_refused_with_what_it_has(
    network, sentence: str, tmp_path: Path
) -> None:
    path = save(network(), tmp_path / "other.h5")

    with pytest.raises(ModelFileError, match=sentence) as caught:
        load_model(path)
    assert str(caught.value).startswith("other.h5: ")


def test_a_plain_keras_archive_without_our_record_is_refused(tmp_path: Path) -> None:
    path = save(original_network(SMALL, SIZE), tmp_path / "plain.keras")

    with pytest.raises(ModelFileError, match=r"plain\.keras: carries no record"):
        load_model(path)
    assert read_record(path) is None
