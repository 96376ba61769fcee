"""The numbers that an engine asks for: ground, heights, and scales made of them."""

from dataclasses import dataclass
from typing import Any, Final

from terrainlib.mask.pack.target import Frame

# Unreal keeps a height as 16 bits: (value - 32768) / 128 centimetres, times the scale.
_UNREAL_STEPS: Final = 128
_UNREAL_MIDDLE: Final = 32768
_HIGHEST: Final = 65535


@dataclass(frozen=True, slots=True)
class HeightRange:
    """What 0 and 65535 of a heightmap stand for.

    Attributes:
        low_m: Metres of the value 0.
        high_m: Metres of the value 65535.
    """

    low_m: float
    high_m: float

    @property
    def span_m(self) -> float:
        """Metres from the lowest to the highest point."""
        return self.high_m - self.low_m


@dataclass(frozen=True, slots=True)
class Scales:
    """What to type into an engine.

    Attributes:
        pixel_m: Metres that a pixel of the image is wide and high.
        assumed: Whether these are not known and 1 m is taken.
        ground_m: (width, length) of the ground that the pack shows, in metres.
        unreal_scale: X, Y and Z of the Landscape actor's scale.
        unreal_z_cm: Z of its location in centimetres, so that heights are true.
        spacing_m: Metres between neighbouring heights, along a row and a column.
    """

    pixel_m: tuple[float, float]
    assumed: bool
    ground_m: tuple[float, float]
    unreal_scale: tuple[float, float, float]
    unreal_z_cm: float
    spacing_m: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain JSON."""
        return {
            "pixel_m": None if self.assumed else list(self.pixel_m),
            "ground_m": list(self.ground_m),
            "height_spacing_m": list(self.spacing_m),
            "unreal": {
                "scale": list(self.unreal_scale),
                "location_z_cm": self.unreal_z_cm,
            },
        }


def scales_of(
    frame: Frame, pixel_m: tuple[float, float] | None, heights: HeightRange | None
) -> Scales:
    """Return the scales of a pack.

    Args:
        frame: Which part of the image, and which size.
        pixel_m: Metres that a pixel is wide and high; None takes 1 m.
        heights: What the heightmap's values stand for, if there is one.
    """
    known = pixel_m or (1.0, 1.0)
    rows, columns = frame.source_size
    ground = (columns * known[0], rows * known[1])
    gaps = tuple(
        max(count - 1, 1) if frame.corners else count
        for count in (frame.height_size[1], frame.height_size[0])
    )
    spacing = (ground[0] / gaps[0], ground[1] / gaps[1])
    span = 0.0 if heights is None else heights.span_m
    low = 0.0 if heights is None else heights.low_m
    return Scales(
        pixel_m=known,
        assumed=pixel_m is None,
        ground_m=ground,
        unreal_scale=(
            100 * spacing[0],
            100 * spacing[1],
            100 * span * _UNREAL_STEPS / _HIGHEST,
        ),
        unreal_z_cm=100 * (low + span * _UNREAL_MIDDLE / _HIGHEST),
        spacing_m=spacing,
    )
