"""How sure a model is of each pixel: the margin between its best two classes.

The margin tells more than the highest probability does: 0.5 against 0.49 is a guess,
0.5 against nine classes of 0.06 is not. It is kept as float32 in [0, 1], or in a byte
as 255ths, rounded down. `UNSURE_MARGIN` is 51 of them, so that both forms agree.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA
from terrainlib.errors import ImageError
from terrainlib.types import ByteArray

Color = tuple[int, int, int]

UNSURE_MARGIN: Final = 0.2  # below it, a pixel counts as unsure
UNSURE_COLORS: Final[tuple[Color, Color]] = ((122, 44, 0), (228, 112, 18))
SURE_COLORS: Final[tuple[Color, Color]] = ((126, 140, 160), (242, 246, 250))
NO_DATA_COLOR: Final[Color] = (0, 0, 0)

_UNSURE_BYTE: Final = round(UNSURE_MARGIN * 255)


def unsure_pixels(margins: NDArray[Any], classes: ByteArray) -> int:
    """Return how many pixels the model is unsure of.

    Args:
        margins: (H, W) float32 in [0, 1], or uint8 in 255ths.
        classes: (H, W) uint8 class indices; pixels of 255 (no data) do not count.

    Raises:
        ImageError: If the sizes differ.
    """
    _require_same_size(margins, classes)
    known = classes != NO_DATA
    return int(np.count_nonzero(known & (_bytes(margins) < _UNSURE_BYTE)))


def unsure_share(margins: NDArray[Any], classes: ByteArray) -> float:
    """Return the share of the pixels with data that the model is unsure of, 0 to 1.

    Args:
        margins: (H, W) float32 in [0, 1], or uint8 in 255ths.
        classes: (H, W) uint8 class indices; pixels of 255 (no data) do not count.

    Returns:
        The share; NaN where no pixel has data.

    Raises:
        ImageError: If the sizes differ.
    """
    known = int(np.count_nonzero(classes != NO_DATA))
    unsure = unsure_pixels(margins, classes)
    return unsure / known if known else float("nan")


def confidence_picture(margins: NDArray[Any], classes: ByteArray) -> ByteArray:
    """Return a picture of the margins that shows at once what is unsure.

    Unsure pixels are orange, all others grey-blue, and both become lighter with the
    margin: the two hues are told apart with every kind of colour blindness, and the
    order of lightness remains where there is no colour. Without data it is black.

    Args:
        margins: (H, W) float32 in [0, 1], or uint8 in 255ths.
        classes: (H, W) uint8 class indices, 255 = no data.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: If the sizes differ.
    """
    _require_same_size(margins, classes)
    picture = _color_table()[_bytes(margins)]
    picture[classes == NO_DATA] = NO_DATA_COLOR
    return picture


def _color_table() -> ByteArray:
    """Return (256, 3) uint8, the colour of each margin in 255ths."""
    unsure = np.linspace(*UNSURE_COLORS, num=_UNSURE_BYTE)
    sure = np.linspace(*SURE_COLORS, num=256 - _UNSURE_BYTE)
    return np.asarray(np.rint(np.concatenate([unsure, sure])), np.uint8)


def _bytes(margins: NDArray[Any]) -> ByteArray:
    """Return margins in 255ths, rounded down."""
    if margins.dtype == np.uint8:
        return margins
    scaled = np.floor(np.asarray(margins, np.float32) * np.float32(255))
    return np.asarray(np.clip(scaled, 0, 255), np.uint8)


def _require_same_size(margins: NDArray[Any], classes: ByteArray) -> None:
    if margins.shape != classes.shape:
        raise ImageError(
            f"the margins are {margins.shape} and the mask {classes.shape} (rows x "
            "columns); both must have the same size. Use those of one prediction."
        )
