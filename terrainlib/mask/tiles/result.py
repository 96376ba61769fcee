"""What a prediction gives: probabilities, class mask and soft mask, and their making.

Everything is kept at the network's resolution and enlarged when it is asked for.
No TensorFlow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA, Classes, color_table, soft_colors
from terrainlib.mask.tiles.bands import Band, quantized, to_bytes
from terrainlib.mask.tiles.feeding import Prepared
from terrainlib.mask.tiles.resampling import Resizer
from terrainlib.types import ByteArray, FloatArray, Size

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel


_PIXELS_AT_ONCE: Final = 2**18


@dataclass(frozen=True)
class Prediction:
    """The mask of an image, at the image's size.

    Kept at the network's resolution; each of the large arrays is computed when it is
    first asked for.

    Attributes:
        palette: The K classes and their colours.
        valid: (H, W) bool, False where the image has no data.
        working_probabilities: (h, w, K) float32 at the network's resolution.
        working_soft: (h, w, 3) float32 in [0, 1] at the network's resolution.
    """

    palette: Classes
    valid: NDArray[np.bool_]
    working_probabilities: FloatArray
    working_soft: FloatArray

    @cached_property
    def probabilities(self) -> FloatArray:
        """(H, W, K) float32 in [0, 1], summing to 1 along K; enlarged bilinearly."""
        result = np.empty((*self._size, len(self.palette)), np.float32)
        for rows in strips(self._size):
            result[rows] = enlarged(self.working_probabilities, self._size, rows)
        return result

    @cached_property
    def classes(self) -> ByteArray:
        """(H, W) uint8, the most probable class; 255 where the image has no data."""
        return self.most_probable()[0]

    @cached_property
    def soft(self) -> FloatArray:
        """(H, W, 3) float32 in [0, 1], the soft mask; black without data."""
        soft = np.empty((*self._size, 3), np.float32)
        for rows in strips(self._size):
            np.clip(enlarged(self.working_soft, self._size, rows), 0, 1, out=soft[rows])
        soft[~self.valid] = 0
        return soft

    def soft_bytes(self) -> ByteArray:
        """Return the soft mask (H, W, 3) as uint8, without holding it as floats."""
        soft = np.empty((*self._size, 3), np.uint8)
        for rows in strips(self._size):
            soft[rows] = to_bytes(enlarged(self.working_soft, self._size, rows))
        soft[~self.valid] = 0
        return soft

    def most_probable(self) -> tuple[ByteArray, FloatArray]:
        """Return the most probable class of each pixel and its probability.

        Returns:
            (H, W) uint8, 255 where the image has no data; (H, W) float32 in [0, 1].
        """
        index = np.empty(self._size, np.uint8)
        probability = np.empty(self._size, np.float32)
        for rows, classes, best, _ in self._best_two():
            index[rows], probability[rows] = classes, best
        index[~self.valid] = NO_DATA
        return index, probability

    def classes_and_margins(self) -> tuple[ByteArray, ByteArray]:
        """Return the class mask, and how sure it is.

        Returns:
            (H, W) uint8, the most probable class, 255 where there is no data; (H, W)
            uint8, see `margin_bytes`, 0 where there is no data.
        """
        index, margins = np.empty(self._size, np.uint8), np.empty(self._size, np.uint8)
        for rows, classes, best, second in self._best_two():
            index[rows], margins[rows] = classes, margin_bytes(best, second)
        index[~self.valid] = NO_DATA
        margins[~self.valid] = 0
        return index, margins

    @property
    def _size(self) -> Size:
        return self.valid.shape[0], self.valid.shape[1]

    def _best_two(self) -> Iterator[tuple[slice, ByteArray, FloatArray, FloatArray]]:
        """Yield rows, and the best two classes there; no data is not looked at."""
        for rows in strips(self._size):
            planes = enlarged(self.working_probabilities, self._size, rows)
            yield rows, *best_two(planes)


def strips(size: Size) -> Iterator[slice]:
    """Yield the rows of an image, some at a time, so that little is held at once."""
    height, width = size
    step = max(1, _PIXELS_AT_ONCE // width)
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def enlarged(
    working: FloatArray | NDArray[np.uint16], size: Size, rows: slice
) -> FloatArray:
    """Return rows of (h, w, K) values at the image's size."""
    resizer = Resizer.between((working.shape[0], working.shape[1]), size)
    sources = resizer.rows.window(rows.start, rows.stop)
    values = np.ascontiguousarray(working[sources], np.float32)
    return resizer.part(values, (sources.start, 0), rows, slice(0, size[1]))


def best_two(probabilities: FloatArray) -> tuple[ByteArray, FloatArray, FloatArray]:
    """Return the most probable class, and the probabilities of the best two.

    Args:
        probabilities: (h, w, K) float32 in [0, 1].

    Returns:
        (h, w) uint8, the first of equally probable classes; (h, w) float32 its
        probability; (h, w) float32 that of the second best, 0 of one class.
    """
    stack = np.ascontiguousarray(np.moveaxis(probabilities, -1, 0))
    best, second = stack[0].copy(), np.zeros(stack.shape[1:], np.float32)
    classes = np.zeros(stack.shape[1:], np.uint8)
    lower = np.empty_like(best)
    for number, plane in enumerate(stack[1:], start=1):
        # Later classes have higher numbers: the maximum keeps the last that was better.
        better: NDArray[Any] = (plane > best).view(np.uint8) * np.uint8(number)
        np.maximum(classes, better, out=classes)
        np.maximum(second, np.minimum(plane, best, out=lower), out=second)
        np.maximum(best, plane, out=best)
    return classes, best, second


def margin_bytes(best: FloatArray, second: FloatArray) -> ByteArray:
    """Return how far the best class is ahead, (h, w) in 255ths, rounded down."""
    return ((best - second) * np.float32(255)).astype(np.uint8)


def planes_of(model: "TerrainModel", output: FloatArray) -> FloatArray:
    """Return what is kept, blended and enlarged of a network's output.

    Args:
        model: The model; its palette and kind of output count.
        output: (h, w, O) float32 class probabilities or colours.

    Returns:
        (h, w, K) float32, the probabilities; or, for a network of colours, (h, w, 3 +
        K), its colours and then 1 for the class of the nearest one.
    """
    if model.config.output != "colors":
        return output
    nearest = snap_to_classes(output, model.classes)
    votes = np.eye(len(model.classes), dtype=np.float32)[nearest]
    return np.concatenate([output, votes], axis=-1)


def finish(model: "TerrainModel", planes: FloatArray, prepared: Prepared) -> Prediction:
    """Turn the planes of a whole image into its prediction.

    Args:
        model: The model; its palette and kind of output count.
        planes: (H', W', P) float32 of `planes_of`, padding included or not.
        prepared: What the network was fed.
    """
    rows, columns = prepared.geometry.working
    planes = planes[:rows, :columns]
    return Prediction(
        model.classes,
        prepared.valid,
        probabilities_of(planes, model.classes),
        soft_of(planes, model.classes),
    )


def probabilities_of(planes: FloatArray, classes: Classes) -> FloatArray:
    """Return the probabilities (h, w, K) of the planes of `planes_of`."""
    return planes[..., -len(classes) :]


def soft_of(planes: FloatArray, classes: Classes) -> FloatArray:
    """Return the soft mask (h, w, 3) float32 of the planes of `planes_of`.

    Enlarging before or after it comes to the same, but for rounding.
    """
    if planes.shape[-1] > len(classes):
        return planes[..., :3]
    return soft_colors(planes, classes)


def snap_to_classes(rgb: NDArray[Any], classes: Classes) -> NDArray[np.uint8]:
    """Return the class whose colour is nearest to each pixel's.

    Args:
        rgb: (H, W, 3), uint8 or float32 in [0, 1]: a soft mask, sharpened or not.
        classes: The K classes.

    Returns:
        (H, W) uint8 class indices; between equally near classes the first wins.
    """
    table = color_table(classes).astype(np.float32)
    pixels = np.asarray(rgb, np.float32)
    if rgb.dtype != np.uint8:
        pixels = pixels * np.float32(255)
    best = np.full(pixels.shape[:2], np.inf, np.float32)
    index = np.zeros(pixels.shape[:2], np.uint8)
    for number, color in enumerate(table):
        distance = ((pixels - color) ** 2).sum(axis=-1)
        closer = distance < best
        index[closer] = number
        np.copyto(best, distance, where=closer)
    return index


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
        values = prediction.working_probabilities
        working = np.empty(values.shape, np.uint16)
        for rows in strips((values.shape[0], values.shape[1])):
            working[rows] = np.rint(values[rows] * _STEPS)
        return cls(working, (height, width))

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return some rows at the image's size, (stop - start, W, K) float32."""
        steps = enlarged(self.working, self.size, slice(start, stop))
        return np.divide(steps, _STEPS, out=steps)

    def weights(self, mask: ByteArray) -> ByteArray:
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

    def bands(self, mask: ByteArray) -> Iterator[Band]:
        """Yield a mask with the probabilities in 255ths, from the top to the bottom.

        Args:
            mask: (H, W) uint8, 255 where there is no data.
        """
        for rows in strips(self.size):
            yield Band(rows, mask[rows], weights=self._quantized(rows, mask))

    def _quantized(self, rows: slice, mask: ByteArray) -> ByteArray:
        weights = quantized(self.rows(rows.start, rows.stop))
        weights[mask[rows] == NO_DATA] = 0
        return weights
