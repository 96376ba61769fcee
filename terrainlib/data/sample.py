"""What is embedded: the sample data set, two example scenes and the default models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terrainlib.data.dataset import Dataset, open_dataset

_ASSETS: Final = Path(__file__).resolve().parent.parent / "assets"
SAMPLE_DIR: Final = _ASSETS / "sample"
SCENES_DIR: Final = SAMPLE_DIR / "scenes"
EMBEDDED_MODELS: Final = {  # by the word that stands for each
    "default": _ASSETS / "default.keras",  # for images alone
    "default-height": _ASSETS / "default-height.keras",  # for image and height
}
SAMPLE_PIXEL_METRES: Final = 7_400.0  # its tiles and scenes; the tiles do not say so

_SCENE_TITLES: Final = {"europe": "Europe", "south_asia": "South Asia"}


@dataclass(frozen=True, slots=True)
class Scene:
    """A georeferenced example to try a model on.

    Attributes:
        name: Short name, the stem of its files.
        title: Name to show.
        image: GeoTIFF of the image, uint8 RGB.
        height: GeoTIFF of the height in metres on the same grid.
    """

    name: str
    title: str
    image: Path
    height: Path


def open_sample() -> Dataset:
    """Open the embedded data set: 320 real tiles with masks and heights.

    Raises:
        DatasetError: If the installation lacks the files.
    """
    return open_dataset(SAMPLE_DIR)


def example_scenes() -> tuple[Scene, ...]:
    """Return the embedded scenes, in the order in which they are offered."""
    return tuple(
        Scene(
            name=name,
            title=title,
            image=SCENES_DIR / f"{name}.tif",
            height=SCENES_DIR / f"{name}_height.tif",
        )
        for name, title in _SCENE_TITLES.items()
    )
