"""What was chosen in the studio, looked at: its overview, its bands, and its size."""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from terrainlib.errors import ImageError
from terrainlib.ui.errors import show_error
from terrainlib.ui.studio.image_bands import pick_bands
from terrainlib.ui.studio.image_overview import ImageOverview, image_overview
from terrainlib.ui.studio.inputs import StudioInput
from terrainlib.ui.studio.masks import PictureFile

# The live view and its downloads hold the probabilities of all classes as float32: half
# a gigabyte for 16 megapixels of 8 classes. More is written to the disk as it is made.
LIVE_MEGAPIXELS: Final = 16
LIVE_VALUES: Final = 128_000_000
_TRIED_IMAGES: Final = 5


@dataclass(frozen=True, slots=True)
class Opened:
    """What was chosen, and what the first readable image of it looks like."""

    chosen: StudioInput
    overview: ImageOverview
    name: str

    @property
    def picture(self) -> PictureFile:
        """The first image."""
        return self.chosen.picture

    @property
    def height(self) -> PictureFile | None:
        """The heights of a single image."""
        return self.chosen.height

    def fits_live_view(self, classes: int) -> bool:
        """Whether it is one image that can be held in memory.

        Args:
            classes: How many classes the model has.
        """
        pixels = self.overview.pixels
        small = pixels <= LIVE_MEGAPIXELS * 1e6 and pixels * classes <= LIVE_VALUES
        return small and len(self.chosen.pictures) == 1


def open_input(chosen: StudioInput) -> Opened | None:
    """Look at what was chosen, ask for bands where they are not clear.

    Returns:
        None where nothing can be read: the page has then said why.
    """
    several = len(chosen.pictures) > 1
    failure: ImageError | None = None
    for number, picture in enumerate(chosen.pictures[:_TRIED_IMAGES]):
        try:
            with st.spinner("Looking at the image"):
                picked = pick_bands(picture, shared=several)
                overview = image_overview(picked)
        except ImageError as error:
            failure = failure or error
            continue
        pictures = list(chosen.pictures)
        pictures[number] = picked
        opened = StudioInput(tuple(pictures), chosen.height, picked.bands)
        return Opened(opened, overview, picked.name)
    if failure is not None:
        show_error(failure, "The image cannot be read")
    return None
