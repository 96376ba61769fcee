"""From a network's output to the finished rows of a mask, at the image's size.

Blocks come in any order within their row of tiles. As soon as such a row is complete,
it is handed on in bands over the full width; nothing of it is held any longer. No
TensorFlow.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.mask.confidence import unsure_pixels
from terrainlib.mask.tiles.bands import Band, Plane, no_data_band, quantized, to_bytes
from terrainlib.mask.tiles.feeding import Geometry
from terrainlib.mask.tiles.result import (
    best_two,
    margin_bytes,
    probabilities_of,
    soft_of,
)
from terrainlib.mask.tiles.tilepass import Block
from terrainlib.types import BoolArray, ByteArray, FloatArray

BAND_PX: Final = 8 * 2**20  # of a band that is handed on
_PIXELS_AT_ONCE: Final = 2**16  # so that what is computed stays in the cache


@dataclass(slots=True)
class Tally:
    """What the finished pixels are; rows that are not complete do not count.

    Attributes:
        counts: (256,) int64, pixels of each class; at 255 those without data.
        unsure: Pixels whose best two classes are close, see `confidence`.
        rows: The row of the image that comes next.
    """

    counts: NDArray[np.int64]
    unsure: int = 0
    rows: int = 0


def empty_bands(rows: slice, width: int) -> Iterator[Band]:
    """Yield bands without data for rows that were not predicted."""
    step = max(1, BAND_PX // width)
    for start in range(rows.start, rows.stop, step):
        yield no_data_band(slice(start, min(start + step, rows.stop)), width)


class Finisher:
    """Makes bands of blocks, and hands them on."""

    def __init__(
        self,
        classes: Classes,
        geometry: Geometry,
        wants: Collection[Plane],
        write: Callable[[Band], None],
        rows: slice,
    ) -> None:
        self.tally = Tally(np.zeros(256, np.int64), rows=rows.start)
        self._last = rows.stop
        self._open = Tally(np.zeros(256, np.int64))  # of the row of tiles at work
        self._classes = classes
        self._geometry = geometry
        self._up = geometry.up
        self._wants = wants
        self._write = write
        self._band: Band | None = None
        self._covered = 0

    def take(self, job: tuple[Block, BoolArray | None]) -> None:
        """Take a block, and where the image has data in it (None: everywhere)."""
        block, known = job
        rows, columns = self._geometry.image_part(block.rows, block.columns)
        if rows.start < rows.stop and columns.start < columns.stop:
            if self._band is None:
                self._band = self._new_band(rows)
            self._fill(self._band, block, known, (rows, columns))
        self._covered += block.columns.stop - block.columns.start
        if self._covered == self._geometry.padded[1]:
            self._hand_on()

    def end(self) -> None:
        """Hand on what was not predicted as rows without data."""
        rest = slice(self.tally.rows, self._last)
        for band in empty_bands(rest, self._geometry.size[1]):
            self._write(band)

    def _new_band(self, rows: slice) -> Band:
        size = (rows.stop - rows.start, self._geometry.size[1])
        depth = len(self._classes)
        return Band(
            rows,
            np.empty(size, np.uint8),
            np.empty((*size, 3), np.uint8) if "soft" in self._wants else None,
            np.empty((*size, depth), np.uint8) if "weights" in self._wants else None,
            np.empty(size, np.uint8) if "margin" in self._wants else None,
        )

    def _fill(
        self,
        band: Band,
        block: Block,
        known: BoolArray | None,
        part: tuple[slice, slice],
    ) -> None:
        rows, columns = part
        width = columns.stop - columns.start
        step = max(1, _PIXELS_AT_ONCE // width)
        for start in range(rows.start, rows.stop, step):
            some = slice(start, min(start + step, rows.stop))
            inside = known
            if known is not None:
                inside = known[some.start - rows.start : some.stop - rows.start]
            if block.planes is None:
                depth = len(self._classes)
                planes = np.zeros((some.stop - start, width, depth), np.float32)
            else:
                planes = self._up.part(block.planes, block.origin, some, columns)
            first = band.rows.start
            place = slice(some.start - first, some.stop - first), columns
            self._decide(band, place, planes, inside)

    def _decide(
        self,
        band: Band,
        place: tuple[slice, slice],
        planes: FloatArray,
        known: BoolArray | None,
    ) -> None:
        """Write the pixels of some planes (h, w, P) into the band, and count them."""
        probabilities = probabilities_of(planes, self._classes)
        classes, best, second = best_two(probabilities)
        margins = margin_bytes(best, second)
        if known is not None:
            classes[~known] = NO_DATA
            margins[~known] = 0
        self._open.counts += np.bincount(classes.ravel(), minlength=256)
        self._open.unsure += unsure_pixels(margins, classes)
        band.classes[place] = classes
        if band.margin is not None:
            band.margin[place] = margins
        if band.soft is not None:
            soft = to_bytes(soft_of(planes, self._classes))
            band.soft[place] = _known(soft, known)
        if band.weights is not None:
            if known is not None:  # zeros there would be divided by their sum
                probabilities = np.where(known[..., None], probabilities, np.float32(1))
            band.weights[place] = _known(quantized(probabilities), known)

    def _hand_on(self) -> None:
        band, self._band, self._covered = self._band, None, 0
        if band is None:
            return
        self.tally.counts += self._open.counts
        self.tally.unsure += self._open.unsure
        self._open = Tally(np.zeros(256, np.int64))
        width = self._geometry.size[1]
        step = max(1, BAND_PX // width)
        for start in range(0, len(band.classes), step):
            stop = min(start + step, len(band.classes))
            part = slice(start, stop)
            self._write(
                Band(
                    slice(band.rows.start + start, band.rows.start + stop),
                    band.classes[part],
                    *(
                        None if plane is None else plane[part]
                        for plane in (band.soft, band.weights, band.margin)
                    ),
                )
            )
            self.tally.rows = band.rows.start + stop


def _known(values: ByteArray, known: BoolArray | None) -> ByteArray:
    """Return values with 0 where there is no data."""
    if known is not None:
        values[~known] = 0
    return values
