"""Labels: paint on an image, get its mask at once, make a model of what you know."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from terrainlib.ui import state
from terrainlib.ui.cached import load_ahead
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.labels.board import show_board
from terrainlib.ui.labels.classes import show_classes
from terrainlib.ui.labels.exchange import offer_example, show_bringing, show_taking
from terrainlib.ui.labels.training import show_training
from terrainlib.ui.labels.weak import (
    ALONE,
    OWN,
    Correction,
    add_classes,
    pick_correction,
    pick_shown,
)
from terrainlib.ui.labels.whole import ask_whole, show_keeping, show_whole
from terrainlib.ui.labels.work import Work, open_work
from terrainlib.ui.page import page_header, show_notice
from terrainlib.ui.studio.inputs import (
    Chosen,
    follow_address,
    follow_request,
    pick_input,
    pick_source,
)


def choose() -> tuple[Chosen | None, bool, DeltaGenerator, DeltaGenerator]:
    """Let people choose an image as in the studio, and whether its heights count.

    Returns:
        The image, the choice, a place to paint, and one for more choices below it.
    """
    first = st.container(horizontal=True, vertical_alignment="top", gap="small")
    board = st.container()
    more = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with more:
        heights = st.toggle(
            "Use heights",
            key=f"{state.LABELS}_heights",
            persist_state="session",
            help="Learn from the heights of the image too.",
        )
    with first:
        source = pick_source()
        with st.container(width="stretch"):
            chosen = pick_input(source, needs_height=heights)
    if chosen is not None and len(chosen.pictures) > 1:
        board.info("One image is painted on at a time: this is the first one.")
    return chosen, heights, board, more


@st.fragment
def paint(work: Work, correction: Correction | None) -> None:
    """Show everything that changes with a stroke."""
    show_notice()
    shown = None if correction is None else pick_shown()
    used = None if shown == ALONE else correction
    painted = show_board(work, used, own=shown == OWN)
    if painted is None:
        return
    with st.container(horizontal=True, gap="small"):
        ask_whole(work, painted, used)
        show_classes(work, painted, f"{state.LABELS}_classes")
        offer_example(painted)


def show_work(
    chosen: Chosen, work: Work, board: DeltaGenerator, more: DeltaGenerator
) -> None:
    """Show an image to paint on, and what can be made of the labels."""
    with more:
        correction = pick_correction(chosen)
    if correction is not None:
        with errors_shown("The model's classes cannot be painted"):
            add_classes(work, correction)
    with board:
        paint(work, correction)
    show_whole(work, chosen)
    st.header("What to do with the labels", anchor=False)
    take, train = st.columns(2, gap="medium")
    with take:
        st.markdown("**Take the labels with you**")
        show_taking(work)
        st.markdown("**Bring labels in**")
        show_bringing(work)
    with train:
        st.markdown("**Train a model on them**")
        show_training(work)
        st.markdown("**Keep what was learnt, for other images**")
        show_keeping(work)


page_header(
    "Labels",
    "Paint a few strokes on your image and get its mask at once.",
)
follow_request()
follow_address()
chosen, heights, board, more = choose()
if chosen is not None:
    work = None
    with more, errors_shown("The image cannot be painted on"):
        work = open_work(chosen, state.LABELS, heights=heights)
    if work is not None:
        show_work(chosen, work, board, more)
load_ahead()
