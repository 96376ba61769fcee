"""The view in which a new training is put together and started."""

import streamlit as st

from terrainlib.runs.folder import Run
from terrainlib.ui.dataset_picker import pick_dataset
from terrainlib.ui.run_actions import show_in_view, start_run
from terrainlib.ui.text import md_escape
from terrainlib.ui.training_form import ask_training


def show_new_training(active: Run | None) -> None:
    """Show the form and its button.

    Args:
        active: The training that goes on, if any: only one can at a time.
    """
    dataset = pick_dataset("training")
    if dataset is None:
        return
    with st.container(border=True):
        config = ask_training(dataset)
    if active is not None:
        _show_busy(active)
    st.button(
        "Start training",
        key="training_start",
        type="primary",
        icon=":material/play_arrow:",
        disabled=active is not None or config is None,
        on_click=start_run,
        args=(config,),
    )


def _show_busy(active: Run) -> None:
    """Say which training has the machine, and lead to it."""
    st.info(
        f"{md_escape(active.name)} is at it ({active.epoch_text}). One training at a "
        "time: wait for it or stop it.",
        title="A training is running",
        icon=":material/model_training:",
    )
    st.button(
        "Watch it",
        key="training_watch",
        icon=":material/visibility:",
        on_click=show_in_view,
        args=(active.path.name,),
    )
