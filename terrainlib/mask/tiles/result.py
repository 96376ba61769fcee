"""What a prediction gives: probabilities, class mask and soft mask, and their making.

Everything is kept at the network's resolution and enlarged when it is asked for.
No TensorFlow.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA, Classes, color_table, soft_colors
from terrainlib.mask.tiles.preparation import Prepared
from terrainlib.mask.tiles.resampling import Resizer

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

FloatArray = NDArray[np.float32]


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
        result = np.empty((*self.valid.shape, len(self.palette)), np.float32)
        for number in range(len(self.palette)):
            result[..., number] = self.plane(number)
        return result

    @cached_property
    def classes(self) -> NDArray[np.uint8]:
        """(H, W) uint8, the most probable class; 255 where the image has no data."""
        return self.most_probable()[0]

    @cached_property
    def soft(self) -> FloatArray:
        """(H, W, 3) float32 in [0, 1], the soft mask; black without data."""
        soft = np.clip(self._enlarge.whole(self.working_soft), 0, 1)
        soft[~self.valid] = 0
        return soft

    def most_probable(self) -> tuple[NDArray[np.uint8], FloatArray]:
        """Return the most probable class of each pixel and its probability.

        Returns:
            (H, W) uint8, 255 where the image has no data; (H, W) float32 in [0, 1].
        """
        # One class at a time: a third of the memory of all probabilities together.
        best = self.plane(0).copy()
        index = np.zeros(self.valid.shape, np.uint8)
        for number in range(1, len(self.palette)):
            plane = self.plane(number)
            better = plane > best
            index[better] = number
            np.copyto(best, plane, where=better)
        index[~self.valid] = NO_DATA
        return index, best

    @property
    def _enlarge(self) -> Resizer:
        height, width = self.valid.shape
        rows, columns = self.working_probabilities.shape[:2]
        return Resizer.between((rows, columns), (height, width))

    def plane(self, number: int) -> FloatArray:
        """Return the probability of one class, (H, W) float32."""
        plane = np.ascontiguousarray(self.working_probabilities[..., number])
        return self._enlarge.whole(plane)


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
    probabilities = planes[..., -len(model.classes) :]
    if model.config.output == "colors":
        soft = planes[..., :3]
    else:
        soft = soft_colors(probabilities, model.classes)
    return Prediction(model.classes, prepared.valid, probabilities, soft)


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
