"""The gap meter for an image of any size: it reads the windows that are compared.

No TensorFlow.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.scene import Scene
from terrainlib.mask.feeding import Geometry, geometry_of
from terrainlib.mask.gap import Gap, Window, gap_windows, judge_windows, window_px

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

FloatArray = NDArray[np.float32]
Flags = NDArray[np.bool_]

_WHOLE: Final = 0.999  # of a working pixel's area; sums of weights are a little off


def scene_gap(
    model: "TerrainModel", scene: Scene, *, scale: float | None = None
) -> Gap:
    """Compare an image with the training images of a model, at its working resolution.

    Args:
        model: The model. Its scale counts, or for one without a scale the size that
            the whole image is brought to.
        scene: The image; only the windows that are compared are read.
        scale: Working px per image px instead of the model's own.

    Raises:
        ConfigError: If `scale` is out of bounds.
        ImageError: If the file turns out to be cut off or damaged.
    """
    geometry = geometry_of(model, (scene.height, scene.width), scale)
    statistics: dict[str, Any] = model.record.statistics
    places = gap_windows(geometry.working, window_px(statistics))
    pieces = (working_window(scene, geometry, place) for place in places)
    return judge_windows(statistics, pieces)


def working_window(
    scene: Scene, geometry: Geometry, window: Window
) -> tuple[FloatArray, Flags]:
    """Return a window of an image at the working resolution, as a network sees it.

    Args:
        scene: The image.
        geometry: The sizes on the way.
        window: Rows and columns at the working resolution; what reaches over the edge
            is left out.

    Returns:
        (h, w, 3) float32 RGB in [0, 1]; (h, w) bool, True where all of a pixel has
        data.
    """
    rows, columns = (
        slice(part.start, min(part.stop, length))
        for part, length in zip(window, geometry.working, strict=True)
    )
    down = geometry.down
    source = down.window(rows, columns)
    origin = (source[0].start, source[1].start)
    rgb, known = scene.read(source)
    if known.all():
        pixels = down.part(rgb, origin, rows, columns)
        return pixels, np.ones(pixels.shape[:2], bool)
    rgb[~known] = 0
    weights = down.part(known.astype(np.float32), origin, rows, columns)
    pixels = down.part(rgb, origin, rows, columns)
    pixels /= np.where(weights > 0, weights, np.float32(1))[..., None]
    return pixels, weights >= _WHOLE
