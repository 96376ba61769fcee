"""Mask studio: an image becomes a mask, is sharpened live, and is downloaded."""

import streamlit as st

from terrainlib.ui import state
from terrainlib.ui.chrome import page_header
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.legend import show_legend
from terrainlib.ui.live_view import live_view
from terrainlib.ui.model_picker import pick_entry
from terrainlib.ui.shares import show_shares
from terrainlib.ui.studio import (
    MadeMask,
    PictureFile,
    kept_mask,
    make_mask,
    picture_preview,
)
from terrainlib.ui.studio_downloads import show_downloads
from terrainlib.ui.studio_inputs import (
    StudioInput,
    follow_request,
    mask_wanted,
    needs_height,
    pick_input,
    pick_source,
    want_mask,
)
from terrainlib.ui.text import md_escape


def show_before(picture: PictureFile) -> None:
    """Show the image alone, with the button that starts the first prediction."""
    with errors_shown("The image cannot be read") as outcome:
        jpeg, (height, width), _ = picture_preview(picture)
    if outcome.failed:
        return
    st.button(
        "Make the mask",
        type="primary",
        icon=":material/auto_awesome:",
        on_click=want_mask,
    )
    st.image(jpeg, alt=f"The image {picture.name}, {width} by {height} px")


def predict(chosen: StudioInput, model: str) -> MadeMask | None:
    """Return the mask, kept or made now behind a progress bar."""
    height = chosen.height
    made = kept_mask(chosen.picture, height, model)
    if made is None:
        bar = st.progress(0.0, "Starting")
        with errors_shown("No mask could be made"):
            made = make_mask(
                chosen.picture,
                height,
                model,
                progress=bar.progress,
            )
        bar.empty()
    return made


@st.fragment
def show_mask(made: MadeMask, picture: PictureFile) -> None:
    """Show the live view, the shares and the downloads."""
    show_legend(made.classes)
    view = live_view(
        made.pictures, key=state.STUDIO_VIEW, remembered=state.STUDIO_SETTINGS
    )
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Shares of the classes", anchor=False)
        show_shares(made.classes, made.shares)
    with right:
        st.subheader("Downloads", anchor=False)
        show_downloads(made, picture, view)
    if made.notes:
        notes = "; ".join(made.notes)
        st.caption(f"How the image was read: {md_escape(notes)}")


page_header(
    "Mask studio",
    "Turn an image into a terrain mask, sharpen it while you watch, take it with you.",
    icon=":material/tune:",
)
follow_request()

left, right = st.columns(2, gap="medium")
with left:
    source = pick_source()
with right:
    entry = pick_entry(state.STUDIO_MODEL)
if entry is None:
    st.stop()
with left:
    chosen = pick_input(source, needs_height=needs_height(entry))
if chosen is None:
    st.stop()

if mask_wanted() or kept_mask(chosen.picture, chosen.height, entry.model):
    mask = predict(chosen, entry.model)
    if mask is not None:
        show_mask(mask, chosen.picture)
else:
    show_before(chosen.picture)
