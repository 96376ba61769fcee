"""How the looks of the training images are distributed, and how far off an image is.

`imagefeatures` measures an image; here the measurements of many are summed up in a form
that a model file can hold.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from terrainlib.model.imagefeatures import COLOR_CELLS, FEATURES, Vector

MIN_IMAGES: Final = 8
RARE_SHARE: Final = 1e-4  # a colour rarer than that is not one of the training images
MAX_WINDOW_PX: Final = 1 << 14

_PERCENTILES: Final = (1, 50, 99)
_RIDGE: Final = 1e-4  # keeps the covariance of equal images invertible
_NARROW: Final = 0.01
_MAX_VALUE: Final = 1e6
_DECIMALS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """How the looks of single training images are distributed.

    Attributes:
        window_px: Size of the images at the working scale, in px.
        typical: (3, 8) float64, the percentiles 1, 50 and 99 of each of the `FEATURES`
            over the images.
        mean: (8,) float64, the mean of each feature.
        covariance: (8, 8) float64, of the features over the images, drawn towards its
            diagonal the more the fewer images there are.
        distances: (2,) float64, the percentiles 50 and 99 of the Mahalanobis distance
            of each image from all others.
        colors: (216,) float64, share of the pixels in each cell of the colour cube.
        strangeness: Percentile 99 of the share of an image's pixels whose colours the
            other images do not have.
    """

    window_px: int
    typical: Vector
    mean: Vector
    covariance: Vector
    distances: Vector
    colors: Vector
    strangeness: float

    def excess(self, features: Vector) -> Vector:
        """Return how far each feature is off the middle of the training images.

        Args:
            features: (..., 8) float64, the features of images.

        Returns:
            (..., 8) float64; 1 where a feature reaches the percentile 1 or 99.
        """
        low, middle, high = self.typical
        width = np.where(features < middle, middle - low, high - middle)
        return np.asarray(np.abs(features - middle) / np.maximum(width, _NARROW))

    def residuals(self, features: Vector) -> Vector:
        """Return how far each feature is from what the others let expect.

        Args:
            features: (8,) float64, the features of an image.

        Returns:
            (8,) float64 in standard deviations of the feature, the others given.
        """
        precision = np.linalg.inv(self.covariance)
        scaled = precision @ (features - self.mean)
        return np.asarray(scaled / np.sqrt(np.diag(precision)), np.float64)

    def distance(self, features: Vector) -> float:
        """Return the Mahalanobis distance of an image's features from the mean."""
        return float(_distances((features - self.mean)[None], self.covariance)[0])

    def strange_share(self, shares: Vector) -> float:
        """Return the share of an image's pixels with foreign colours, 0 to 1.

        Args:
            shares: (216,) float64, the image's `color_shares`.
        """
        return float(shares[self.colors < RARE_SHARE].sum())

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form, about 3 kB."""
        arrays = {name: _rounded(getattr(self, name)) for name in _SHAPES}
        strangeness = round(self.strangeness, _DECIMALS)
        return {
            "features": list(FEATURES),
            "window_px": self.window_px,
            **arrays,
            "strangeness": strangeness,
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self | None:
        """Return the statistics of a JSON form; None where it is not usable."""
        if not isinstance(values, Mapping) or values.get("features") != list(FEATURES):
            return None
        size: Any = values.get("window_px")
        strangeness: Any = values.get("strangeness")
        arrays = {name: _array(values.get(name), name) for name in _SHAPES}
        found = {name: array for name, array in arrays.items() if array is not None}
        if len(found) < len(arrays) or not _is_covariance(found["covariance"]):
            return None
        positive = found["distances"].min() >= 0 and found["colors"].min() >= 0
        if not (positive and _is_size(size) and _is_share(strangeness)):
            return None
        return cls(window_px=size, strangeness=float(strangeness), **found)


def looks_of(features: Vector, shares: Vector, window_px: int) -> Looks:
    """Return the distribution over N images.

    Each image is compared with all others, never with itself, so that the distances of
    few images are not too small.

    Args:
        features: (N, 8) float64, N at least 8.
        shares: (N, 216) float64, their colours.
        window_px: Size of the images in px.
    """
    count = len(features)
    mean = features.mean(axis=0)
    offsets = features - mean
    scatter = offsets.T @ offsets
    # without image n: the mean moves by offset / (N - 1), the scatter loses this
    lost = count / (count - 1) * offsets[:, :, None] * offsets[:, None, :]
    others = _shrunk((scatter - lost) / (count - 2), count - 1)
    alone = _distances(offsets * count / (count - 1), others)
    colors = shares.mean(axis=0)
    rest = (colors * count - shares) / (count - 1)
    strange = np.where(rest < RARE_SHARE, shares, 0).sum(axis=1)
    return Looks(
        window_px=window_px,
        typical=np.percentile(features, _PERCENTILES, axis=0),
        mean=mean,
        covariance=_shrunk(scatter / (count - 1), count),
        distances=np.percentile(alone, _PERCENTILES[1:]),
        colors=colors,
        strangeness=float(np.percentile(strange, _PERCENTILES[-1])),
    )


_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "typical": (len(_PERCENTILES), len(FEATURES)),
    "mean": (len(FEATURES),),
    "covariance": (len(FEATURES), len(FEATURES)),
    "distances": (2,),
    "colors": (COLOR_CELLS,),
}


def _shrunk(covariance: Vector, images: int) -> Vector:
    """Draw covariances (..., 8, 8) towards their diagonals, for few images wholly."""
    weight = min(1.0, len(FEATURES) / images)
    unit = np.eye(len(FEATURES))
    mixed = (1 - weight) * covariance + weight * covariance * unit
    return np.asarray(mixed + _RIDGE * unit, np.float64)


def _distances(offsets: Vector, covariances: Vector) -> Vector:
    """Return the Mahalanobis lengths of (N, 8) offsets."""
    solved = np.linalg.solve(covariances, offsets[..., None])[..., 0]
    squares = np.einsum("ni,ni->n", offsets, solved)
    return np.asarray(np.sqrt(np.maximum(squares, 0)), np.float64)


def _rounded(values: Vector) -> Any:
    return np.round(values, _DECIMALS).tolist()


def _array(values: Any, name: str) -> Vector | None:
    """Return nested lists of numbers as an array; None where they are not."""
    shape = _SHAPES[name]
    rows = values if len(shape) == 2 else [values]
    if not (isinstance(rows, list) and all(isinstance(row, list) for row in rows)):
        return None
    if [len(row) for row in rows] != [shape[-1]] * math.prod(shape[:-1]):
        return None
    if not all(_is_number(value) for row in rows for value in row):
        return None
    return np.array(values, np.float64)


def _is_covariance(matrix: Vector) -> bool:
    """Return whether a matrix is symmetric and positive definite."""
    symmetric = np.allclose(matrix, matrix.T, atol=10**-_DECIMALS)
    return bool(symmetric and np.linalg.eigvalsh(matrix).min() > 0)


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= _MAX_VALUE  # neither NaN nor infinite


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_size(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 0 < value <= MAX_WINDOW_PX
