"""Why an image looks unlike the training images, in words."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from terrainlib.model.looks import FEATURES, Looks, Vector, mean_color, natural_value

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


def looks_reasons(looks: Looks, windows: Vector, *, mixture: bool) -> list[str]:
    """Return how windows differ in their middle, the most striking first.

    Each feature beyond what 98 % of the training images have is named, up to three.

    Args:
        looks: Statistics of the training images.
        windows: (N, 8) float64, the features of the windows.
        mixture: Whether, where there is none, the feature is to be named that the
            others let expect least.
    """
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


def part_reason(share: float) -> list[str]:
    """Return what to say where only a part of an image is meant."""
    return [f"{share:.0%} of the image looks different"] if share < 1 else []


def colors_reason(share: float) -> str:
    """Return what to say of colours that are foreign."""
    return f"colours that the training images do not have: {share:.0%} of the pixels"


def scale_reason(factor: float) -> str:
    """Return what to say of a scale at which an image is less different."""
    return f"at {factor:g} times this scale it looks more like them: try that"


def rough_reasons(statistics: Mapping[str, Any], features: Vector) -> tuple[str, ...]:
    """Return how an image differs in mean colour and contrast.

    Args:
        statistics: Those of a record without the distribution over images.
        features: (8,) float64, the features of the image.
    """
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


def can_be_rough(statistics: Mapping[str, Any]) -> bool:
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
