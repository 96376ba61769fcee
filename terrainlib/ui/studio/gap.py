"""Whether the studio's image looks like the training images, and the scale to use."""

from hashlib import sha256
from typing import Final

import streamlit as st

from terrainlib.mask.gap.meter import Gap, Level
from terrainlib.mask.tiles.feeding import MAX_SCALE, MIN_SCALE
from terrainlib.mask.tiles.preparation import MAX_WORKING_MEGAPIXELS
from terrainlib.ui import state
from terrainlib.ui.studio.masks import MadeMask
from terrainlib.ui.studio.scale import WorkingScale, choose_scale, chosen_scale
from terrainlib.ui.studio.upload_boxes import want_mask
from terrainlib.ui.text import md_escape

_MARKS: Final[dict[Level, str]] = {
    "alike": ":green[:material/check_circle:]",
    "different": ":orange[:material/warning:]",
    "unknown": ":gray[:material/help:]",
}


def follow_scale(made: MadeMask) -> None:
    """Run the whole page again where another scale was chosen than that of the mask."""
    if chosen_scale(made.scale.subject) != made.scale.chosen:
        st.rerun()


def show_gap(made: MadeMask) -> None:
    """Show in a line how the image compares, and offer the scale that would be better.

    Args:
        made: The mask.
    """
    st.markdown(gap_in_words(made.gap))
    better = better_scale(made)
    if better is not None:
        st.button(
            f"Predict at {better:.3g} working pixels per image pixel",
            key="studio_better_scale",
            icon=":material/photo_size_select_small:",
            on_click=_use,
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


def pick_scale(made: MadeMask) -> None:
    """Show the scale, with a box to choose another one."""
    scale = made.scale
    digest = sha256(scale.subject.encode("utf-8", "replace")).hexdigest()
    key = f"{state.STUDIO_SCALE}_{digest[:16]}"
    st.session_state[key] = scale.chosen
    height, width = made.predicted.shape
    most = min(MAX_SCALE, (MAX_WORKING_MEGAPIXELS * 1e6 / (height * width)) ** 0.5)
    with st.expander("Advanced: the scale to work at", icon=":material/zoom_in:"):
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
            help="The model sees the image at this resolution: below 1 it is shrunk "
            "first, above 1 enlarged. Objects should be as many pixels large as in the "
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
    _use(subject, st.session_state[key])


def _use(subject: str, scale: float | None) -> None:
    """Predict at a scale from now on."""
    choose_scale(subject, scale)
    want_mask()
