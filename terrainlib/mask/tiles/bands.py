"""Finished rows of a mask: what a prediction hands on while it is still at work.

A large raster is never held as a whole. Its prediction gives bands, rows over the whole
width from the top to the bottom, and whoever writes or counts takes them one by one.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA
from terrainlib.types import ByteArray

Plane = Literal["soft", "weights", "margin"]


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Rows of a mask that are done.

    Attributes:
        rows: Which rows of the image; each band begins where the one before ended.
        classes: (h, W) uint8, the most probable class; 255 where there is no data.
        soft: (h, W, 3) uint8, the soft mask; black where there is no data.
        weights: (h, W, K) uint8, the probabilities in 255ths. They sum to 255 in every
            pixel, and to 0 where there is no data.
        margin: (h, W) uint8, probability of the best class minus that of the second
            best in 255ths, rounded down; 0 where there is no data.
    """

    rows: slice
    classes: ByteArray
    soft: ByteArray | None = None
    weights: ByteArray | None = None
    margin: ByteArray | None = None


class Sink(Protocol):
    """Takes the bands of a mask in their order.

    Attributes:
        wants: What it needs beside the classes; the rest may be None.
    """

    @property
    def wants(self) -> Collection[Plane]:
        """What it needs beside the classes."""

    def write(self, band: Band) -> None:
        """Take one band."""


class FileSink(Sink, Protocol):
    """A sink that writes a file, in a context."""

    def __enter__(self) -> Self:
        """Begin the file."""

    def __exit__(self, kind: type[BaseException] | None, /, *_: object) -> None:
        """Finish it, or leave nothing behind after an exception."""

    def stopped_at(self, row: int) -> None:
        """Say that the rows from this one on were not predicted."""


def to_bytes(picture: NDArray[Any]) -> ByteArray:
    """Return pixels as uint8: floats in [0, 1] are scaled, rounded and clipped."""
    if picture.dtype == np.uint8:
        return picture
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255), np.uint8)


def quantized(probabilities: NDArray[np.float32]) -> ByteArray:
    """Return probabilities in 255ths that sum to 255 in every pixel.

    Rounded down first; what is missing goes, one each, to the classes that lost most
    (largest remainders), so that no value is off by 1 / 255 or more.

    Args:
        probabilities: (..., K) float32 in [0, 1], summing to 1 along K.

    Returns:
        (..., K) uint8.
    """
    scaled = probabilities / probabilities.sum(axis=-1, keepdims=True) * np.float32(255)
    floor = np.floor(scaled)
    missing = 255 - floor.sum(axis=-1).astype(np.int64)
    ranks = np.argsort(np.argsort(floor - scaled, axis=-1, kind="stable"), axis=-1)
    extra = ranks < missing[..., None]
    return np.asarray(floor + extra, np.uint8)


def no_data_band(rows: slice, width: int) -> Band:
    """Return a band without data, for rows that were not predicted."""
    return Band(rows, np.full((rows.stop - rows.start, width), NO_DATA, np.uint8))
