"""What the text of a world-builder's pack says, and how numbers stand in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from terrainlib.mask.pack._scales import HeightRange, Scales
from terrainlib.mask.pack.target import Frame, PackTarget


@dataclass(frozen=True, slots=True)
class PackFacts:
    """Everything that the text says.

    Attributes:
        name: What the pack shows.
        image_size: (H, W) of the image in px.
        target: What it is made for.
        frame: Which part of the image, and which size.
        scales: Ground and scales.
        heights: What the heightmap's values stand for; None without heights.
        class_names: Names of the K classes.
        weight_files: One file a class.
        splat_files: One file for every four classes.
        height_files: The PNG and the RAW file; empty without heights.
        no_data_file: Mask of the pixels without data; None where all have some.
    """

    name: str
    image_size: tuple[int, int]
    target: PackTarget
    frame: Frame
    scales: Scales
    heights: HeightRange | None
    class_names: Sequence[str]
    weight_files: Sequence[str]
    splat_files: Sequence[str]
    height_files: tuple[str, ...]
    no_data_file: str | None

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files, in the order they are written."""
        return (
            *("README.txt", "pack.json", "palette.json"),
            *self.weight_files,
            *self.splat_files,
            *("class_index.png", "class_colors.png"),
            *([] if self.no_data_file is None else [self.no_data_file]),
            *self.height_files,
        )


def size_text(size: tuple[int, int]) -> str:
    """Return (h, w) as width x height."""
    return f"{size[1]} x {size[0]}"


def number_text(value: float) -> str:
    """Return a number with at most 4 decimals that count, without an exponent."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
