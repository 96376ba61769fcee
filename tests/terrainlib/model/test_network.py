"""The U-Net: the original's numbers, shapes, plain layers."""

import keras
import numpy as np
import pytest

from terrainlib.model.config import PRESETS, UNetConfig
from terrainlib.model.network import build_unet


def test_the_notebook_preset_has_the_originals_parameters_and_layers() -> None:
    network = build_unet(UNetConfig.preset("notebook"))

    kinds = [type(layer).__name__ for layer in network.layers]
    assert network.count_params() == 2_164_627
    assert kinds.count("Conv2D") == 19
    assert kinds.count("Conv2DTranspose") == 4
    assert kinds.count("Concatenate") == 4
    assert kinds.count("Dropout") == 8
    assert kinds.count("MaxPooling2D") == 4
    assert network.get_layer("mask").activation is keras.activations.sigmoid
    assert network.get_layer("down1_dropout").rate == 0.07


@pytest.mark.parametrize(
    ("name", "height"), [("fast", True), ("notebook", False), ("best", True)]
)
def test_any_multiple_of_the_grid_goes_in_and_comes_out(
    name: str, height: bool
) -> None:
    config = UNetConfig.preset(
        name, filters=(2, 3, 4, 5, 6), image_size=32, height=height, classes=4
    )
    network = build_unet(config)
    rows, columns = config.size_multiple, 3 * config.size_multiple
    image = np.zeros((2, rows, columns, config.input_channels), np.float32)

    output = network.predict_on_batch(image)

    assert output.shape == (2, rows, columns, config.output_channels)
    assert output.dtype == np.float32


def test_class_probabilities_sum_to_one() -> None:
    network = build_unet(UNetConfig.preset("fast", filters=(2, 3), image_size=16))
    image = np.random.default_rng(1).random((1, 16, 16, 3), np.float32)

    total = network.predict_on_batch(image).sum(axis=-1)

    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_only_plain_keras_layers_are_used(name: str) -> None:
    network = build_unet(UNetConfig.preset(name, filters=(2, 3), image_size=16))

    for layer in network.layers:
        assert getattr(keras.layers, type(layer).__name__) is type(layer)


def test_a_stem_of_stride_two_works_at_half_the_resolution() -> None:
    network = build_unet(UNetConfig.preset("fast", filters=(2, 3), image_size=16))

    full = network.get_layer("mask").output.shape
    assert full == (None, None, None, 7)
    half = keras.Model(network.input, network.get_layer("up1_conv1").output)
    features = half.predict_on_batch(np.zeros((1, 16, 16, 3), np.float32))
    assert features.shape == (1, 8, 8, 2)


@pytest.mark.parametrize("name", PRESETS)
def test_keras_itself_predicts_one_size_after_another(name: str) -> None:
    network = build_unet(UNetConfig.preset(name, filters=(2, 3), image_size=16))

    for rows, columns in ((16, 16), (32, 16), (48, 64)):
        image = np.zeros((1, rows, columns, 3), np.float32)
        assert network.predict(image, verbose=0).shape[1:3] == (rows, columns)


def test_the_fast_head_draws_no_checkerboard_on_even_ground() -> None:
    config = UNetConfig.preset("fast", filters=(4, 8), image_size=64)
    network = build_unet(config)
    even = np.full((1, 64, 64, 3), 0.4, np.float32)
    upsampled = keras.Model(network.input, network.get_layer("head_smoothing").output)
    coarse = keras.Model(network.input, network.get_layer("up1_conv2_relu").output)

    fine = upsampled.predict_on_batch(even)[0, 24:40, 24:40]
    features = coarse.predict_on_batch(even)[0, 12:20, 12:20]

    # Averages add no step between neighbours that the coarse features lack.
    largest = np.abs(np.diff(features, axis=1)).max() if features.any() else 0
    assert np.abs(np.diff(fine, axis=1)).max() <= largest + 1e-6


def encoder_weights(network: keras.Model) -> list[np.ndarray]:
    """Return what the encoder that was learnt on ImageNet holds, but for its bands."""
    return [
        weight.numpy()
        for layer in network.layers
        if layer.name.startswith("encoder") and layer.name != "encoder_bands"
        for weight in layer.weights
    ]


@pytest.mark.parametrize(("bands", "seen"), [(1, (0, 0, 0)), (3, (0, 1, 2))])
def test_an_encoder_that_was_learnt_before_is_the_same_in_each_network(
    bands: int, seen: tuple[int, ...]
) -> None:
    networks = [
        build_unet(UNetConfig.preset("fast", bands=bands, filters=filters))
        for filters in ((2, 3, 4), (4, 3, 2))
    ]

    one, other = map(encoder_weights, networks)
    assert len(one) == 2 * 15
    assert all(map(np.array_equal, one, other))
    trained = {weight.path for weight in networks[0].trainable_weights}
    assert not any(path.startswith("encoder") for path in trained)
    kernel = networks[0].get_layer("encoder_bands").get_weights()[0][0, 0]
    assert tuple(kernel.argmax(axis=0)) == seen


def test_what_an_encoder_learnt_tells_an_edge_from_even_ground() -> None:
    network = build_unet(UNetConfig.preset("fast", filters=(2, 3, 4)))
    features = keras.Model(network.input, network.get_layer("encoder4_add").output)
    images = np.full((2, 64, 64, 3), 0.5, np.float32)
    images[1, :, 32:] = 0.9

    even, edge = np.asarray(features(images))[:, 4, 2:6]

    assert (
        np.abs(np.diff(edge, axis=0)).max() > 10 * np.abs(np.diff(even, axis=0)).max()
    )
