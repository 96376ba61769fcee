"""The mask studio's result, top to bottom: gap, view, cleaning, areas, downloads."""

import math
from dataclasses import replace
from typing import Final

import streamlit as st

from terrainlib.mask.confidence import UNSURE_MARGIN, unsure_share
from terrainlib.mask.postprocess import PostProcessing
from terrainlib.ui import state
from terrainlib.ui.legend import show_legend
from terrainlib.ui.studio.areas_view import show_areas
from terrainlib.ui.studio.downloads import show_downloads
from terrainlib.ui.studio.gap import follow_scale, pick_scale, show_gap
from terrainlib.ui.studio.live_view import live_view
from terrainlib.ui.studio.masks import MadeMask, clean_mask
from terrainlib.ui.text import md_escape

MEDIANS: Final = (0, *range(3, 16, 2))
MAX_SLIDER_PX: Final = 400
_STEP_PX: Final = 4


def show_result(made: MadeMask) -> None:
    """Show a mask with everything that can be done with it; call it in a fragment."""
    follow_scale(made)
    show_gap(made)
    show_legend(made.classes)
    place = st.container()  # the view shows what the sliders below it give
    made = pick_clean_mask(made)
    pictures = made.pictures
    with place:
        view = live_view(
            replace(pictures, layers=(made.layer, *pictures.layers)),
            key=state.STUDIO_VIEW,
            remembered=state.STUDIO_SETTINGS,
        )
    st.subheader("Areas", anchor=False)
    st.markdown(unsure_in_words(made))
    show_areas(
        made.areas,
        made.classes,
        file_name=f"{made.stem}_areas.csv",
        key="studio_download_areas",
    )
    show_downloads(made, view)
    pick_scale(made)
    if made.notes:
        notes = "; ".join(made.notes)
        st.caption(f"How the image was read: {md_escape(notes)}")


def pick_clean_mask(made: MadeMask) -> MadeMask:
    """Show the sliders of the cleaning, and return the mask cleaned as they stand."""
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


def cleaning_in_words(clean: MadeMask) -> str:
    """Return what cleaning did, and to what."""
    if clean.cleaning.changes_nothing:
        return (
            "Off. Cleaning acts on the class mask (Classes in the view), its areas and "
            "its downloads; the soft mask stays as it is."
        )
    return (
        f"Cleaning changed {clean.changed:.2%} of the pixels. The view under Classes, "
        "the areas and the downloads of the class mask follow; the soft mask stays as "
        "it is."
    )


def unsure_in_words(made: MadeMask) -> str:
    """Return one line of Markdown: the share of pixels that the model is unsure of."""
    share = unsure_share(made.margins, made.predicted)
    if math.isnan(share):  # no pixel has data
        return ":material/help: No pixel has data."
    return (
        f":material/help: The model is unsure of **{share:.1%}** of the pixels: there "
        f"its best two classes are less than {UNSURE_MARGIN:.0%} apart. They are "
        "orange under Confidence in the view."
    )


def _off(size: int) -> str:
    return str(size) if size else "off"
