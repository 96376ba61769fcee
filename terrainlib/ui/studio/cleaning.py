"""The class mask of the mask studio after cleaning, and what follows from it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA
from terrainlib.mask.ground.areas import AreaTable, area_table, class_square_metres
from terrainlib.mask.ground.pixels import row_areas
from terrainlib.mask.postprocess import PostProcessing
from terrainlib.ui import state, store
from terrainlib.ui.studio.live_pictures import class_layer
from terrainlib.ui.studio.live_view import ViewLayer
from terrainlib.ui.studio.masks import MadeMask

MEDIANS: Final = (0, *range(3, 16, 2))
MAX_SLIDER_PX: Final = 400
_STEP_PX: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class CleanMask:
    """A class mask as it is shown and downloaded.

    Attributes:
        index: (H, W) uint8, the class; 255 where there is no data.
        changed: Share of the pixels with data that cleaning changed, 0 to 1.
        areas: How much each class covers.
        layer: What the live view shows of it.
        settings: How it was cleaned.
    """

    index: NDArray[np.uint8]
    changed: float
    areas: AreaTable
    layer: ViewLayer
    settings: PostProcessing

    @property
    def kind(self) -> str:
        """How downloads name it in their help."""
        return "not cleaned" if self.settings.changes_nothing else "cleaned as set"


def clean_mask(made: MadeMask, settings: PostProcessing) -> CleanMask:
    """Return the class mask after cleaning, kept while it is needed."""
    key = f"{made.key}\n{settings}"
    found = store.results().get(key)
    if isinstance(found, CleanMask):
        return found
    index, changed = made.index, 0.0
    if not settings.changes_nothing:
        index = settings.apply(made.index)
        known = max(1, int(np.count_nonzero(made.index != NO_DATA)))
        changed = int(np.count_nonzero(index != made.index)) / known
    layer = class_layer(key, index, made.classes)
    clean = CleanMask(index, changed, _areas(made, index), layer, settings)
    store.results().put(key, clean, index.nbytes)
    return clean


def pick_clean_mask(made: MadeMask) -> CleanMask:
    """Show the sliders of the cleaning, and return the mask that they give."""
    with st.container(border=True):
        st.markdown("**Clean the class mask**")
        settings = pick_cleaning(state.STUDIO_CLEANING)
        with st.spinner("Cleaning the class mask", show_time=True):
            clean = clean_mask(made, settings)
        st.caption(cleaning_in_words(clean))
    return clean


def pick_cleaning(key: str) -> PostProcessing:
    """Show one slider for each way of cleaning; they stay as they are for the session.

    Args:
        key: Start of the widgets' keys, one a page.
    """
    grid = st.grid(3, min_column_width=220)
    with grid.cell():
        median = st.select_slider(
            "Median, px",
            MEDIANS,
            format_func=_off,
            key=f"{key}_median",
            persist_state="session",
            help="Every pixel takes the class that most pixels in a window of this "
            "width have.",
        )
    with grid.cell():
        sieve = st.slider(
            "Sieve, px",
            0,
            MAX_SLIDER_PX,
            step=_STEP_PX,
            key=f"{key}_sieve",
            persist_state="session",
            help="Regions smaller than this take the class of their largest neighbour.",
        )
    with grid.cell():
        fill = st.slider(
            "Fill holes, px",
            0,
            MAX_SLIDER_PX,
            step=_STEP_PX,
            key=f"{key}_fill",
            persist_state="session",
            help="What one class encloses, up to this size, takes that class.",
        )
    return PostProcessing(median, sieve, fill)


def cleaning_in_words(clean: CleanMask) -> str:
    """Return what cleaning did, and to what."""
    if clean.settings.changes_nothing:
        return (
            "Off. Cleaning acts on the class mask (Classes in the view), its areas and "
            "its downloads; the soft mask stays as it is."
        )
    return (
        f"Cleaning changed {clean.changed:.2%} of the pixels. The view under Classes, "
        "the areas and the downloads of the class mask follow; the soft mask stays as "
        "it is."
    )


def _areas(made: MadeMask, index: NDArray[np.uint8]) -> AreaTable:
    """Return how much each class covers, on the ground where that is known."""
    height, width = index.shape
    count = len(made.classes)
    pixels = np.bincount(index.ravel(), minlength=NO_DATA + 1)[:count]
    ground = None
    per_row = row_areas(made.georeference, slice(0, height), width)
    if per_row is not None:
        ground = class_square_metres(index, per_row, count)
    names = [item.name for item in made.classes]
    return area_table(names, pixels.astype(np.int64), made.validation, ground)


def _off(size: int) -> str:
    return str(size) if size else "off"
