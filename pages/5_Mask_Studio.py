"""Mask studio: an image becomes a mask, is sharpened live, and is downloaded."""

from functools import partial

import streamlit as st

from terrainlib.runs.models import ModelEntry
from terrainlib.ui import state
from terrainlib.ui.cached import load_ahead
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.jobs.form import show_active_strip, show_new_job
from terrainlib.ui.jobs.trial import offers_scale, show_trial
from terrainlib.ui.jobs.view import show_earlier_jobs, show_watched, watched_name
from terrainlib.ui.models.picker import pick_entry
from terrainlib.ui.page import page_header, show_notice
from terrainlib.ui.studio.inputs import (
    Chosen,
    band_set,
    class_count,
    follow_address,
    follow_request,
    needs_height,
    pick_input,
    pick_source,
)
from terrainlib.ui.studio.live import prepare_live_view
from terrainlib.ui.studio.masks import (
    MadeMask,
    chosen_scale,
    kept_mask,
    make_mask,
    subject_of,
)
from terrainlib.ui.studio.overview import show_image
from terrainlib.ui.studio.result import show_result, use_scale
from terrainlib.ui.studio.uploads import mask_wanted, want_mask


def show_before(chosen: Chosen, entry: ModelEntry) -> None:
    """Show the image alone, with the button that starts the first prediction."""
    subject = subject_of(chosen.picture.key, entry.model)
    st.button(
        "Make the mask",
        type="primary",
        icon=":material/auto_awesome:",
        on_click=want_mask,
        args=(subject,),
    )
    if offers_scale(chosen, entry) is not None:
        show_trial(chosen, entry, None, partial(use_scale, subject))
    show_image(chosen.overview, chosen.name)


def starts_now(chosen: Chosen, entry: ModelEntry) -> bool:
    """Whether a mask is there, or wanted with nothing to be asked before."""
    if kept_mask(chosen.picture, chosen.height, entry.model) is not None:
        return True
    subject = subject_of(chosen.picture.key, entry.model)
    asked = mask_wanted(subject) or chosen_scale(subject) is not None
    return mask_wanted() and (asked or offers_scale(chosen, entry) is None)


def predict(chosen: Chosen, model: str) -> MadeMask | None:
    """Return the mask, kept or made now while the image and a progress bar are seen."""
    picture, height = chosen.picture, chosen.height
    made = kept_mask(picture, height, model)
    if made is not None:
        return made
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, "Starting")
        show_image(chosen.overview, chosen.name)
        prepare_live_view(key=state.STUDIO_VIEW_AHEAD)
    with errors_shown("No mask could be made"):
        made = make_mask(picture, height, model, progress=bar.progress)
    place.empty()
    return made


@st.fragment
def show_mask(made: MadeMask) -> None:
    """Show the mask with everything that can be done with it."""
    show_result(made)


def link_to_labels(entry: ModelEntry) -> None:
    """Show the link that opens this image and this mask to be corrected."""
    if entry.kind != "pixel classifier":
        st.page_link(
            state.LABELS_PAGE,
            label="Correct this mask with a few strokes",
            icon=":material/brush:",
            query_params={"model": entry.id},
        )


def show_studio() -> None:
    """Let people choose an image and a model, and show the mask."""
    show_active_strip()

    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        source = pick_source()
        scene = st.container(width=170) if source == "example" else None
        with st.container(width="stretch"):
            entry = pick_entry(state.STUDIO_MODEL)
    if entry is None:
        return
    with scene or st.container(gap="small"):
        chosen = pick_input(
            source, needs_height=needs_height(entry), bands=band_set(entry)
        )

    if chosen is None:
        pass
    elif not chosen.fits_live_view(class_count(entry)):
        show_new_job(chosen, entry)
    elif starts_now(chosen, entry):
        mask = predict(chosen, entry.model)
        if mask is not None:
            show_mask(mask)
            link_to_labels(entry)
    else:
        show_before(chosen, entry)
    show_earlier_jobs()


page_header(
    "Mask studio",
    "Turn an image into a terrain mask, sharpen it while you watch, take it with you.",
)
follow_request()
follow_address()
show_notice()
watched = watched_name()
if watched is not None:
    show_watched(watched)
else:
    show_studio()
load_ahead()
