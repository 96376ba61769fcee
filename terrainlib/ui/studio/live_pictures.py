"""What the live view of the mask studio shows: small pictures of what was made.

Pixels without data are transparent in all of them.
"""

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Image
from terrainlib.data.palette import NO_DATA, Classes, colorize
from terrainlib.mask.confidence import confidence_picture
from terrainlib.mask.rasters.export import encode_png
from terrainlib.ui.pictures import encode_jpeg, shrink
from terrainlib.ui.studio.live_view import PREVIEW_PX, Shown, ViewLayer, ViewPictures

Bytes = NDArray[np.uint8]


def view_pictures(
    key: str, image: Image, soft: Bytes, classes: Classes
) -> ViewPictures:
    """Return the image and its soft mask (H, W, 3) uint8 for the live view."""
    mask = shrink(soft, PREVIEW_PX, nearest=False)
    if not image.valid.all():
        mask = _transparent(mask, image.valid)
    height, width = mask.shape[:2]
    full = f"{image.width} × {image.height} px"
    note = f"Shown pixel for pixel at full size, {full}."
    if (height, width) != (image.height, image.width):
        note = (
            f"Preview at {width} × {height} px of {full}: downloads are computed at "
            "full size, where the same sharpening acts on finer detail."
        )
    return ViewPictures(
        id=key,
        image=encode_jpeg(shrink(image.rgb, PREVIEW_PX, nearest=False)),
        mask=encode_png(mask),
        classes=classes,
        note=note,
        name=image.name,
    )


def class_layer(key: str, index: Bytes, classes: Classes) -> ViewLayer:
    """Return a class mask (H, W) uint8 for the live view."""
    small = shrink(index, PREVIEW_PX, nearest=True)
    return _layer("classes", key, colorize(small, classes), small)


def confidence_layer(key: str, margins: Bytes, index: Bytes) -> ViewLayer:
    """Return how sure the model is for the live view.

    Args:
        key: Changes exactly when the picture does.
        margins: (H, W) uint8 in 255ths.
        index: (H, W) uint8, 255 where there is no data.
    """
    small = shrink(index, PREVIEW_PX, nearest=True)
    picture = confidence_picture(shrink(margins, PREVIEW_PX, nearest=True), small)
    return _layer("confidence", key, picture, small)


def _layer(name: Shown, key: str, picture: Bytes, index: Bytes) -> ViewLayer:
    known = index != NO_DATA
    if not known.all():
        picture = _transparent(picture, known)
    return ViewLayer(name, f"{key}\n{name}", encode_png(picture))


def _transparent(picture: Bytes, known: NDArray[np.bool_]) -> Bytes:
    """Add alpha to (h, w, 3): 255 where something is known, else 0."""
    alpha = known.astype(np.uint8) * np.uint8(255)
    return np.dstack([picture, shrink(alpha, PREVIEW_PX, nearest=True)])
