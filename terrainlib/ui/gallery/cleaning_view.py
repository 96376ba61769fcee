"""What median, sieve and hole filling do to the scores, on the images of a gallery."""

from typing import Any, Final

import streamlit as st

from terrainlib.mask.postprocess import PostProcessing
from terrainlib.mask.scores.cleaning_effect import cleaning_effect
from terrainlib.mask.scores.gallery import Gallery
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.gallery.predictions import Wanted

TITLE: Final = "Would cleaning help?"
EFFECT: Final = "gallery_cleaning_effect"  # dict: what was scored last, and for what
MEDIANS: Final = (0, *range(3, 16, 2))
MAX_SLIDER_PX: Final = 400
_STEP_PX: Final = 4
_EQUAL: Final = 0.00005


@st.fragment
def show_cleaning_effect(gallery: Gallery, wanted: Wanted, key: str) -> None:
    """Show the sliders of the cleaning, and what the cleaned masks score.

    A fragment: a slider draws this block only.

    Args:
        gallery: The predictions and their scores.
        wanted: Which predictions they are.
        key: Start of the widgets' keys, one a page.
    """
    with st.container(border=True):
        st.markdown(f"**{TITLE}**")
        settings = pick_cleaning(key)
        clicked = st.button(
            "Clean and score the class masks",
            key=f"{key}_clean",
            icon=":material/cleaning_services:",
            disabled=settings.changes_nothing,
        )
        asked = [wanted.key, settings.median_px, settings.sieve_px, settings.fill_px]
        if clicked:
            with errors_shown("The masks cannot be cleaned"):
                _compute(gallery, settings, asked)
        known = st.session_state.get(EFFECT)
        if known and known["asked"] == asked:
            _show(known["effect"])
        elif settings.changes_nothing:
            st.caption("Move a slider to clean the class masks.")


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


def _compute(gallery: Gallery, settings: PostProcessing, asked: list[Any]) -> None:
    """Clean and score behind a progress bar, and keep the result for this session."""
    bar = st.progress(0.0, "Starting …")

    def show(done: int, total: int) -> None:
        bar.progress(done / max(total, 1), f"Cleaned {done:,} of {total:,}")

    effect = cleaning_effect(gallery, settings, progress=show)
    bar.empty()
    st.session_state[EFFECT] = {"asked": asked, "effect": effect.to_dict()}


def _show(effect: dict[str, Any]) -> None:
    """Show the scores after cleaning, with the difference to before."""
    grid = st.grid(3, min_column_width=140)
    for name, label in (("miou", "mIoU"), ("boundary_f1", "Boundary F1")):
        before, after = effect["before"][name], effect["after"][name]
        known = before is not None and after is not None
        grid.metric(
            f"{label}, cleaned",
            f"{after:.1%}" if known else "–",
            f"{100 * (after - before):+.2f} points" if known else None,
            border=True,
        )
    grid.metric("Pixels changed", f"{effect['changed']:.1%}", border=True)
    st.markdown(in_words(effect))


def in_words(effect: dict[str, Any]) -> str:
    """Return in a sentence whether cleaning helps or hurts."""
    gains = [
        effect["after"][name] - effect["before"][name]
        for name in ("miou", "boundary_f1")
        if effect["before"][name] is not None and effect["after"][name] is not None
    ]
    if not gains:
        return "Nothing to score."
    if all(abs(gain) < _EQUAL for gain in gains):
        return "The scores stay as they are."
    if all(gain > -_EQUAL for gain in gains):
        return "Cleaning like this helps."
    if all(gain < _EQUAL for gain in gains):
        return "Cleaning like this hurts: the masks are better without it."
    return "Cleaning like this helps one score and hurts the other."


def _off(size: int) -> str:
    return str(size) if size else "off"
