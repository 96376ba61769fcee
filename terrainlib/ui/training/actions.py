"""What the buttons of the training page do, and the questions before they do it.

All but starting happens in callbacks, so that the page that is drawn next already shows
the new state. What went wrong, or well, is left as a notice for that page.
"""

from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib import files
from terrainlib.errors import RunError
from terrainlib.runs import launcher
from terrainlib.runs.folder import Run, RunConfig, damaged_runs, list_runs
from terrainlib.ui.page import ask, leave_notice, noticed
from terrainlib.ui.text import md_escape, plural

RUN_QUERY: Final = "run"
VIEW: Final = "training_view"  # str: one of VIEWS
WATCH: Final = "Watch"
NEW: Final = "New training"
PAST: Final = "All trainings"
VIEWS: Final = (WATCH, NEW, PAST)
_QUESTION: Final = "training_question"
_TURN: Final = "training_turn_to"  # str: the view of the next drawing
_FOLLOWED: Final = "training_followed_link"  # str: the `?run=` seen last


def find_run(name: str | None, runs: list[Run], active: Run | None) -> Run | None:
    """Return the run whose folder has this name, if there is one.

    Args:
        name: A folder's name, from a link: not to be trusted.
        runs: The runs of the folder of runs.
        active: The run going on, which may lie elsewhere.
    """
    known = [*runs, *([active] if active else [])]
    return next((run for run in known if run.path.name == name), None)


def put_in_address(name: str) -> None:
    """Let a reload or a copied link show this run, by its folder's name."""
    st.query_params[RUN_QUERY] = name
    st.session_state[_FOLLOWED] = name


def show_in_view(name: str) -> None:
    """Let the page turn to a run, by its folder's name, when it is drawn next."""
    put_in_address(name)
    st.session_state[_TURN] = WATCH


def choose_view(name: str | None, *, has_active: bool) -> None:
    """Decide what the page opens with: a link or a training going on is watched."""
    if name is not None and st.session_state.get(_FOLLOWED) != name:
        st.session_state[_FOLLOWED] = name
        st.session_state[VIEW] = WATCH
    if _TURN in st.session_state:
        st.session_state[VIEW] = st.session_state.pop(_TURN)
    if VIEW not in st.session_state:
        st.session_state[VIEW] = WATCH if has_active or name else NEW


def start_run(config: RunConfig) -> None:
    """Start a training and show it when the page is drawn next."""
    with noticed("The training was not started"):
        show_in_view(launcher.start(config).name)


def stop_run(name: str) -> None:
    """Ask a training to end and to keep its model."""
    with noticed("The training was not stopped"):
        launcher.stop(_by_name(name).path)


def force_stop_run(name: str) -> None:
    """End a training's process at once."""
    with noticed("The training was not ended"):
        launcher.force_stop(_by_name(name).path)


def resume_run(name: str) -> None:
    """Go on with a training where it ended."""
    with noticed("The training was not resumed"):
        launcher.resume(_by_name(name).path)
        show_in_view(name)


def delete_runs(names: list[str]) -> None:
    """Delete run folders with their models."""
    with noticed("Not everything was deleted"):
        for name in names:
            launcher.delete_run(_folder_of(name))
            if st.query_params.get(RUN_QUERY) == name:
                del st.query_params[RUN_QUERY]
        several = plural(len(names), "training was", "trainings were")
        leave_notice(f"{several} deleted, models included.")


def ask_force_stop(run: Run) -> None:
    """Ask before a training is ended by force."""
    name = run.path.name
    ask(
        "End this training by force?",
        f"**{md_escape(run.name)}** is ended at once. What it learnt since its last "
        "saved epoch is lost; Resume goes on from there. Stop is the gentler way.",
        "Force stop",
        lambda: force_stop_run(name),
        key=_QUESTION,
    )


def ask_delete(runs: list[Run]) -> None:
    """Ask before run folders are deleted."""
    names = [run.path.name for run in runs]
    which = ", ".join(f"**{md_escape(run.name)}**" for run in runs)
    ask(
        "Delete this training?" if len(runs) == 1 else "Delete these trainings?",
        f"{which}: curves, previews, checkpoints and the model are deleted from the "
        "disk. This cannot be undone.",
        "Delete",
        lambda: delete_runs(names),
        key=_QUESTION,
    )


def ask_delete_damaged(name: str) -> None:
    """Ask before a run folder that cannot be read is deleted, by its name."""
    ask(
        "Delete this training?",
        f"**{md_escape(name)}**: everything in this damaged folder is deleted from the "
        "disk, models included. This cannot be undone.",
        "Delete",
        lambda: delete_runs([name]),
        key=_QUESTION,
    )


def _folder_of(name: str) -> Path:
    """Return the folder of a run, damaged or not, by its name.

    Raises:
        RunError: If there is none (any more).
    """
    for entry in damaged_runs():
        if entry.path.name == name:
            return entry.path
    return _by_name(name).path


def _by_name(name: str) -> Run:
    """Return a run by its folder's name.

    Raises:
        RunError: If there is none (any more).
    """
    run = find_run(name, list_runs(files.runs_dir()), launcher.active_run())
    if run is None:
        raise RunError("is not there any more. Choose another training.", file=name)
    return run
