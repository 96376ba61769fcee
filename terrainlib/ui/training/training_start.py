"""The view in which a new training is put together and started."""

from typing import Final

import streamlit as st

from terrainlib.runs.folder import Run
from terrainlib.runs.launcher import active_run
from terrainlib.ui.datasets.picker import pick_dataset
from terrainlib.ui.text import md_escape
from terrainlib.ui.training.run_actions import start_run
from terrainlib.ui.training.training_form import ask_training

BUSY_SECONDS: Final = 2.0


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
        st.fragment(_show_busy, run_every=BUSY_SECONDS)(active.path.name)
    started = st.button(
        "Start training",
        key="training_start",
        type="primary",
        icon=":material/play_arrow:",
        disabled=active is not None or config is None,
    )
    # Not in a callback: it would be given the form as it was before the last change.
    if started and config is not None:
        start_run(config)
        st.rerun()


def _show_busy(drawn_for: str) -> None:
    """Say which training has the machine, until it is free again."""
    active = active_run()
    if active is None or active.path.name != drawn_for:
        st.rerun(scope="app")
    st.info(
        f"{md_escape(active.name)} has the machine ({active.epoch_text}). One training "
        "goes on at a time: wait for it, or stop it under Watch.",
        title="A training is running",
        icon=":material/model_training:",
    )
