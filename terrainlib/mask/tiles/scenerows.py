"""The rows of a scene that a network is about to see, read ahead and held no longer.

Each pixel of the scene is read once. Held are the rows of one row of tiles, at the
working resolution, and those that wait in the queue for the next. No TensorFlow.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrainlib.mask.tiles.background import Ahead
from terrainlib.mask.tiles.feeding import Feed, FloatArray, Known
from terrainlib.mask.tiles.preparation import mirrored_rows
from terrainlib.mask.tiles.tiling import Grid, Span


@dataclass(frozen=True, slots=True, eq=False)
class _Strip:
    """Some rows of a scene.

    Attributes:
        rows: Working rows.
        image_rows: The rows of the image that belong to them.
        pixels: (n, W', C) float32 network input.
        known: (m, ceil(W / 8)) uint8, the bits of the image's valid pixels; None where
            all are.
    """

    rows: slice
    image_rows: slice
    pixels: FloatArray
    known: NDArray[np.uint8] | None


class SceneRows:
    """What a pass over the tiles of a scene is fed, one row of tiles after the other.

    Args:
        feed: The scene.
        grid: The tiles.
    """

    def __init__(self, feed: Feed, grid: Grid) -> None:
        self._feed = feed
        self._grid = grid
        shape = (grid.tile[0], grid.size[1], feed.channels)
        self._pixels = np.empty(shape, np.float32)
        self._top = 0
        self._end = 0
        self._known: list[_Strip] = []
        waiting = -(-grid.rows[-1].core.start // max(1, len(grid.rows) - 1))
        self._ahead = Ahead(self._strips(), 1 + waiting // feed.rows_at_once)
        self._source = iter(self._ahead)

    def close(self) -> None:
        """End the reading."""
        self._ahead.close()

    def advance(self, rows: Span) -> None:
        """Make the rows of a row of tiles available; earlier ones may go.

        Raises:
            ImageError: If the scene cannot be read there.
        """
        self._drop(rows.start)
        height, padded = self._feed.geometry.working[0], self._feed.geometry.padded[0]
        while self._end < min(rows.stop, height):
            strip = next(self._source)
            self._pixels[self._place(strip.rows)] = strip.pixels
            self._end = strip.rows.stop
            self._known.append(
                _Strip(strip.rows, strip.image_rows, strip.pixels[:0], strip.known)
            )
        if rows.stop == padded > height == self._end:
            mirrored = mirrored_rows(height, padded) - self._top
            self._pixels[self._place(slice(height, padded))] = self._pixels[mirrored]
            self._end = padded

    def pixels(self, rows: slice, columns: slice) -> FloatArray:
        """Return available pixels, (h, w, C) float32."""
        return self._pixels[self._place(rows), columns]

    def empty(self, rows: slice, columns: slice) -> bool:
        """Return whether no pixel of the image there has data."""
        known = self.known(rows, columns)
        return known is not None and known.size > 0 and not known.any()

    def known(self, rows: slice, columns: slice) -> Known | None:
        """Return where the image has data; None where it has data everywhere.

        Args:
            rows: Rows of the padded working image; so many that are still held.
            columns: Columns of it.

        Returns:
            (h, w) bool for the pixels of the image that belong to them.
        """
        part = self._feed.geometry.image_part(rows, columns)
        strips = [
            strip
            for strip in self._known
            if strip.image_rows.start < part[0].stop
            and strip.image_rows.stop > part[0].start
        ]
        if all(strip.known is None for strip in strips):
            return None
        width = self._feed.geometry.size[1]
        return np.concatenate([_bits(strip, part, width) for strip in strips])

    def _strips(self) -> Iterator[_Strip]:
        """Yield the rows of the scene, cut where rows of tiles end."""
        height, step = self._feed.geometry.working[0], self._feed.rows_at_once
        begin = 0
        for span in self._grid.rows:
            end = min(span.stop, height)
            for start in range(begin, end, step):
                rows = slice(start, min(start + step, end))
                pixels, known = self._feed.read(rows.start, rows.stop)
                bits = None if known.all() else np.packbits(known, axis=1)
                own = self._feed.image_rows(rows.start, rows.stop)
                yield _Strip(rows, own, pixels, bits)
            begin = end

    def _drop(self, top: int) -> None:
        """Forget the rows above `top`."""
        gone = top - self._top
        if gone > 0:
            remaining = self._end - top
            self._pixels[:remaining] = self._pixels[gone : gone + remaining].copy()
            self._top = top
        self._known = [strip for strip in self._known if strip.rows.stop > top]

    def _place(self, rows: slice) -> slice:
        return slice(rows.start - self._top, rows.stop - self._top)


def _bits(strip: _Strip, part: tuple[slice, slice], width: int) -> Known:
    """Return the valid pixels of the part of an image that a strip holds."""
    start = max(part[0].start, strip.image_rows.start) - strip.image_rows.start
    stop = min(part[0].stop, strip.image_rows.stop) - strip.image_rows.start
    if strip.known is None:
        return np.ones((stop - start, part[1].stop - part[1].start), np.bool_)
    first = part[1].start // 8
    bits = np.unpackbits(
        strip.known[start:stop, first : -(-part[1].stop // 8)],
        axis=1,
        count=min(width, -(-part[1].stop // 8) * 8) - first * 8,
    )
    left = part[1].start - first * 8
    return bits[:, left : left + part[1].stop - part[1].start].astype(np.bool_)
