"""The mask studio's result, top to bottom: gap, view, cleaning, areas, downloads."""

import math
from dataclasses import replace

import streamlit as st

from terrainlib.mask.confidence import UNSURE_MARGIN, unsure_share
from terrainlib.ui import state
from terrainlib.ui.legend import show_legend
from terrainlib.ui.studio.areas_view import show_areas
from terrainlib.ui.studio.cleaning import pick_clean_mask
from terrainlib.ui.studio.downloads import show_downloads
from terrainlib.ui.studio.gap import follow_scale, pick_scale, show_gap
from terrainlib.ui.studio.live_view import live_view
from terrainlib.ui.studio.made_files import StudioMask
from terrainlib.ui.studio.masks import MadeMask, PictureFile
from terrainlib.ui.text import md_escape


def show_result(made: MadeMask, picture: PictureFile) -> None:
    """Show a mask with everything that can be done with it; call it in a fragment."""
    follow_scale(made)
    show_gap(made)
    show_legend(made.classes)
    place = st.container()  # the view shows what the sliders below it give
    clean = pick_clean_mask(made)
    pictures = made.pictures
    with place:
        view = live_view(
            replace(pictures, layers=(clean.layer, *pictures.layers)),
            key=state.STUDIO_VIEW,
            remembered=state.STUDIO_SETTINGS,
        )
    mask = StudioMask(picture, made, clean, view)
    st.subheader("Areas", anchor=False)
    st.markdown(unsure_in_words(made))
    show_areas(
        clean.areas,
        made.classes,
        file_name=f"{mask.stem}_areas.csv",
        key="studio_download_areas",
    )
    show_downloads(mask)
    pick_scale(made)
    if made.notes:
        notes = "; ".join(made.notes)
        st.caption(f"How the image was read: {md_escape(notes)}")


def unsure_in_words(made: MadeMask) -> str:
    """Return one line of Markdown: the share of pixels that the model is unsure of."""
    share = unsure_share(made.margins, made.index)
    if math.isnan(share):  # no pixel has data
        return ":material/help: No pixel has data."
    return (
        f":material/help: The model is unsure of **{share:.1%}** of the pixels: there "
        f"its best two classes are less than {UNSURE_MARGIN:.0%} apart. They are "
        "orange under Confidence in the view."
    )
