"""How the looks of the training images are distributed, and how far off an image is.

`imagefeatures` measures an image; here the measurements of many are summed up in a form
that a model file can hold.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.bands import is_colors
from terrainlib.data.palette import NO_DATA
from terrainlib.types import BoolArray, ByteArray, FloatArray

if TYPE_CHECKING:
    from terrainlib.data.cache import PairCache

Vector = NDArray[np.float64]

FEATURES: Final = (
    "brightness",
    "red",
    "blue",
    "contrast",
    "vividness",
    "variety",
    "detail",
    "coarse_detail",
)
COLOR_LEVELS: Final = 6
COLOR_CELLS: Final = COLOR_LEVELS**3
MIN_PIXELS: Final = 256
MIN_SIDE_PX: Final = 8
MIN_VALID_SHARE: Final = 0.25

_DARK: Final = 0.02  # keeps the logarithm of a black image finite
_FLAT: Final = 0.01  # and that of a flat one
_OFFSETS: Final = {
    "brightness": _DARK,
    "contrast": _FLAT,
    "vividness": _DARK,
    "variety": _FLAT,
}
_ROUNDING: Final = 1 / (12 * 255**2)  # variance of rounding to 8 bits


def image_features(rgb: FloatArray, valid: BoolArray | None = None) -> Vector | None:
    """Return the features of one window, in the order of `FEATURES`.

    All are logarithms to base 2, so that a difference of 1 is a factor of 2:

    - `brightness`: mean of all channels.
    - `red`, `blue`: mean of the channel over the mean of green.
    - `contrast`: spread of the brightness of pixels.
    - `vividness`: mean of the largest minus the smallest channel of a pixel.
    - `variety`: spread of that.
    - `detail`: amplitude between neighbouring pixels over the amplitude at twice the
      distance, within blocks of 2 x 2 and 4 x 4 px (the Haar wavelet); 0 where both are
      equal, -1 where the image is as smooth as a slope. Contrast does not change it.
    - `coarse_detail`: the same at twice the distance.

    Args:
        rgb: (H, W, 3) float32 in [0, 1]; not modified.
        valid: (H, W) bool, which pixels have data; all where it is None.

    Returns:
        (8,) float64; None where fewer than 256 pixels, or less than a quarter of them,
        have data, or a side is shorter than 8 px.
    """
    height, width = rgb.shape[:2]
    known = np.ones((height, width), bool) if valid is None else valid
    count = int(np.count_nonzero(known))
    enough = count >= max(MIN_PIXELS, MIN_VALID_SHARE * known.size)
    if not enough or min(height, width) < MIN_SIDE_PX:
        return None
    # One plane a channel: NumPy is several times slower along an axis of three values.
    planes = [np.ascontiguousarray(rgb[..., band], np.float32) for band in range(3)]
    inside = planes if count == known.size else [plane[known] for plane in planes]
    red, green, blue = (float(band.mean(dtype=float)) + _DARK for band in inside)
    vivid = functools.reduce(np.maximum, inside) - functools.reduce(np.minimum, inside)
    brightness = (planes[0] + planes[1] + planes[2]) / np.float32(3)
    values = [
        (red + green + blue) / 3,
        red / green,
        blue / green,
        float(brightness[known].std(dtype=float)) + _FLAT,
        float(vivid.mean(dtype=float)) + _DARK,
        float(vivid.std(dtype=float)) + _FLAT,
        *_details(brightness, known),
    ]
    return np.log2(values)


def natural_value(name: str, value: float) -> float:
    """Return a feature without its logarithm.

    Args:
        name: One of the `FEATURES`.
        value: Its value as `image_features` gives it.

    Returns:
        For brightness, contrast, vividness and variety a value in [0, 1], for the
        others a ratio.
    """
    return max(0.0, float(2**value) - _OFFSETS.get(name, 0.0))


def mean_color(features: Vector) -> Vector:
    """Return the mean red, green and blue, (3,) float64 in [0, 1], out of features."""
    total, red, blue = (float(2 ** features[number]) for number in range(3))
    green = 3 * total / (1 + red + blue)
    color = np.array([red * green, green, blue * green]) - _DARK
    return np.maximum(color, 0)


def color_cells(rgb: FloatArray) -> NDArray[np.intp]:
    """Return which of the 216 cells of the colour cube each pixel lies in.

    Each channel is cut into 6 levels of its square root: dark colours, which satellite
    images are full of, are told apart more finely than bright ones.

    Args:
        rgb: (..., 3) float32 in [0, 1].

    Returns:
        (...) indices below 216.

    Example:
        >>> color_cells(np.array([[0, 0, 0], [1, 1, 1]], np.float32)).tolist()
        [0, 215]
    """
    levels = (np.sqrt(np.clip(rgb, 0, 1)) * COLOR_LEVELS).astype(np.intp)
    np.minimum(levels, COLOR_LEVELS - 1, out=levels)
    red, green, blue = levels[..., 0], levels[..., 1], levels[..., 2]
    return np.asarray((red * COLOR_LEVELS + green) * COLOR_LEVELS + blue, np.intp)


def color_shares(rgb: FloatArray, valid: BoolArray | None = None) -> Vector:
    """Return the share of the pixels with data in each cell of the colour cube.

    Args:
        rgb: (H, W, 3) float32 in [0, 1].
        valid: (H, W) bool, which pixels have data; all where it is None.

    Returns:
        (216,) float64 that sums to 1, or zeros without data.
    """
    cells = color_cells(rgb if valid is None else rgb[valid]).ravel()
    counts = np.bincount(cells, minlength=COLOR_CELLS)
    return counts / max(1, cells.size)


def _details(brightness: FloatArray, known: BoolArray) -> list[float]:
    """Return the ratios of amplitudes at 1, 2 and 4 px; 1 where too little is known."""
    height, width = (side // 8 * 8 for side in brightness.shape)
    plane, inside = brightness[:height, :width], known[:height, :width]
    energies: list[float] = []
    for _ in range(3):
        halved, complete = _halved(plane), _halved(inside)
        parts = plane - halved.repeat(2, axis=0).repeat(2, axis=1)
        whole = np.asarray(complete == 1).repeat(2, axis=0).repeat(2, axis=1)
        energy = (
            float(np.square(parts[whole], dtype=float).mean()) if whole.any() else 0
        )
        energies.append(energy + _ROUNDING)
        plane, inside = halved, complete == 1
    return [(energies[n] / energies[n + 1]) ** 0.5 for n in range(2)]


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the means of blocks of 2 x 2 px."""
    values = plane.astype(np.float32, copy=False)
    pairs = values[::2] + values[1::2]
    return np.asarray((pairs[:, ::2] + pairs[:, 1::2]) / np.float32(4))


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


MAX_IMAGES: Final = 400
MAX_GROUPS: Final = 50
MAX_GROUPS_NUMBERS: Final = 20_000
LOOKS_KEY: Final = "looks"


def training_statistics(train: "PairCache") -> dict[str, Any]:
    """Return what the training images look like, from 400 of them at most.

    Of images larger than the median one the middle is taken. Pixels that have no class
    in the mask do not count. Of other bands than red, green and blue nothing is
    measured.

    Returns:
        `images` looked at; `color_mean` and `color_std`, three values each in [0, 1];
        `contrast`, the mean over the images of the spread of their brightness; and from
        8 images on `looks`, the JSON form of `Looks`.
    """
    count = len(train.ids)
    rows = np.unique(np.linspace(0, count - 1, MAX_IMAGES).astype(int))
    if train.bands is not None and not is_colors(train.bands):
        return {"images": len(rows)}
    side = train.side
    middles = train.middles(side)
    pairs = ((middles.images[row], middles.masks[row] != NO_DATA) for row in rows)
    return {"images": len(rows), **_statistics(pairs, side)}


def class_shares(train: "PairCache", names: Sequence[str]) -> dict[str, float]:
    """Return the share of each class among the training pixels with data, 0 to 1."""
    counts = np.zeros(len(names), np.int64)
    for mask in train.masks:
        counts += np.bincount(mask.ravel(), minlength=256)[: len(names)]
    total = max(int(counts.sum()), 1)
    return {
        name: round(int(count) / total, 5)
        for name, count in zip(names, counts, strict=True)
    }


def confusion_groups(confusions: NDArray[np.int64]) -> list[Any] | None:
    """Return the confusion matrices of groups of images, small enough for a record.

    Pixels of one image err together; how far the groups are apart tells how much a sum
    over all images is worth (random groups, Wolter: Introduction to variance
    estimation, 2007, chapter 2).

    Args:
        confusions: (N, K, K) int64 pixels of each image, rows by truth.

    Returns:
        (G, K, K) as nested lists, G up to 50, fewer for many classes; every G-th image
        belongs to the same group. None where G would be below 8.
    """
    count, classes = confusions.shape[:2]
    groups = min(count, MAX_GROUPS, MAX_GROUPS_NUMBERS // classes**2)
    if groups < MIN_IMAGES:
        return None
    return [confusions[number::groups].sum(axis=0).tolist() for number in range(groups)]


def _statistics(
    pairs: Iterable[tuple[ByteArray, NDArray[np.bool_]]], side: int
) -> dict[str, Any]:
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    contrasts: list[float] = []
    features: list[Vector] = []
    shares: list[Vector] = []
    for image, known in pairs:
        rgb = np.asarray(image, np.float32) / np.float32(255)
        inside = rgb[known].astype(float)
        if not inside.size:
            continue
        total += inside.sum(axis=0)
        squares += np.square(inside).sum(axis=0)
        pixels += len(inside)
        contrasts.append(float(inside.mean(axis=-1).std()))
        if (found := image_features(rgb, known)) is not None:
            features.append(found)
            shares.append(color_shares(rgb, known))
    mean = total / max(1, pixels)
    spread = np.sqrt(np.maximum(squares / max(1, pixels) - mean**2, 0))
    result: dict[str, Any] = {
        "color_mean": [round(float(value), 5) for value in mean],
        "color_std": [round(float(value), 5) for value in spread],
        "contrast": round(float(np.mean(contrasts or [0.0])), 5),
    }
    if len(features) >= MIN_IMAGES:
        looks = looks_of(np.stack(features), np.stack(shares), side)
        result[LOOKS_KEY] = looks.to_dict()
    return result
