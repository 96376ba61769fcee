"""The pictures of a pair as the pages show them, as encoded bytes.

Images become JPEG; masks become PNG: JPEG would invent colours between classes. They
are kept encoded (a hit copies kilobytes, not megabytes) while their file is unchanged.
"""

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.dataset import Dataset, read_pair_height, read_pair_mask
from terrainlib.data.imagery import BandChoice, read_image
from terrainlib.data.layout import Pair
from terrainlib.data.palette import Classes, colorize
from terrainlib.data.relief import shaded_relief
from terrainlib.mask.rasters.png import encode_png
from terrainlib.mask.tiles.resampling import shrink
from terrainlib.ui.cached import Stamp, encode_jpeg, file_stamp

THUMBNAIL_PX: Final = 512
LARGE_PX: Final = 1024


def image_picture(pair: Pair, dataset: Dataset) -> bytes:
    """Return the image of a pair as JPEG, in the bands of its data set.

    Raises:
        ImageError: If the file cannot be read any more.
    """
    return image_thumbnail(pair.image, bands=dataset.band_set)


def image_thumbnail(
    path: Path, *, bands: BandChoice, longest_px: int = THUMBNAIL_PX
) -> bytes:
    """Return some bands of an image file, as for `imagery.read_image`, as JPEG.

    Raises:
        ImageError: If the file cannot be read any more.
    """
    return _image(f"{path}|{bands}", file_stamp(path), longest_px, path, bands)


def mask_picture(pair: Pair, dataset: Dataset) -> bytes:
    """Return the mask of a pair in its class colours as PNG, enlarged if small.

    Raises:
        ImageError: If the file cannot be read any more.
    """
    key = repr((dataset.classes, dataset.meaning, pair.mask, pair.laid))
    return _mask(key, file_stamp(pair.mask), pair, dataset)


def overlay_picture(pair: Pair, dataset: Dataset, opacity: float) -> bytes:
    """Return the mask of a pair laid over its image as JPEG.

    Args:
        pair: The pair.
        dataset: Its data set.
        opacity: 0 shows the image alone, 1 the mask alone.

    Raises:
        ImageError: If a file cannot be read any more.
    """
    mask = _decode(mask_picture(pair, dataset))
    image = _decode(image_picture(pair, dataset))
    size = (mask.shape[1], mask.shape[0])
    image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    blended = cv2.addWeighted(mask, opacity, image, 1 - opacity, 0)
    return encode_jpeg(np.asarray(blended, np.uint8))


def large_picture(
    pair: Pair,
    dataset: Dataset,
    shown: tuple[int, ...],
    opacity: float,
    *,
    relief: bool = False,
) -> bytes:
    """Return a pair large as JPEG, some classes of its mask laid over it.

    Args:
        pair: The pair.
        dataset: Its data set.
        shown: Indices of the classes that are laid over it.
        opacity: 0 shows what lies below alone, 1 these classes alone.
        relief: Whether its heights lie below, in place of its image.

    Raises:
        ImageError: If a file cannot be read any more.
    """
    below = relief_picture(pair) if relief else None
    if below is None:
        below = image_thumbnail(pair.image, bands=dataset.band_set, longest_px=LARGE_PX)
    rgb = _decode(below)
    factor = max(1, LARGE_PX // max(rgb.shape[:2]))
    size = (rgb.shape[1] * factor, rgb.shape[0] * factor)
    rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    mask = read_pair_mask(dataset, pair)
    mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    colors = colorize(mask, dataset.classes)
    laid = np.isin(mask, shown)[..., None]
    blended = cv2.addWeighted(colors, opacity, rgb, 1 - opacity, 0)
    return encode_jpeg(np.where(laid, blended, rgb).astype(np.uint8))


def relief_picture(pair: Pair) -> bytes | None:
    """Return the height of a pair as shaded relief, JPEG; None where it has none.

    Raises:
        ImageError: If the file cannot be read any more.
    """
    if pair.height is None:
        return None
    key = repr((pair.height, pair.laid))
    return _relief(key, file_stamp(pair.height), pair) or None


def colored_picture(mask: NDArray[np.uint8], classes: Classes) -> bytes:
    """Return a class mask, (H, W) uint8, in its colours as PNG of thumbnail size."""
    return flat_picture(colorize(mask, classes))


def flat_picture(rgb: NDArray[Any]) -> bytes:
    """Return flat colours, (H, W, 3) uint8, as PNG of thumbnail size."""
    return encode_png(_enlarge(shrink(rgb, THUMBNAIL_PX, nearest=True)))


@st.cache_data(max_size="64MB", show_spinner=False)
def _image(
    key: str, stamp: Stamp, longest_px: int, _path: Path, _bands: BandChoice
) -> bytes:
    del key, stamp  # parts of the key
    rgb = read_image(_path, bands=_bands).rgb
    return encode_jpeg(shrink(rgb, longest_px, nearest=False))


@st.cache_data(max_size="64MB", show_spinner=False)
def _mask(key: str, stamp: Stamp, _pair: Pair, _dataset: Dataset) -> bytes:
    del key, stamp  # parts of the key
    return colored_picture(read_pair_mask(_dataset, _pair), _dataset.classes)


@st.cache_data(max_size="64MB", show_spinner=False)
def _relief(key: str, stamp: Stamp, _pair: Pair) -> bytes:
    del key, stamp  # parts of the key
    height = read_pair_height(_pair)
    if height is None:
        return b""
    return encode_jpeg(shrink(shaded_relief(height), THUMBNAIL_PX, nearest=False))


def _enlarge(picture: NDArray[Any]) -> NDArray[Any]:
    """Enlarge by the largest whole factor that stays within `THUMBNAIL_PX`."""
    factor = max(1, THUMBNAIL_PX // max(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _decode(data: bytes) -> NDArray[np.uint8]:
    rgb = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(rgb, np.uint8)
