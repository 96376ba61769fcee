"""What the overlap finder keeps of each patch: features, and a small picture.

Every patch is brought to two sizes, the same factor for all patches of a data set, so
that ground of one scale stays of one scale: one for SIFT features, a smaller one for
comparing pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data.dataset import Dataset, read_pair_height
from terrainlib.data.imagery import BandChoice, read_image
from terrainlib.data.layout import Pair
from terrainlib.data.parallel import ordered_map
from terrainlib.errors import ImageError, StoppedError
from terrainlib.types import Progress

FEATURE_SIDE_PX: Final = 256  # of a patch of median size when features are sought
PICTURE_SIDE_PX: Final = 128  # of a patch of median size when pixels are compared
LARGEST_FACTOR: Final = 2.0  # more enlarging shows SIFT nothing new
MAX_ENLARGED_SIDE: Final = 3  # of the two sides, for patches far above the median
MAX_FEATURES: Final = 800_000  # in all: what memory and minutes allow
FEATURES_A_PATCH: Final = (160, 800)
_HALF_PX: Final = 0.5  # OpenCV counts from the centre of the first pixel


@dataclass(frozen=True, slots=True)
class Picture:
    """A patch at the size for comparing pixels.

    Attributes:
        size: (W, H) of the original in px.
        factor: Px of this picture per original px.
        grey: Brightness, uint8 (h, w).
        height: Metres, float32 (h, w), NaN = no data; None without a height.
    """

    size: tuple[int, int]
    factor: float
    grey: NDArray[np.uint8]
    height: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Features:
    """The features of all patches, one row each.

    Attributes:
        owner: Index of the patch, int32 (F,), rising.
        place: (x, y) in original px from the top left corner, float32 (F, 2).
        size: Diameter in original px, float32 (F,).
        angle: Degrees, float32 (F,).
        vector: Descriptors, float32 (F, D).
        factor: Px at which features were sought per original px, for the median patch.
    """

    owner: NDArray[np.int32]
    place: NDArray[np.float32]
    size: NDArray[np.float32]
    angle: NDArray[np.float32]
    vector: NDArray[np.float32]
    factor: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """One patch: its picture; place, size and angle (F, 4); descriptors (F, 128)."""

    picture: Picture
    frames: NDArray[np.float32]
    vectors: NDArray[np.uint8]


def features_a_patch(patches: int) -> int:
    """Return how many features are kept of each of so many patches, at most."""
    return int(np.clip(MAX_FEATURES // max(1, patches), *FEATURES_A_PATCH))


def read_patches(
    dataset: Dataset,
    progress: Progress | None,
    should_stop: Callable[[], bool] | None,
) -> tuple[list[Picture | None], Features]:
    """Read every patch once.

    Returns:
        A picture for each pair of the data set (None where a file can no longer be
        read), and the features of all.

    Raises:
        StoppedError: If `should_stop` said so.
    """
    median = float(np.median([max(pair.size) for pair in dataset.pairs]))
    limit = features_a_patch(len(dataset.pairs))

    bands = dataset.band_set

    def look(pair: Pair) -> _Seen | None:
        try:
            return _look(pair, bands, median, limit)
        except (ImageError, OSError):
            return None

    seen = list(
        ordered_map(look, dataset.pairs, progress=progress, should_stop=should_stop)
    )
    if len(seen) < len(dataset.pairs):
        raise StoppedError("stopped while shared ground was looked for, as asked.")
    return [one.picture if one else None for one in seen], _joined(seen, median)


def _look(pair: Pair, bands: BandChoice, median: float, limit: int) -> _Seen:
    """Read one patch; find at most `limit` features, the strongest."""
    image = read_image(pair.image, bands=bands)
    grey = np.asarray(cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY) * 255, np.uint8)
    longest = max(grey.shape)
    factor = min(PICTURE_SIDE_PX / median, 1.0)
    factor = min(factor, MAX_ENLARGED_SIDE * PICTURE_SIDE_PX / longest)
    metres, height = read_pair_height(pair), None
    if metres is not None and metres.shape == grey.shape:
        height = _resized(metres, factor)
    picture = Picture(
        size=(grey.shape[1], grey.shape[0]),
        factor=factor,
        grey=_resized(grey, factor),
        height=height,
    )
    zoom = _zoom(median, longest)
    equal = cv2.createCLAHE(clipLimit=4.0, tileGridSize=(4, 4)).apply(grey)
    frames, vectors = _sift(_resized(equal, zoom), limit)
    frames[:, :3] /= zoom
    return _Seen(picture, frames, vectors)


def _zoom(median: float, longest: float) -> float:
    """Return the px at which features are sought per original px."""
    zoom = min(FEATURE_SIDE_PX / median, LARGEST_FACTOR)
    return min(zoom, MAX_ENLARGED_SIDE * FEATURE_SIDE_PX / longest)


def _resized(pixels: NDArray[Any], factor: float) -> NDArray[Any]:
    """Return pixels at another size: averaged when smaller, cubic when larger."""
    if factor == 1.0:
        return pixels
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    size = [max(1, round(side * factor)) for side in pixels.shape[1::-1]]
    return np.asarray(cv2.resize(pixels, size, interpolation=way))


def _sift(
    grey: NDArray[np.uint8], limit: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return (x, y, diameter, angle) in px and degrees, and descriptors."""
    make: Any = cv2.SIFT_create  # type: ignore[attr-defined]
    sift = make(nfeatures=limit, contrastThreshold=0.01, edgeThreshold=20)
    points, vectors = sift.detectAndCompute(grey, None)
    if vectors is None or not points:
        return np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8)
    frames = np.array(
        [(p.pt[0] + _HALF_PX, p.pt[1] + _HALF_PX, p.size, p.angle) for p in points],
        np.float32,
    )
    return frames[:limit], vectors[:limit].astype(np.uint8)


def _joined(seen: list[_Seen | None], median: float) -> Features:
    empty = np.zeros((0, 4), np.float32)
    frames = np.concatenate([one.frames if one else empty for one in seen])
    counts = [len(one.frames) if one else 0 for one in seen]
    vectors = np.concatenate(
        [one.vectors if one else np.zeros((0, 128), np.uint8) for one in seen]
    )
    return Features(
        owner=np.repeat(np.arange(len(seen), dtype=np.int32), counts),
        place=frames[:, :2],
        size=frames[:, 2],
        angle=frames[:, 3],
        vector=_compact(vectors),
        factor=_zoom(median, median),
    )


def _compact(vectors: NDArray[np.uint8], dimensions: int = 64) -> NDArray[np.float32]:
    """Return RootSIFT descriptors, turned to their main axes and cut to 64 numbers.

    References:
        Arandjelovic and Zisserman, "Three things everyone should know to improve
        object retrieval", 2012 (the square root); Ke and Sukthankar, "PCA-SIFT", 2004.
    """
    out = np.empty((len(vectors), dimensions), np.float32)
    if not len(vectors):
        return out
    sample = _rooted(vectors[:: max(1, len(vectors) // 20_000)])
    centre = sample.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((sample - centre).T.astype(np.float64)))
    turn = axes[:, ::-1][:, :dimensions].astype(np.float32)
    for start in range(0, len(vectors), 50_000):
        part = _rooted(vectors[start : start + 50_000])
        out[start : start + len(part)] = (part - centre) @ turn
    return out


def _rooted(vectors: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = vectors.astype(np.float32)
    total = np.maximum(values.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.sqrt(values / total), np.float32)
