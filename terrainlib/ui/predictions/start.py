"""The view in which the prediction of a large image, or of several, is started.

It runs in a process of its own: a large raster takes minutes, and must neither hold up
other visitors nor be lost with a closed tab.
"""

from typing import Final

import streamlit as st

from terrainlib.runs.models import ModelEntry
from terrainlib.runs.predictions import (
    PredictionConfig,
    active_prediction,
    estimate_job,
    input_images,
)
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.predictions.actions import start_job, watch
from terrainlib.ui.predictions.form import ask_folder, ask_wanted
from terrainlib.ui.predictions.words import (
    estimate_text,
    progress_text,
)
from terrainlib.ui.studio.image_overview import picture_bytes, show_image
from terrainlib.ui.studio.inputs import Chosen
from terrainlib.ui.studio.machine_files import results_folder
from terrainlib.ui.studio.upload_boxes import path_of
from terrainlib.ui.text import file_size, md_escape

STRIP_SECONDS: Final = 2.0
_LISTED_FILES: Final = 200


def show_new_job(chosen: Chosen, entry: ModelEntry) -> None:
    """Show the image and the questions, and start the prediction."""
    left, right = st.columns(2, gap="medium")
    with left:
        _show_input(chosen)
    with right, st.container(border=True):
        if entry.kind == "instant":
            st.info(
                "It has no file, and a large image or several are predicted by a "
                "process of their own. Choose another model for them.",
                title="The instant mask works on small images",
                icon=":material/bolt:",
            )
            return
        _ask_and_start(chosen, entry)


def show_active_strip() -> None:
    """Say on the studio's page that a prediction goes on, with a way to it."""
    job = active_prediction()
    if job is not None:
        st.fragment(_strip, run_every=STRIP_SECONDS)(job.path.name)


def _strip(drawn_for: str) -> None:
    job = active_prediction()
    if job is None or job.path.name != drawn_for:
        st.rerun(scope="app")
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        text = f"{job.name}: {progress_text(job, st.context.timezone)}"
        st.progress(job.status.share, md_escape(text))
        if st.button("Watch", key="studio_job_watch", icon=":material/visibility:"):
            watch(drawn_for)
            st.rerun(scope="app")


def _show_input(chosen: Chosen) -> None:
    pictures = chosen.pictures
    if len(pictures) > 1:
        size = file_size(sum(map(picture_bytes, pictures)))
        st.markdown(
            f"**{len(pictures):,} images**, {size}; shown is {md_escape(chosen.name)}"
        )
    show_image(chosen.overview, chosen.name)
    if len(pictures) > 1:
        with st.expander("All files"):
            listed = [f"- {md_escape(p.name)}" for p in pictures[:_LISTED_FILES]]
            more = len(pictures) - _LISTED_FILES
            listed += [f"- and {more:,} more"] if more > 0 else []
            st.markdown("\n".join(listed))


def _ask_and_start(chosen: Chosen, entry: ModelEntry) -> None:
    wanted = ask_wanted(chosen, entry.record.scale if entry.record else None)
    folder = ask_folder()
    config: PredictionConfig | None = None
    with errors_shown("This cannot be started"):
        height = chosen.height
        config = PredictionConfig(
            model=entry.model,
            images=input_images(
                map(path_of, chosen.pictures),
                [picture.name for picture in chosen.pictures],
            ),
            folder=str(results_folder(folder)) if folder else "",
            wanted=wanted,
            heights=str(path_of(height)) if height else None,
        )
        _show_estimate(config)
    active = active_prediction()
    busy = active is not None
    started = st.button(
        "Start the prediction",
        key="studio_job_start",
        type="primary",
        icon=":material/play_arrow:",
        disabled=busy or config is None,
        help="Another prediction has the machine." if busy else None,
    )
    # Not in a callback: it would be given the form as it was before the last change.
    if started and config is not None:
        start_job(config)
        st.rerun()


def _show_estimate(config: PredictionConfig) -> None:
    """Say what it will take."""
    told = estimate_job(config)
    st.markdown(f":material/schedule: {estimate_text(told)}")
    if told.needed_disk_mb > told.free_disk_mb:
        st.warning("The disk has less room than that.", icon=":material/warning:")
