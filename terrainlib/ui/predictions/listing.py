"""Earlier predictions of large images and batches: open or delete them."""

from typing import Final

import streamlit as st

from terrainlib.runs.predictions import (
    PredictionJob,
    damaged_predictions,
    list_predictions,
)
from terrainlib.ui.predictions.actions import ask_delete, ask_delete_damaged, watch
from terrainlib.ui.predictions.words import state_text
from terrainlib.ui.text import md_escape, plural
from terrainlib.ui.times import date_text, parse_time
from terrainlib.ui.worker_parts import show_damaged

SHOWN: Final = 20


def show_earlier_jobs() -> None:
    """Show the predictions on this machine, newest first; nothing if there are none.

    Those that cannot be read come first, so that they can be deleted.
    """
    jobs, damaged = list_predictions(), damaged_predictions()
    if not jobs and not damaged:
        return
    with st.expander(
        f"Predictions of large images and batches ({len(jobs) + len(damaged)})",
        icon=":material/history:",
    ):
        show_damaged(damaged, ask_delete_damaged, key="studio_job_delete_damaged")
        for job in jobs[:SHOWN]:
            _show_job(job)
        if len(jobs) > SHOWN:
            st.caption(f"{plural(len(jobs) - SHOWN, 'older one')} are not shown.")


def _show_job(job: PredictionJob) -> None:
    words = state_text(job.state)
    name = job.path.name
    with st.container(
        horizontal=True,
        vertical_alignment="center",
        horizontal_alignment="distribute",
    ):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(words.label, icon=words.icon, color=words.color)
            moment = parse_time(job.config.created)
            date = date_text(moment, st.context.timezone) if moment else ""
            title = md_escape(job.name)
            st.markdown(f"**{title}** :gray[{date}]", width="content")
        with st.container(horizontal=True, width="content"):
            st.button(
                "Open",
                key=f"studio_job_open_{name}",
                type="tertiary",
                icon=":material/open_in_full:",
                on_click=watch,
                args=(name,),
            )
            if st.button(
                "Delete",
                key=f"studio_job_delete_{name}",
                type="tertiary",
                icon=":material/delete:",
                disabled=job.active,
            ):
                ask_delete([job])
