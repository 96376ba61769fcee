"""What goes into a world-builder's pack."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Georeference
from terrainlib.data.palette import Classes
from terrainlib.errors import ImageError
from terrainlib.mask.tiles.bands import Bytes
from terrainlib.mask.tiles.result import Prediction


@dataclass(frozen=True, slots=True, eq=False)
class PackContent:
    """What goes into a pack.

    Attributes:
        weights: (H, W, K) of the classes: float32 probabilities that sum to 1, or uint8
            in 255ths that sum to 255, or to 0 where there is no data. A memory map
            will do; it is read by rows.
        classes: The K classes.
        valid: (H, W) bool, False where there is no data; None if the weights say so.
        mask: (H, W) uint8 class mask to show, 255 = no data, for example after
            cleaning; None for the most probable classes.
        height: (H, W) float32 in metres, NaN where there is none; None without.
        georeference: Where the image's pixels lie, for true scales; None if not known.
        name: What the pack shows, for its text.

    Raises:
        ImageError: If sizes, types or number of classes do not fit.
    """

    weights: NDArray[Any]
    classes: Classes
    valid: NDArray[np.bool_] | None = None
    mask: Bytes | None = None
    height: NDArray[np.float32] | None = None
    georeference: Georeference | None = None
    name: str = field(default="Terrain")

    def __post_init__(self) -> None:
        shape, kind = self.weights.shape, self.weights.dtype
        if kind not in (np.uint8, np.float32) or len(shape) != 3 or 0 in shape:
            raise ImageError(
                "weights are (height, width, classes) of type float32 or uint8, not "
                f"{shape} of type {kind}. Give probabilities, or their 255ths.",
                file=self.name,
            )
        if shape[2] != len(self.classes):
            raise ImageError(
                f"there are weights of {shape[2]} classes, and {len(self.classes)} "
                "classes. Give the classes that belong to the weights.",
                file=self.name,
            )
        planes = {"mask": self.mask, "heights": self.height, "valid": self.valid}
        for what, plane in planes.items():
            if plane is not None and plane.shape != shape[:2]:
                found = " x ".join(map(str, plane.shape))
                raise ImageError(
                    f"the {what} are {found} and the weights {shape[0]} x {shape[1]} "
                    "(rows x columns); both must have the same size. Give what belongs "
                    "to this image.",
                    file=self.name,
                )

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image in px."""
        return int(self.weights.shape[0]), int(self.weights.shape[1])

    @classmethod
    def of(cls, prediction: Prediction, **more: Any) -> Self:
        """Return the content for a prediction.

        Args:
            prediction: The prediction.
            more: `mask`, `height`, `georeference` and `name`, as the attributes.
        """
        return cls(
            prediction.probabilities,
            prediction.palette,
            valid=prediction.valid,
            **more,
        )
