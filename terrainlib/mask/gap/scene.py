"""The gap meter on images of any size: only the windows that it compares are read."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.scene import Scene
from terrainlib.mask.gap.meter import Gap, gap_windows, judge_windows, window_px
from terrainlib.mask.tiles.feeding import Geometry, geometry_of

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

FloatArray = NDArray[np.float32]
Known = NDArray[np.bool_]

_PIXELS_AT_ONCE: Final = 2 * 2**20  # of the image


def scene_gap(
    model: "TerrainModel", scene: Scene, *, scale: float | None = None
) -> Gap:
    """Compare an image of any size with the training images of a model.

    Args:
        model: The model.
        scene: The image.
        scale: Working px per image px instead of the model's own.

    Raises:
        ConfigError: If `scale` is out of bounds.
        ImageError: If the file turns out to be damaged.
    """
    geometry = geometry_of(model, (scene.height, scene.width), scale)
    statistics = model.record.statistics
    return judge_windows(statistics, _windows(scene, geometry, window_px(statistics)))


def _windows(
    scene: Scene, geometry: Geometry, size: int
) -> Iterator[tuple[FloatArray, Known]]:
    """Give the windows to compare at the working resolution, one after the other."""
    height, width = geometry.working
    for rows, columns in gap_windows(geometry.working, size):
        yield _shrunk(
            scene,
            geometry,
            slice(rows.start, min(rows.stop, height)),
            slice(columns.start, min(columns.stop, width)),
        )


def _shrunk(
    scene: Scene, geometry: Geometry, rows: slice, columns: slice
) -> tuple[FloatArray, Known]:
    """Return a window at the working resolution, and where it has data."""
    across = geometry.down.columns.window(columns.start, columns.stop)
    down = geometry.down.rows.window(rows.start, rows.stop)
    per_row = -(-(down.stop - down.start) // (rows.stop - rows.start))
    step = max(1, _PIXELS_AT_ONCE // (per_row * (across.stop - across.start)))
    parts = [
        _part(scene, geometry, slice(start, min(start + step, rows.stop)), columns)
        for start in range(rows.start, rows.stop, step)
    ]
    colors, known = zip(*parts, strict=True)
    return np.concatenate(colors), np.concatenate(known)


def _part(
    scene: Scene, geometry: Geometry, rows: slice, columns: slice
) -> tuple[FloatArray, Known]:
    """Return some rows of a window; pixels without data count in no average."""
    window = geometry.down.window(rows, columns)
    origin = window[0].start, window[1].start
    rgb, known = scene.read(window)
    colors = geometry.down.part(rgb, origin, rows, columns)
    if known.all():
        return colors, np.ones(colors.shape[:2], bool)
    weight = geometry.down.part(known.astype(np.float32), origin, rows, columns)
    found = weight > 0
    weight[~found] = 1
    return colors / weight[..., None], found
