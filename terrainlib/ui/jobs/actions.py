"""Which prediction the studio shows, and what the buttons of predictions do.

Stopping and deleting happen in callbacks, so that the page that is drawn next already
shows the new state. What went wrong, or well, is left as a notice for that page.
"""

from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib.errors import RunError
from terrainlib.runs import predictions
from terrainlib.runs.folder import Damaged
from terrainlib.runs.jobs.config import PredictionConfig
from terrainlib.runs.prediction_folder import PredictionJob
from terrainlib.ui import state
from terrainlib.ui.models.picker import QUERY_NAME
from terrainlib.ui.page import ask, leave_notice, noticed
from terrainlib.ui.text import md_escape, plural

JOB_QUERY: Final = "job"
_QUESTION: Final = "studio_job_question"


def watched_name() -> str | None:
    """Return the prediction that is to be shown, by its folder's name.

    The address decides; without it, what this session watched last, unless a link leads
    here with a model to try.
    """
    linked = st.query_params.get(JOB_QUERY)
    if linked:
        st.session_state[state.STUDIO_JOB] = linked
    elif QUERY_NAME in st.query_params:
        st.session_state.pop(state.STUDIO_JOB, None)
    name = st.session_state.get(state.STUDIO_JOB)
    if name:
        st.query_params[JOB_QUERY] = name
    return name or None


def find_job(name: str) -> PredictionJob | None:
    """Return the prediction whose folder has this name, if there is one.

    Args:
        name: A folder's name, from a link: not to be trusted.
    """
    jobs = predictions.list_predictions()
    return next((job for job in jobs if job.path.name == name), None)


def watch(name: str) -> None:
    """Show a prediction, by its folder's name, here and after a reload."""
    st.session_state[state.STUDIO_JOB] = name
    st.query_params[JOB_QUERY] = name


def leave() -> None:
    """Go back to the studio's images."""
    st.session_state.pop(state.STUDIO_JOB, None)
    st.query_params.pop(JOB_QUERY, None)


def start_job(config: PredictionConfig) -> None:
    """Start a prediction and show it when the page is drawn next."""
    with noticed("The prediction was not started"):
        watch(predictions.start_prediction(config).name)


def stop_job(name: str) -> None:
    """Ask a prediction to end and to keep its finished rows."""
    with noticed("The prediction was not stopped"):
        predictions.stop_prediction(_by_name(name).path)


def force_stop_job(name: str) -> None:
    """End a prediction's process at once."""
    with noticed("The prediction was not ended"):
        predictions.force_stop_prediction(_by_name(name).path)


def delete_jobs(names: list[str]) -> None:
    """Delete predictions with the results that lie in their folders."""
    with noticed("Not everything was deleted"):
        for name in names:
            predictions.delete_prediction(_folder_of(name))
            if st.session_state.get(state.STUDIO_JOB) == name:
                leave()
        several = plural(len(names), "prediction was", "predictions were")
        leave_notice(f"{several} deleted.")


def ask_force_stop(job: PredictionJob) -> None:
    """Ask before a prediction is ended by force."""
    name = job.path.name
    ask(
        "End this prediction by force?",
        f"**{md_escape(job.name)}** is ended at once, and what it has of the image it "
        "is at is lost. Stop is the gentler way.",
        "Force stop",
        lambda: force_stop_job(name),
        key=_QUESTION,
    )


def ask_delete(jobs: list[PredictionJob]) -> None:
    """Ask before predictions are deleted."""
    names = [job.path.name for job in jobs]
    which = ", ".join(f"**{md_escape(job.name)}**" for job in jobs)
    ask(
        "Delete this prediction?" if len(jobs) == 1 else "Delete these predictions?",
        f"{which}: the results in this app's own folder are deleted from the disk; "
        "those in a folder that you named stay. This cannot be undone.",
        "Delete",
        lambda: delete_jobs(names),
        key=_QUESTION,
    )


def ask_delete_damaged(name: str) -> None:
    """Ask before the folder of a prediction that cannot be read is deleted."""
    ask(
        "Delete this prediction?",
        f"**{md_escape(name)}**: everything in this damaged folder is deleted from the "
        "disk. This cannot be undone.",
        "Delete",
        lambda: delete_jobs([name]),
        key=_QUESTION,
    )


def find_damaged(name: str) -> list[Damaged]:
    """Return the damaged folder of this name, or nothing.

    Args:
        name: A folder's name, from a link: not to be trusted.
    """
    entries = predictions.damaged_predictions()
    return [entry for entry in entries if entry.path.name == name]


def _folder_of(name: str) -> Path:
    """Return the folder of a prediction, damaged or not, by its name.

    Raises:
        RunError: If there is none (any more).
    """
    damaged = find_damaged(name)
    return damaged[0].path if damaged else _by_name(name).path


def _by_name(name: str) -> PredictionJob:
    """Return a prediction by its folder's name.

    Raises:
        RunError: If there is none (any more).
    """
    job = find_job(name)
    if job is None:
        raise RunError("is not there any more. Choose another prediction.", file=name)
    return job
