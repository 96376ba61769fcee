"""The gap meter: does an image look like those that a model was trained on?

Windows of the training images' size are compared with the statistics in the model's
record, at its working scale: a large scene is judged by the same measure as a small
tile. That an image is alike is no promise of a good mask; that it is different is a
reason to expect a bad one. No TensorFlow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from terrainlib.mask.gap._reasons import (
    can_be_rough,
    colors_reason,
    looks_reasons,
    part_reason,
    rough_reasons,
    scale_reason,
)
from terrainlib.mask.gap._windows import (
    MeasuredWindow,
    better_scale,
    distances_of,
    measured_window,
)
from terrainlib.model.looks import Looks
from terrainlib.model.statistics import LOOKS_KEY
from terrainlib.types import Count, Finite, Sentence

FloatArray = NDArray[np.float32]
Flags = NDArray[np.bool_]
Level = Literal["alike", "different", "unknown"]
Window = tuple[slice, slice]
Pixels = tuple[FloatArray, Flags | None]

MAX_WINDOWS: Final = 49
DISTANCE_FACTOR: Final = 1.25  # of what 99 % of the training images keep
LEAST_DISTANCE: Final = 1.0  # where all training images are equal
EXCESS: Final = 1.75  # of half the range of 98 % of them, in a single feature
STRANGE_FACTOR: Final = 1.5  # of the foreign colours that 99 % of them have
STRANGE_SHARE: Final = 0.05  # at least
DIFFERENT_SHARE: Final = 1 / 3
MANY_WINDOWS: Final = 4
MANY_FACTOR: Final = 0.9
SAID_SHARE: Final = 0.005  # smaller shares round to nothing

_DEFAULT_WINDOW_PX: Final = 256
_TITLES: Final[dict[Level, str]] = {
    "alike": "Like the training images",
    "different": "Different from the training images: expect errors",
    "unknown": "Not compared with the training images",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """How an image compares with the training images of a model.

    Attributes:
        level: `alike`, `different`, or `unknown` where the model file says nothing of
            its training images or too few pixels have data.
        reasons: Why, each a phrase without a full stop. For `alike`, what differs still
            in a part of the image.
        distance: How far off the middle one of its windows is; 1 is the limit for a
            single window. None where it is not known.
        strange_share: Share of its pixels whose colours the training images do not
            have, 0 to 1; None where it is not known.
        windows: Number of windows that were compared.
        different_share: Share of them that look different, 0 to 1.
        scale_factor: 0.5, 0.25 or 0.125 where the image, shrunk that much, is more like
            the training images: what to multiply the scale by. Else None.
        rough: Whether the model file tells only mean colours and contrast.
    """

    level: Level
    reasons: tuple[Sentence, ...]
    distance: Finite | None = None
    strange_share: Finite | None = None
    windows: Count = 0
    different_share: Finite = 0.0
    scale_factor: Finite | None = None
    rough: bool = False

    @property
    def title(self) -> str:
        """The level in words."""
        return _TITLES[self.level]


def measure_gap(
    statistics: Mapping[str, Any], rgb: FloatArray, valid: Flags | None = None
) -> Gap:
    """Compare an image with the training images of a model.

    Args:
        statistics: `statistics` of the model's record.
        rgb: (H, W, 3) float32 in [0, 1], at the model's working scale.
        valid: (H, W) bool, which pixels have data; all where it is None.
    """
    places = gap_windows((rgb.shape[0], rgb.shape[1]), window_px(statistics))
    pieces = ((rgb[p], None if valid is None else valid[p]) for p in places)
    return judge_windows(statistics, pieces)


def window_px(statistics: Mapping[str, Any]) -> int:
    """Return the size of the windows to compare, in px at the working scale."""
    looks = Looks.from_dict(statistics.get(LOOKS_KEY))
    return _DEFAULT_WINDOW_PX if looks is None else looks.window_px


def gap_windows(size: tuple[int, int], window_px: int) -> list[Window]:
    """Return at most 49 windows, spread evenly over an image.

    Of an image too large to be held only these need to be read.

    Args:
        size: (H, W) of the image in px at the model's working scale.
        window_px: Their size; a side that is shorter is taken whole.

    Returns:
        Rows and columns of each. They cover the image where 49 are enough.
    """
    counts = [-(-length // window_px) for length in size]
    while counts[0] * counts[1] > MAX_WINDOWS:
        longer = int(counts[1] > counts[0])
        counts[longer] = max(1, min(counts[longer] - 1, MAX_WINDOWS))
    rows, columns = (
        [slice(start, start + window_px) for start in _starts(length, window_px, count)]
        for length, count in zip(size, counts, strict=True)
    )
    return [(row, column) for row in rows for column in columns]


def judge_windows(statistics: Mapping[str, Any], windows: Iterable[Pixels]) -> Gap:
    """Compare windows of one image with the training images of a model.

    A window is different if the Mahalanobis distance of its features is more than 1.25
    times what 99 % of the training images keep, each compared with all others; if one
    feature is more than 1.75 times as far off as theirs are; or if more than a
    twentieth of its pixels have colours that those do not have. An image is different
    if a third of its windows are, or if the middle one of at least four is further off
    than 0.9 times what 99 % of the training images keep.

    Args:
        statistics: `statistics` of the model's record.
        windows: The pixels of each, (h, w, 3) float32 in [0, 1] at the working scale,
            and which of them have data (None for all).

    References:
        Mahalanobis: On the generalised distance in statistics (1936), Proceedings of
        the National Institute of Sciences of India 2, 49-55.
    """
    looks = Looks.from_dict(statistics.get(LOOKS_KEY))
    if looks is None and not can_be_rough(statistics):
        return Gap("unknown", ("the model file does not tell what those look like",))
    measured = [measured_window(rgb, valid) for rgb, valid in windows]
    known = [item for item in measured if item is not None]
    if not known:
        return Gap("unknown", ("too few pixels have data to compare them",))
    if looks is None:
        return _rough_gap(statistics, known)
    return _gap(looks, known)


def _gap(looks: Looks, known: Sequence[MeasuredWindow]) -> Gap:
    """Compare measured windows with the distribution of the training images."""
    usual = max(float(looks.distances[1]), LEAST_DISTANCE)
    limit = DISTANCE_FACTOR * usual
    distances = distances_of(looks, known)
    own, middle = distances[:, 0], float(np.median(distances[:, 0]))
    strange = np.array([looks.strange_share(item.shares) for item in known])
    colored = strange > max(STRANGE_SHARE, STRANGE_FACTOR * looks.strangeness)
    rows = np.stack([item.features[0] for item in known])
    outside = (own > limit) | (looks.excess(rows).max(axis=1) > EXCESS) | colored
    far = len(known) >= MANY_WINDOWS and middle > MANY_FACTOR * usual
    different = far or bool(outside.mean() >= DIFFERENT_SHARE)
    striking = np.full_like(outside, far) if far else outside
    reasons: list[str] = []
    if striking.any():
        odd = float(np.median(own[striking])) > MANY_FACTOR * usual
        reasons += part_reason(float(striking.mean()))
        reasons += looks_reasons(looks, rows[striking], mixture=odd)
    if colored.any() and strange.mean() >= SAID_SHARE:
        reasons.append(colors_reason(float(strange.mean())))
    factor = better_scale(distances, limit) if different else None
    if factor is not None:
        reasons.append(scale_reason(factor))
    return Gap(
        level="different" if different else "alike",
        reasons=tuple(reasons),
        distance=middle / limit,
        strange_share=float(strange.mean()),
        windows=len(known),
        different_share=float(outside.mean()),
        scale_factor=factor,
    )


def _rough_gap(statistics: Mapping[str, Any], known: Sequence[MeasuredWindow]) -> Gap:
    """Compare with mean colours and contrast, which is all that older records have."""
    rows = np.stack([item.features[0] for item in known])
    reasons = rough_reasons(statistics, np.median(rows, axis=0))
    return Gap(
        level="different" if reasons else "alike",
        reasons=reasons or ("only mean colour and contrast could be compared",),
        windows=len(known),
        rough=True,
    )


def _starts(length: int, window_px: int, count: int) -> list[int]:
    """Return where windows begin along a side, from its one end to its other."""
    last = max(0, length - window_px)
    if count == 1:
        return [last // 2]
    return [round(number * last / (count - 1)) for number in range(count)]
