"""The U-Net, built from its configuration out of plain Keras layers.

One builder serves every preset: an encoder loop that keeps the skip connections, a
decoder loop that takes them back.

The encoder may be one that was learnt on ImageNet, the first blocks of EfficientNet
Lite0. What a million photographs taught it (edges, textures, materials) holds on any
ground, where what a few hundred tiles teach holds on theirs. It is frozen: a training
only learns what to make of its features. Its normalisations are folded into its
convolutions (`benchmarks/encoder_weights.py`). It loads TensorFlow.
"""

from functools import cache
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import layers

from terrainlib.model.config import (
    ENCODER_BLOCKS,
    ENCODER_STEM_FILTERS,
    Block,
    UNetConfig,
)
from terrainlib.types import FloatArray

_WEIGHTS: Final = Path(__file__).resolve().parent.parent / "assets" / "encoder"
_COLORS: Final = 3
_GAIN, _SHIFT = 255 / 128, -127 / 128  # of bands in [0, 1], as the encoder learnt them
INPUT_NAME = "image"
OUTPUT_NAME = "mask"


def build_unet(config: UNetConfig) -> Any:
    """Build an untrained U-Net.

    Layer names are fixed (`down1_conv1`, `up1_concat`, ...), so that files written from
    one build fit another.

    Returns:
        A `keras.Model` from (N, H, W, C) float32, bands in [0, 1] and C being
        `config.input_channels`, to (N, H, W, K) float32 class probabilities, or for
        `colors` (N, H, W, 3) colours in [0, 1]. H and W are any multiples of
        `config.size_multiple`.

    References:
        Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image
        Segmentation (2015), doi:10.1007/978-3-319-24574-4_28.
    """
    image = keras.Input((None, None, config.input_channels), name=INPUT_NAME)
    if config.encoder == "imagenet":
        skips = _learnt_levels(image, config)
    else:
        skips = _own_levels(image, config)
    features = _block(skips.pop(), config.filters[-1], config, "bottom")

    for level, filters in reversed(
        list(enumerate(config.filters[:-1], start=1)),
    ):
        features = layers.Conv2DTranspose(
            filters, 3, strides=2, padding="same", name=f"up{level}_transpose"
        )(features)
        features = layers.Concatenate(name=f"up{level}_concat")([features, skips.pop()])
        features = _dropout(features, config, f"up{level}_dropout")
        features = _block(features, filters, config, f"up{level}")

    network = keras.Model(image, _head(features, image, config), name="unet")
    if config.encoder == "imagenet":
        _set_learnt_weights(network, config.bands)
    return network


def _own_levels(image: Any, config: UNetConfig) -> list[Any]:
    """Return what each level hands on, from fine to coarse: the last to the bottom."""
    features = _stem(image, config)  # (N, H / stem_stride, W / stem_stride, ...)
    skips = []
    for level, filters in enumerate(config.filters[:-1], start=1):
        features = _block(features, filters, config, f"down{level}")
        skips.append(features)
        features = layers.MaxPooling2D(2, name=f"down{level}_pool")(features)
        features = _dropout(features, config, f"down{level}_dropout")
    return [*skips, features]


def _learnt_levels(image: Any, config: UNetConfig) -> list[Any]:
    """Return the same where the encoder was learnt on ImageNet.

    Beside it each level has one convolution that learns here: of the heights and the
    further bands, which the encoder does not see.
    """
    first = 2 // config.stem_stride  # the level at half of the resolution
    learnt = _learnt_features(image, len(config.filters) - first + 1)
    known = dict(enumerate(learnt, start=first))
    features, skips = image, []
    for level, filters in enumerate(config.beside_filters, start=1):
        stem = level == 1 and config.stem_stride == 2
        name = "stem" if stem else f"down{level}_conv1"
        if level > 1:
            features = layers.MaxPooling2D(2, name=f"down{level - 1}_pool")(features)
        features = _convolution(features, filters, config, name, stride=1 + stem)
        skip = features
        if level in known:
            name = f"down{level}_concat"
            skip = layers.Concatenate(name=name)([features, known[level]])
        skips.append(_dropout(skip, config, f"down{level}_dropout"))
    return skips


def _learnt_features(image: Any, levels: int) -> list[Any]:
    """Return what the encoder sees at 1/2, 1/4 and 1/8 of the image's resolution.

    The first three bands count as red, green and blue; of fewer the last one stands for
    those that lack.
    """
    level = layers.Conv2D(_COLORS, 1, name="encoder_bands", trainable=False)(image)
    level = _frozen(level, ENCODER_STEM_FILTERS, 3, "encoder_stem", stride=2)
    found: list[Any] = []
    for number, block in enumerate(ENCODER_BLOCKS):
        if block.stride == 2:
            found.append(level)
        if len(found) == levels:
            return found
        level = _learnt_block(level, block, f"encoder{number}")
    return [*found, level]


def _learnt_block(given: Any, block: Block, name: str) -> Any:
    inner = given
    if block.expansion > 1:
        wide = given.shape[-1] * block.expansion
        inner = _frozen(inner, wide, 1, f"{name}_expand")
    inner = layers.DepthwiseConv2D(
        block.kernel,
        strides=block.stride,
        padding="same",
        activation="relu6",
        name=f"{name}_depth",
        trainable=False,
    )(inner)
    inner = layers.Conv2D(
        block.filters, 1, padding="same", name=f"{name}_project", trainable=False
    )(inner)
    if block.stride == 1 and given.shape[-1] == block.filters:
        return layers.Add(name=f"{name}_add")([given, inner])
    return inner


def _frozen(
    given: Any, filters: int, kernel: int, name: str, *, stride: int = 1
) -> Any:
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        activation="relu6",
        name=name,
        trainable=False,
    )(given)


def _set_learnt_weights(network: Any, bands: int) -> None:
    """Give the layers of the encoder what was learnt on ImageNet."""
    for layer in network.layers:
        if layer.name == "encoder_bands":
            kernel = np.zeros(layer.kernel.shape, np.float32)
            for color in range(_COLORS):
                kernel[0, 0, min(color, bands - 1), color] = _GAIN
            layer.set_weights([kernel, np.full(_COLORS, _SHIFT, np.float32)])
        elif layer.name.startswith("encoder") and layer.weights:
            names = (f"{layer.name}/kernel", f"{layer.name}/bias")
            layer.set_weights([_learnt_weights()[name] for name in names])


@cache
def _learnt_weights() -> dict[str, FloatArray]:
    with np.load(_WEIGHTS / "weights.npz", allow_pickle=False) as file:
        return {name: file[name].astype(np.float32) for name in file.files}


def _stem(image: Any, config: UNetConfig) -> Any:
    """Halve the resolution with a strided convolution where the preset wants it."""
    if config.stem_stride == 1:
        return image
    return _convolution(image, config.filters[0], config, "stem", stride=2)


def _head(features: Any, image: Any, config: UNetConfig) -> Any:
    if config.stem_stride == 2:
        # Repeating and averaging pixels draws no checkerboard, which sharpening a mask
        # would bring out (Odena, Dumoulin, Olah 2016, doi:10.23915/distill.00003).
        features = layers.UpSampling2D(2, name="head_upsampling")(features)
        features = layers.AveragePooling2D(
            3, strides=1, padding="same", name="head_smoothing"
        )(features)
        # What the image shows at its full resolution comes back in, so that borders can
        # be as fine as the image. A 1x1 convolution joins the two for a seventh of the
        # arithmetic of a 3x3 one: (N, H, W, F + F / 2) -> (N, H, W, F).
        first = config.filters[0]
        detail = _convolution(image, max(1, first // 2), config, "head_detail")
        features = layers.Concatenate(name="head_concat")([features, detail])
        features = _convolution(features, first, config, "head", kernel=1)
    activation = "softmax" if config.output == "classes" else "sigmoid"
    return layers.Conv2D(
        config.output_channels, 1, activation=activation, name=OUTPUT_NAME
    )(features)


def _block(features: Any, filters: int, config: UNetConfig, name: str) -> Any:
    features = _convolution(features, filters, config, f"{name}_conv1")
    return _convolution(features, filters, config, f"{name}_conv2")


def _convolution(
    features: Any,
    filters: int,
    config: UNetConfig,
    name: str,
    *,
    kernel: int = 3,
    stride: int = 1,
) -> Any:
    features = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=config.convolution_bias,
        kernel_initializer="he_normal",
        name=name,
    )(features)
    features = layers.BatchNormalization(
        momentum=config.batch_norm_momentum, name=f"{name}_norm"
    )(features)
    return layers.Activation("relu", name=f"{name}_relu")(features)


def _dropout(features: Any, config: UNetConfig, name: str) -> Any:
    """Drop features at random while training; nothing where the share is 0."""
    if config.dropout == 0:
        return features
    return layers.Dropout(config.dropout, name=name)(features)
