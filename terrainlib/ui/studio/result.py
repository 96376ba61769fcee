"""The mask studio's result, top to bottom: gap, view, cleaning, areas, downloads."""

import math
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import streamlit as st

from terrainlib.mask.cleaning import STEPS, PostProcessing
from terrainlib.mask.confidence import UNSURE_MARGIN, unsure_share
from terrainlib.mask.gap import Gap, Level
from terrainlib.mask.tiles.feeding import MAX_SCALE, MAX_WORKING_MEGAPIXELS, MIN_SCALE
from terrainlib.ui import state
from terrainlib.ui.page import show_legend
from terrainlib.ui.studio.areas import show_areas
from terrainlib.ui.studio.downloads import show_downloads
from terrainlib.ui.studio.live import live_view
from terrainlib.ui.studio.masks import (
    MadeMask,
    WorkingScale,
    choose_scale,
    chosen_scale,
    clean_mask,
)
from terrainlib.ui.studio.uploads import want_mask
from terrainlib.ui.text import md_escape

_MARKS: Final[dict[Level, str]] = {
    "alike": ":green[:material/check_circle:]",
    "different": ":orange[:material/warning:]",
    "unknown": ":gray[:material/help:]",
}


def _show_gap(made: MadeMask) -> None:
    """Show how the image compares, and offer the scale that would be better."""
    st.markdown(gap_in_words(made.gap))
    better = better_scale(made)
    if better is not None:
        st.button(
            f"Predict at {better:.3g} working pixels per image pixel",
            key="studio_better_scale",
            icon=":material/photo_size_select_small:",
            on_click=use_scale,
            args=(made.scale.subject, better),
        )


def gap_in_words(gap: Gap) -> str:
    """Return one line of Markdown: the level, and why."""
    line = f"{_MARKS[gap.level]} **{md_escape(gap.title)}**"
    if gap.reasons:
        line += f" – {md_escape('; '.join(gap.reasons))}."
    return line


def better_scale(made: MadeMask) -> float | None:
    """Return the scale at which the image is more like the training images."""
    if made.gap.scale_factor is None:
        return None
    return max(MIN_SCALE, made.scale.used * made.gap.scale_factor)


def _pick_scale(made: MadeMask) -> None:
    """Show the scale, with a box to choose another one."""
    scale = made.scale
    digest = sha256(scale.subject.encode("utf-8", "replace")).hexdigest()
    key = f"{state.STUDIO_SCALE}_{digest[:16]}"
    st.session_state[key] = scale.chosen
    height, width = made.predicted.shape
    most = min(MAX_SCALE, (MAX_WORKING_MEGAPIXELS * 1e6 / (height * width)) ** 0.5)
    with st.popover("Scale", icon=":material/zoom_in:"):
        st.number_input(
            "Working pixels per image pixel",
            min_value=MIN_SCALE,
            max_value=max(most, scale.used),
            value=None,
            step=0.05,
            format="%.3g",
            placeholder=own_in_words(scale),
            key=key,
            on_change=_use_box,
            args=(scale.subject, key),
            width=320,
            help="Below 1 the image is shrunk before the model sees it, above 1 "
            "enlarged. Things should be about as many pixels large as in the "
            "training images.",
        )
        st.caption(
            f"The mask was made at {scale.used:.3g}. Leave the box empty for "
            f"{own_in_words(scale)}."
        )


def own_in_words(scale: WorkingScale) -> str:
    """Return the model's own scale in words."""
    if scale.own is None:
        return "the size the model was trained with"
    return f"the model's own, {scale.own:.3g}"


def _use_box(subject: str, key: str) -> None:
    use_scale(subject, st.session_state[key])


def use_scale(subject: str, scale: float | None) -> None:
    """Predict at another scale, as a callback."""
    choose_scale(subject, scale)
    want_mask()


def show_result(made: MadeMask) -> None:
    """Show a mask with everything that can be done with it; call it in a fragment."""
    if chosen_scale(made.scale.subject) != made.scale.chosen:
        st.rerun()  # the whole page: another scale was chosen than that of the mask
    if made.gap.level == "different":
        _show_gap(made)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="content"):
            show_legend(made.classes)
        made = _pick_clean_mask(made)
        _pick_scale(made)
    pictures = made.pictures
    view = live_view(
        replace(pictures, layers=(made.layer, *pictures.layers)),
        key=state.STUDIO_VIEW,
        remembered=state.STUDIO_SETTINGS,
        query="view",
    )
    if made.gap.level != "different":
        _show_gap(made)
    st.header("Areas", anchor=False)
    st.markdown(_unsure_in_words(made))
    show_areas(
        made.areas,
        made.classes,
        file_name=f"{made.stem}_areas.csv",
        key="studio_download_areas",
    )
    show_downloads(made, view)
    if made.notes:
        notes = "; ".join(made.notes)
        st.caption(f"How the image was read: {md_escape(notes)}")


def _pick_clean_mask(made: MadeMask) -> MadeMask:
    """Show the sliders of the cleaning, and return the mask cleaned as they stand."""
    with st.popover("Clean", icon=":material/cleaning_services:"):
        st.markdown("**Clean the class mask**")
        settings = pick_cleaning(state.STUDIO_CLEANING, in_address=True)
        with st.spinner("Cleaning the class mask", show_time=True):
            clean = clean_mask(made, settings)
        st.caption(cleaning_in_words(clean))
    return clean


def pick_cleaning(key: str, *, in_address: bool = False) -> PostProcessing:
    """Show a slider for each way of cleaning; they stay as they are for the session.

    Args:
        key: Start of the sliders' keys.
        in_address: Whether a reload finds them as they were.
    """
    grid = st.grid(len(STEPS), min_column_width=220)
    sizes = {}
    for step in STEPS:
        options: dict[str, Any] = {
            "label": f"{step.label}, px",
            "key": f"{key}_{step.name}",
            "persist_state": "session",
            "bind": "query-params" if in_address else None,
            "help": step.about,
        }
        offered = step.offered
        with grid.cell():
            if isinstance(offered, range):
                bounds = (offered[0], offered[-1])
                size = st.slider(
                    min_value=bounds[0],
                    max_value=bounds[1],
                    step=offered.step,
                    **options,
                )
            else:
                size = st.select_slider(options=offered, format_func=_off, **options)
        sizes[step.field] = size
    return PostProcessing(**sizes)


def cleaning_in_words(clean: MadeMask) -> str:
    """Return what cleaning did, and to what."""
    if clean.cleaning.changes_nothing:
        return (
            "Off. Cleaning changes the class mask (Classes in the view), its areas "
            "and its downloads; the soft mask stays as it is."
        )
    return (
        f"Cleaning changed {clean.changed:.2%} of the pixels: in the view under "
        "Classes, in the areas and in the downloads of the class mask. The soft mask "
        "stays as it is."
    )


def _unsure_in_words(made: MadeMask) -> str:
    """Return one line of Markdown: the share of pixels that the model is unsure of."""
    share = unsure_share(made.margins, made.predicted)
    if math.isnan(share):  # no pixel has data
        return ":material/help: No pixel has data."
    return (
        f":material/help: The model is unsure of **{share:.1%}** of the pixels: its "
        f"best two classes are less than {UNSURE_MARGIN:.0%} apart there. Confidence "
        "in the view shows them in orange."
    )


def _off(size: int) -> str:
    return str(size) if size else "off"
