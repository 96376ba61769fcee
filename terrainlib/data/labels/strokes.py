"""Strokes: labels that were painted on an image, as vectors."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Stroke:
    """A brush line or a filled area; later strokes lie over earlier ones.

    Attributes:
        id: Made where it was painted, a UUID of 36 characters.
        kind: A brush line of `width_px`, or a filled polygon.
        class_name: What is there; None takes away what lies below it.
        points: x and y in px of the full image, from its corner; 1 to 2,000 of them.
        width_px: Width of a line in px of the full image; 0 for an area.
    """

    id: str
    kind: Literal["line", "area"]
    class_name: str | None
    points: tuple[tuple[float, float], ...]
    width_px: float
