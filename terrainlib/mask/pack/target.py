"""Which size a world-builder's pack has, and which part of the image it shows."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from terrainlib.errors import ConfigError, ImageError

Engine = Literal["source", "unity", "unreal"]
Fit = Literal["crop", "stretch"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)
FITS: Final[tuple[Fit, ...]] = get_args(Fit)
UNITY_SIZES: Final = tuple(2**n + 1 for n in range(5, 13))
UNREAL_SIZES: Final = (127, 253, 505, 1009, 2017, 4033, 8129)
SIZES: Final[dict[Engine, tuple[int, ...]]] = {
    "source": (),
    "unity": UNITY_SIZES,
    "unreal": UNREAL_SIZES,
}
MAX_SOURCE_MEGAPIXELS: Final = 80


@dataclass(frozen=True, slots=True)
class PackTarget:
    """What a pack is made for.

    Attributes:
        engine: `source` keeps the image's own size, `unity` and `unreal` give a square
            of one of the sizes that these engines take.
        size_px: Size of the heightmap: `UNITY_SIZES` (33 to 4097, a power of two plus
            1) or `UNREAL_SIZES` (127 to 8129); None for `source`. The weights of Unity
            have one pixel less (its control textures are powers of two), those of
            Unreal the same size.
        fit: How a square comes of an image that is none: `crop` takes the middle,
            `stretch` keeps all and makes pixels that are longer one way.

    Raises:
        ConfigError: If one of them is none of these.
    """

    engine: Engine = "source"
    size_px: int | None = None
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ConfigError(
                f"a pack is made for one of {', '.join(ENGINES)}, not for "
                f"{self.engine!r}. Choose one of them."
            )
        if self.fit not in FITS:
            raise ConfigError(
                f"the image is fitted by one of {', '.join(FITS)}, not by "
                f"{self.fit!r}. Choose one of them."
            )
        sizes = SIZES[self.engine]
        if not sizes and self.size_px is not None:
            raise ConfigError(
                f"a pack for 'source' keeps the size of the image and takes no size, "
                f"not {self.size_px!r}. Leave it out, or choose unity or unreal."
            )
        if sizes and self.size_px not in sizes:
            listed = ", ".join(map(str, sizes))
            raise ConfigError(
                f"{self.engine.capitalize()} takes heightmaps of {listed} px, not of "
                f"{self.size_px!r}. Choose one of these sizes."
            )


@dataclass(frozen=True, slots=True)
class Frame:
    """Which pixels of the image go into a pack, and on how many they come.

    Attributes:
        rows: Rows of the image.
        columns: Columns of the image.
        size: (h, w) of weights and masks in px.
        height_size: (h, w) of the heightmap in px.
        corners: Whether heights lie on the corners of the ground's squares, from rim
            to rim, or in their middles.
        weight_corners: The same for weights.
    """

    rows: slice
    columns: slice
    size: tuple[int, int]
    height_size: tuple[int, int]
    corners: bool
    weight_corners: bool

    @property
    def source_size(self) -> tuple[int, int]:
        """(h, w) of the part of the image, in px."""
        return (
            self.rows.stop - self.rows.start,
            self.columns.stop - self.columns.start,
        )


def frame_of(target: PackTarget, size: tuple[int, int], name: str) -> Frame:
    """Return what of an image a target shows.

    Args:
        target: Engine and size.
        size: (H, W) of the image in px.
        name: Name for messages.

    Raises:
        ImageError: If the image is too large for its own size to be kept.
    """
    height, width = size
    if target.engine == "source" or target.size_px is None:
        if height * width > MAX_SOURCE_MEGAPIXELS * 10**6:
            raise ImageError(
                f"{width:,} x {height:,} px are too many for a pack at the image's own "
                f"size; the limit is {MAX_SOURCE_MEGAPIXELS} megapixels. Choose a size "
                "for Unity or Unreal.",
                file=name,
            )
        return Frame(slice(0, height), slice(0, width), size, size, False, False)
    side = min(height, width)
    crops = target.fit == "crop"
    rows, columns = (
        _middle(length, side) if crops else slice(0, length)
        for length in (height, width)
    )
    square = (target.size_px, target.size_px)
    if target.engine == "unreal":
        return Frame(rows, columns, square, square, True, True)
    cells = (target.size_px - 1, target.size_px - 1)
    return Frame(rows, columns, cells, square, True, False)


def _middle(length: int, side: int) -> slice:
    start = (length - side) // 2
    return slice(start, start + side)
