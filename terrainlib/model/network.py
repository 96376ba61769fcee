"""The U-Net, built from its configuration out of plain Keras layers.

One builder serves every preset: an encoder loop that keeps the skip connections, a
decoder loop that takes them back. It loads TensorFlow.
"""

from typing import Any

import keras
from keras import layers

from terrainlib.model.config import UNetConfig

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
    features = _stem(image, config)  # (N, H / stem_stride, W / stem_stride, ...)

    skips = []
    for level, filters in enumerate(config.filters[:-1], start=1):
        features = _block(features, filters, config, f"down{level}")
        skips.append(features)
        features = layers.MaxPooling2D(2, name=f"down{level}_pool")(features)
        features = _dropout(features, config, f"down{level}_dropout")
    features = _block(features, config.filters[-1], config, "bottom")

    for level, filters in reversed(
        list(enumerate(config.filters[:-1], start=1)),
    ):
        features = layers.Conv2DTranspose(
            filters, 3, strides=2, padding="same", name=f"up{level}_transpose"
        )(features)
        features = layers.Concatenate(name=f"up{level}_concat")([features, skips.pop()])
        features = _dropout(features, config, f"up{level}_dropout")
        features = _block(features, filters, config, f"up{level}")

    return keras.Model(image, _head(features, image, config), name="unet")


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
