"""The gap meter: does an image look like those that a model was trained on?

Windows of the training images' size are compared with the statistics in the model's
record, at its working scale: a large scene is judged by the same measure as a small
tile. That an image is alike is no promise of a good mask; that it is different is a
reason to expect a bad one. No TensorFlow.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import cv2
import numpy as np

from terrainlib.data.formats.bands import is_colors
from terrainlib.data.scene import Scene
from terrainlib.mask.pixelsize import ground_length, size_factor, worth_trying
from terrainlib.mask.tiles.feeding import Geometry, geometry_of
from terrainlib.model.looks import (
    FEATURES,
    LOOKS_KEY,
    Looks,
    Vector,
    color_shares,
    image_features,
    mean_color,
    natural_value,
)
from terrainlib.types import BoolArray, Count, Finite, FloatArray, Sentence, Window

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

MAX_REASONS: Final = 3
MUCH: Final = 1.5
ROUGH_DEVIATIONS: Final = 2.0
ROUGH_RATIO: Final = 3.0

_WORDS: Final = {  # less and more of each feature
    "brightness": ("{much}darker", "{much}brighter"),
    "red": ("{much}less red", "{much}redder"),
    "blue": ("{much}less blue", "{much}bluer"),
    "contrast": ("with {much}less contrast", "with {much}more contrast"),
    "vividness": ("{much}paler in colour", "{much}more vivid in colour"),
    "variety": ("{much}more uniform in colour", "{much}more varied in colour"),
    "detail": (
        "{much}smoother from pixel to pixel (blurred, or enlarged)",
        "with {much}finer detail (noise, writing or sharp edges)",
    ),
    "coarse_detail": (
        "{much}smoother over a few pixels (blurred, or enlarged)",
        "with {much}more detail over a few pixels",
    ),
}
_UNITS: Final = {
    "brightness": "mean brightness",
    "contrast": "spread of brightness",
    "vividness": "colourfulness",
}
_DETAILS: Final = ("detail", "coarse_detail")
_THAN: Final = "than the training images"
_CHANNELS: Final = ("red", "green", "blue")


def _looks_reasons(looks: Looks, windows: Vector, *, mixture: bool) -> list[str]:
    """Return how windows differ in their middle, the most striking first."""
    features = np.median(windows, axis=0)
    excess = looks.excess(features)
    found: dict[str, str] = {}
    for number in np.argsort(-excess):
        name = FEATURES[number]
        if excess[number] <= 1 or len(found) == MAX_REASONS:
            break
        if name not in _DETAILS or not set(_DETAILS) & set(found):
            much = "much " if excess[number] > MUCH else ""
            found[name] = _reason(looks, int(number), float(features[number]), much)
    if mixture and not found:
        return [_mixture(looks, features)]
    return list(found.values())


def _rough_reasons(statistics: Mapping[str, Any], features: Vector) -> tuple[str, ...]:
    """Return how an image differs in mean colour and contrast."""
    found: list[str] = []
    mean = _numbers(statistics.get("color_mean"), 3)
    spread = _numbers(statistics.get("color_std"), 3)
    if mean is not None and spread is not None:
        offsets = (mean_color(features) - mean) / np.maximum(spread, 0.01)
        for name, offset in zip(_CHANNELS, offsets, strict=True):
            if abs(offset) > ROUGH_DEVIATIONS:
                found.append(f"much {'more' if offset > 0 else 'less'} {name} {_THAN}")
    contrast = _numbers([statistics.get("contrast")], 1)
    own = natural_value("contrast", float(features[FEATURES.index("contrast")]))
    if contrast is not None:
        ratio = (own + 0.005) / (float(contrast[0]) + 0.005)
        if not 1 / ROUGH_RATIO <= ratio <= ROUGH_RATIO:
            found.append(f"far {'more' if ratio > 1 else 'less'} contrast {_THAN}")
    return tuple(found)


def _can_be_rough(statistics: Mapping[str, Any]) -> bool:
    """Return whether statistics tell at least the colours of the training images."""
    names = ("color_mean", "color_std")
    return all(_numbers(statistics.get(name), 3) is not None for name in names)


def _reason(looks: Looks, number: int, value: float, much: str) -> str:
    """Return one feature in words, with values where people know their unit."""
    name = FEATURES[number]
    low, middle, high = (float(v) for v in looks.typical[:, number])
    words = _WORDS[name][int(value > middle)].format(much=much)
    if name not in _UNITS:
        return f"{words} {_THAN}"
    own, least, most = (
        f"{255 * natural_value(name, v):.0f}" for v in (value, low, high)
    )
    return f"{words} {_THAN} ({_UNITS[name]} {own} of 255, there {least} to {most})"


def _mixture(looks: Looks, features: Vector) -> str:
    residuals = looks.residuals(features)
    number = int(np.argmax(np.abs(residuals)))
    words = _WORDS[FEATURES[number]][int(residuals[number] > 0)].format(much="")
    return f"{words} than training images that are otherwise like it"


def _numbers(values: Any, count: int) -> Vector | None:
    """Return a list of finite numbers as an array; None where it is none."""
    if not isinstance(values, list) or len(values) != count:
        return None
    if not all(isinstance(v, int | float) and np.isfinite(v) for v in values):
        return None
    return np.array(values, np.float64)


SCALES: Final = (1.0, 0.5, 0.25, 0.125)
NEARER: Final = 0.75  # a scale is worth trying from this share of the distance on
AS_NEAR: Final = 1.15  # and a larger one is as good as the best up to here


@dataclass(frozen=True, slots=True, eq=False)
class _MeasuredWindow:
    features: Vector  # (4, 8), at each of the `SCALES`; NaN where it is too small then
    shares: Vector  # (216,), of its pixels in each cell of the colour cube


def _measured_window(
    rgb: FloatArray, valid: BoolArray | None
) -> _MeasuredWindow | None:
    """Measure a window; None where too little of it has data."""
    if (own := image_features(rgb, valid)) is None:
        return None
    known = np.ones(rgb.shape[:2], bool) if valid is None else valid
    rows = [own]
    for scale in SCALES[1:]:
        found = _shrunk_features(rgb, known, scale)
        rows.append(np.full_like(own, np.nan) if found is None else found)
    return _MeasuredWindow(np.stack(rows), color_shares(rgb, valid))


def _better_scale(distances: Vector, limit: float) -> float | None:
    """Return the scale at which windows are clearly less far off, if there is one."""
    whole = ~np.isnan(distances).any(axis=0)
    middle = np.median(distances[:, whole], axis=0)
    near = middle <= min(limit, NEARER * middle[0], AS_NEAR * middle.min())
    return SCALES[int(np.argmax(near))] if near.any() else None


def _shrunk_features(rgb: FloatArray, known: BoolArray, scale: float) -> Vector | None:
    height, width = (int(length * scale) for length in known.shape)
    if min(height, width) < 1:
        return None
    size = (width, height)
    pixels = np.ascontiguousarray(rgb, np.float32)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return image_features(np.asarray(small, np.float32), np.asarray(weight >= 1))


Level = Literal["alike", "different", "unknown"]
Pixels = tuple[FloatArray, BoolArray | None]

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
_ALIKE_MOSTLY: Final = "Like the training images, except for a part"
_ALIKE_ROUGHLY: Final = "Like the training images, as far as the model file tells"
_NO_ONE_WAY: Final = "its parts differ from them, each in its own way"
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
        scale_factor: What to multiply the scale by so that a pixel covers as much
            ground as in the training images; or 0.5, 0.25 or 0.125 where the image,
            shrunk that much, looks more like them. Else None.
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
        """The level in words, which agree with the reasons."""
        if self.level == "alike" and self.reasons:
            return _ALIKE_ROUGHLY if self.rough else _ALIKE_MOSTLY
        return _TITLES[self.level]


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
    if looks is None and not _can_be_rough(statistics):
        return Gap("unknown", ("the model file does not tell what those look like",))
    measured = [_measured_window(rgb, valid) for rgb, valid in windows]
    known = [item for item in measured if item is not None]
    if not known:
        return Gap("unknown", ("too few pixels have data to compare them",))
    if looks is None:
        return _rough_gap(statistics, known)
    return _gap(looks, known)


def _gap(looks: Looks, known: Sequence[_MeasuredWindow]) -> Gap:
    usual = max(float(looks.distances[1]), LEAST_DISTANCE)
    limit = DISTANCE_FACTOR * usual
    distances = np.array([[looks.distance(at) for at in w.features] for w in known])
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
        if not striking.all():
            reasons.append(f"{striking.mean():.0%} of the image looks different")
        reasons += _looks_reasons(looks, rows[striking], mixture=odd)
    if colored.any() and strange.mean() >= SAID_SHARE:
        foreign = "colours that the training images do not have"
        reasons.append(f"{foreign}: {strange.mean():.0%} of the pixels")
    if different and not reasons:
        reasons.append(_NO_ONE_WAY)
    factor = _better_scale(distances, limit) if different else None
    if factor is not None:
        better = f"at {factor:g} times this scale it looks more like them"
        reasons.append(f"{better}: try that")
    return Gap(
        level="different" if different else "alike",
        reasons=tuple(reasons),
        distance=middle / limit,
        strange_share=float(strange.mean()),
        windows=len(known),
        different_share=float(outside.mean()),
        scale_factor=factor,
    )


def _rough_gap(statistics: Mapping[str, Any], known: Sequence[_MeasuredWindow]) -> Gap:
    """Compare with mean colours and contrast, which is all that older records have."""
    rows = np.stack([item.features[0] for item in known])
    reasons = _rough_reasons(statistics, np.median(rows, axis=0))
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


_PIXELS_AT_ONCE: Final = 2 * 2**20  # of the image


def scene_gap(
    model: "TerrainModel", scene: Scene, *, scale: float | None = None
) -> Gap:
    """Compare an image of any size with the training images of a model.

    Where it is known how much ground a pixel covers, here and there, that is compared
    as well.

    Raises:
        ConfigError: If `scale` is out of bounds.
        ImageError: If the file turns out to be damaged.
    """
    geometry = geometry_of(model, (scene.height, scene.width), scale)
    used = model.record.band_set()
    if used is not None and not is_colors(used):
        looks = Gap("unknown", ("only images in red, green and blue are compared",))
    else:
        statistics = model.record.statistics
        windows = _windows(scene, geometry, window_px(statistics))
        looks = judge_windows(statistics, windows)
    sizes = size_factor(model.record, scene, geometry)
    return looks if sizes is None else _other_size(looks, geometry, *sizes)


def _other_size(
    looks: Gap, geometry: Geometry, here: float, there: float, factor: float
) -> Gap:
    """Return the gap of an image whose pixels cover more or less than in training."""
    covers = f"a pixel covers {ground_length(here)} of ground at this scale"
    reasons = [f"{covers}, {ground_length(there)} in the training images"]
    kept = list(looks.reasons[:-1] if looks.scale_factor else looks.reasons)
    kept = kept if looks.level == "different" else []
    fits = worth_trying(geometry, factor)
    if fits:
        kept.append(f"at {factor:.3g} times this scale it covers the same: try that")
    else:
        kept.append("no scale helps: the image would be a few pixels, or far too many")
    return replace(
        looks,
        level="different",
        reasons=(*reasons, *kept),
        scale_factor=factor if fits else None,
    )


def _windows(
    scene: Scene, geometry: Geometry, size: int
) -> Iterator[tuple[FloatArray, BoolArray]]:
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
) -> tuple[FloatArray, BoolArray]:
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
) -> tuple[FloatArray, BoolArray]:
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
