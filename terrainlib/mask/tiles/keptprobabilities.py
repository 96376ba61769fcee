"""Probabilities that stay in memory after a prediction, for what is made of them later.

They are kept at the network's resolution in two bytes each, and enlarged when they are
asked for. Whole steps of 1/65535 are 30 times as exact as half precision, and quicker
made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA
from terrainlib.mask.tiles.bands import Band, Bytes, quantized
from terrainlib.mask.tiles.resampling import FloatArray, Size
from terrainlib.mask.tiles.result import Prediction, enlarged, strips

_STEPS: Final = np.float32(2**16 - 1)


@dataclass(frozen=True, slots=True, eq=False)
class KeptProbabilities:
    """The probabilities of a prediction, off by at most 0.000008.

    Attributes:
        working: (h, w, K) uint16 in 65535ths at the network's resolution.
        size: (H, W) of the image, px.
    """

    working: NDArray[np.uint16]
    size: Size

    @classmethod
    def of(cls, prediction: Prediction) -> Self:
        """Return those of a prediction."""
        height, width = prediction.valid.shape
        steps = prediction.working_probabilities * _STEPS
        return cls(np.rint(steps, out=steps).astype(np.uint16), (height, width))

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return some rows at the image's size, (stop - start, W, K) float32."""
        steps = enlarged(self.working, self.size, slice(start, stop))
        return np.divide(steps, _STEPS, out=steps)

    def weights(self, mask: Bytes) -> Bytes:
        """Return the probabilities in 255ths.

        Args:
            mask: (H, W) uint8, 255 where there is no data.

        Returns:
            (H, W, K) uint8 that sum to 255 in every pixel, and to 0 without data.
        """
        result = np.empty((*self.size, self.working.shape[2]), np.uint8)
        for rows in strips(self.size):
            result[rows] = self._quantized(rows, mask)
        return result

    def bands(self, mask: Bytes) -> Iterator[Band]:
        """Yield a mask with the probabilities in 255ths, from the top to the bottom.

        Args:
            mask: (H, W) uint8, 255 where there is no data.
        """
        for rows in strips(self.size):
            yield Band(rows, mask[rows], weights=self._quantized(rows, mask))

    def _quantized(self, rows: slice, mask: Bytes) -> Bytes:
        weights = quantized(self.rows(rows.start, rows.stop))
        weights[mask[rows] == NO_DATA] = 0
        return weights
