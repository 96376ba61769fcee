"""How much ground a pixel covers: in an image, and in a model's training images.

A network knows objects by their size in pixels. Where a pixel covers ten times as much
ground as in the training images, every object is ten times as small.
"""

import math
from typing import TYPE_CHECKING, Any, Final

from terrainlib.data.dataset import Dataset
from terrainlib.data.sample import SAMPLE_DIR, SAMPLE_PIXEL_METRES
from terrainlib.data.scene import Scene, open_scene
from terrainlib.errors import TerrainError
from terrainlib.mask.ground.equalarea import mean_area
from terrainlib.mask.tiles.feeding import MAX_SCALE, MIN_SCALE, Geometry

if TYPE_CHECKING:
    from terrainlib.model.record import ModelRecord

PIXEL_METRES: Final = "pixel_metres"  # in the statistics of a model's record
LIKE_FACTOR: Final = 2.0  # up to here sizes of pixels are alike
LEAST_WORKING_PX: Final = 32  # of an image's shorter side, at a scale worth trying
_LOOKED_AT: Final = 9
_SAMPLE: Final = ("sample", 320)  # name and pairs: older records tell no more


def scene_pixel_metres(scene: Scene) -> float | None:
    """Return the mean size of a scene's pixel on the ground, where that is known."""
    area = mean_area(scene.georeference, scene.height, scene.width)
    return None if area is None else math.sqrt(area)


def dataset_statistics(dataset: Dataset) -> dict[str, float]:
    """Return what a model's statistics say of the ground that a pixel covers.

    Returns:
        The middle of some of the images as `pixel_metres`; nothing where none of them
        lies on the Earth.
    """
    if dataset.folder == SAMPLE_DIR:
        return {PIXEL_METRES: SAMPLE_PIXEL_METRES}
    placed = [p.image for p in dataset.pairs if p.image.suffix.lower().startswith(".t")]
    found = []
    for path in placed[:: max(1, len(placed) // _LOOKED_AT)]:
        try:
            with open_scene(path) as scene:
                found.append(scene_pixel_metres(scene))
        except TerrainError:  # it fails by name where it is needed
            continue
    known = sorted(metres for metres in found if metres)
    return {PIXEL_METRES: round(known[len(known) // 2], 4)} if known else {}


def training_pixel_metres(record: "ModelRecord") -> float | None:
    """Return the ground that a pixel of a model's training images covers, in metres."""
    told: Any = record.statistics.get(PIXEL_METRES)
    if isinstance(told, int | float) and math.isfinite(told) and told > 0:
        return float(told)
    data = record.dataset or {}
    of_sample = (data.get("name"), data.get("pairs")) == _SAMPLE
    return SAMPLE_PIXEL_METRES if of_sample else None


def size_factor(
    record: "ModelRecord", scene: Scene, geometry: Geometry
) -> tuple[float, float, float] | None:
    """Compare the pixels of a scene with those of the training images.

    Args:
        record: The model's record.
        scene: The image.
        geometry: How it is worked at.

    Returns:
        Metres that a pixel covers at the working scale, here and in training, and what
        to multiply the scale by so that both are the same; None where they are alike
        within a factor of two, or one of them is not known.
    """
    trained = training_pixel_metres(record)
    if trained is None or record.scale is None or geometry.whole:
        return None
    own = scene_pixel_metres(scene)
    if own is None:
        return None
    here = own * scene.width / geometry.working[1]
    there = trained / record.scale
    factor = here / there
    if 1 / LIKE_FACTOR <= factor <= LIKE_FACTOR:
        return None
    return here, there, factor


def worth_trying(geometry: Geometry, factor: float) -> bool:
    """Return whether enough of an image is left at another scale, and not too much."""
    scale = factor * geometry.working[0] / geometry.size[0]
    shorter = min(geometry.working) * factor
    return shorter >= LEAST_WORKING_PX and MIN_SCALE <= scale <= MAX_SCALE


def ground_length(metres: float) -> str:
    """Return a length as text.

    Example:
        >>> ground_length(7400), ground_length(10), ground_length(0.25)
        ('7.4 km', '10 m', '25 cm')
    """
    if metres >= 1000:
        return f"{metres / 1000:.3g} km"
    return f"{metres:.3g} m" if metres >= 1 else f"{metres * 100:.2g} cm"
