"""The pictures of a pair as the pages show them, as encoded bytes.

Images become JPEG; masks become PNG: JPEG would invent colours between classes.
"""

from typing import Any, Final

import cv2
import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.dataset import Dataset
from terrainlib.data.layout import Pair
from terrainlib.data.palette import Classes, colorize
from terrainlib.mask.rasters.png import encode_png
from terrainlib.ui import cached

THUMBNAIL_PX: Final = 512


def image_picture(pair: Pair, dataset: Dataset) -> bytes:
    """Return the image of a pair as JPEG, in the bands of its data set.

    Raises:
        ImageError: If the file cannot be read any more.
    """
    bands = dataset.band_set
    return cached.image_thumbnail(pair.image, bands=bands, longest_px=THUMBNAIL_PX)


def mask_picture(pair: Pair, dataset: Dataset) -> bytes:
    """Return the mask of a pair in its class colours as PNG, enlarged if small.

    Raises:
        ImageError: If the file cannot be read any more.
    """
    return _enlarged(cached.mask_thumbnail(pair, dataset, longest_px=THUMBNAIL_PX))


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
    return cached.encode_jpeg(np.asarray(blended, np.uint8))


def relief_picture(pair: Pair) -> bytes | None:
    """Return the height of a pair as shaded relief, JPEG; None where it has none.

    Raises:
        ImageError: If the file cannot be read any more.
    """
    return cached.relief_thumbnail(pair, longest_px=THUMBNAIL_PX) or None


def colored_picture(mask: NDArray[np.uint8], classes: Classes) -> bytes:
    """Return a class mask, (H, W) uint8, in its colours as PNG of thumbnail size."""
    return flat_picture(colorize(mask, classes))


def flat_picture(rgb: NDArray[Any]) -> bytes:
    """Return flat colours as PNG of thumbnail size.

    Args:
        rgb: (H, W, 3) uint8, for instance a coloured mask.
    """
    return encode_png(_enlarge(cached.shrink(rgb, THUMBNAIL_PX, nearest=True)))


@st.cache_data(max_size="64MB", show_spinner=False)
def _enlarged(png: bytes) -> bytes:
    picture = _decode(png)
    larger = _enlarge(picture)
    return png if larger.shape == picture.shape else encode_png(larger)


def _enlarge(picture: NDArray[Any]) -> NDArray[Any]:
    """Enlarge by the largest whole factor that stays within `THUMBNAIL_PX`."""
    factor = max(1, THUMBNAIL_PX // max(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _decode(data: bytes) -> NDArray[np.uint8]:
    rgb = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(rgb, np.uint8)
