"""What the pages show of a worker and do with it, whatever it works on.

All but starting happens in callbacks, so that the page that is drawn next already shows
the new state. What went wrong, or well, is left as a notice for that page.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

import streamlit as st

from terrainlib.errors import RunError
from terrainlib.places import why_kept
from terrainlib.runs import launcher
from terrainlib.runs.folder import (
    AnyFolder,
    Damaged,
    Job,
    Run,
    damaged_folders,
)
from terrainlib.runs.slot import JOB_SLOT, RUN_SLOT, Slot
from terrainlib.runs.status import ACTIVE
from terrainlib.ui import state
from terrainlib.ui.page import ask, leave_notice, noticed, spread
from terrainlib.ui.text import date_text, md_escape, parse_time, plural

LOG_HEIGHT_PX: Final = 260
WHEN_FREE: Final = "when the other one ends"  # behind the word of a button
BadgeColor = Literal["blue", "green", "orange", "red", "gray"]


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """In what a page about one kind of work differs from one about the other.

    Attributes:
        slot: The kind of work, and how its folders are found.
        key: Start of the keys of its widgets.
        query: Name, in the address, of the one that is shown.
        session: Key, in the session, of the one that was shown last.
        meanings: What each state means for the person who looks.
        stop_help: What Stop keeps.
        forceable: States in which a worker can be ended by force.
        force_body: What is lost then, behind a name.
        delete_body: What a deletion takes along, behind names.
        damaged_body: The same of a damaged folder, with a place for its name.
        deleted: What is added to the notice of a deletion.
    """

    slot: Slot[Any]
    key: str
    query: str
    session: str
    meanings: dict[str, str]
    stop_help: str
    forceable: frozenset[str]
    force_body: str
    delete_body: str
    damaged_body: str
    deleted: str = ""

    @property
    def noun(self) -> str:
        """What one of them is called: training or prediction."""
        return self.slot.work.name


RUN_PAGE: Final = WorkerPage(
    slot=RUN_SLOT,
    key="training",
    query="run",
    session="training_followed_link",
    meanings={
        "waiting": "It begins by itself when those before it have ended, also when "
        "this page is left or closed.",
        "starting": "The data are being read and the network is being built.",
        "running": "The training goes on even if you leave or close this page.",
        "stopping": "The training ends after this step and saves its model.",
        "stalled": "The training has not moved for a while; the machine may be busy.",
        "stopped": "Stopped, as you asked; the model so far is saved. Resume goes on "
        "from there.",
        "finished": "The training is done; the model is ready.",
        "failed": "The training ended with an error.",
        "crashed": "The training ended suddenly: it was killed, or the machine was "
        "switched off. Resume goes on from its last saved epoch.",
    },
    stop_help="Ends after the current step and keeps the model.",
    forceable=ACTIVE - {"waiting"},
    force_body="is ended at once. What it learnt since its last saved epoch is lost; "
    "Resume goes on from there. Stop is the gentler way.",
    delete_body="curves, previews, checkpoints and the model are deleted from the "
    "disk. This cannot be undone.",
    damaged_body="**{}**: everything in this damaged folder is deleted from the disk, "
    "models included. This cannot be undone.",
    deleted=", models included",
)
JOB_PAGE: Final = WorkerPage(
    slot=JOB_SLOT,
    key="studio_job",
    query="job",
    session=state.STUDIO_JOB,
    meanings={
        "waiting": "It begins by itself when those before it have ended, also when "
        "this page is left or closed.",
        "starting": "The model is being loaded and the image opened.",
        "running": "It goes on even if you leave or close this page.",
        "stopping": "It ends after this batch of tiles and keeps the finished rows.",
        "stalled": "It has not moved for a while; the machine may be busy.",
        "stopped": "Stopped, as you asked; the finished rows are kept.",
        "finished": "The results are ready.",
        "failed": "The prediction ended with an error.",
        "crashed": "It ended suddenly: it was killed, or the machine was switched off.",
    },
    stop_help="Ends soon and keeps the rows that are finished.",
    forceable=frozenset({"stopping", "stalled"}),
    force_body="is ended at once, and what is done of the current image is lost. "
    "Stop is the gentler way.",
    delete_body="the results in this app's own folder are deleted from the disk; those "
    "in a folder that you named stay. This cannot be undone.",
    damaged_body="**{}**: everything in this damaged folder is deleted from the disk. "
    "This cannot be undone.",
)


@dataclass(frozen=True, slots=True)
class StateText:
    """A state's badge and what it means for the person who looks."""

    label: str
    color: BadgeColor = "gray"
    icon: str = ":material/help:"
    meaning: str = ""


_BADGES: Final[dict[str, tuple[BadgeColor, str]]] = {
    "waiting": ("gray", ":material/schedule:"),
    "starting": ("blue", ":material/hourglass_top:"),
    "running": ("green", ":material/play_arrow:"),
    "stopping": ("orange", ":material/hourglass_bottom:"),
    "stalled": ("orange", ":material/pause:"),
    "stopped": ("gray", ":material/stop:"),
    "finished": ("green", ":material/check:"),
    "failed": ("red", ":material/error:"),
    "crashed": ("red", ":material/error:"),
}


def state_text(page: WorkerPage, state: str) -> StateText:
    """Return the words for a state; an unknown one is shown as it is."""
    if state not in _BADGES:
        return StateText(state)
    return StateText(state, *_BADGES[state], page.meanings[state])


class _Placed(Protocol):
    @property
    def path(self) -> Path: ...


_AnyPlaced = TypeVar("_AnyPlaced", bound=_Placed)


def by_name(name: str | None, folders: Iterable[_AnyPlaced]) -> _AnyPlaced | None:
    """Return the one whose folder has this name, if there is one.

    Args:
        name: A folder's name, from a link: not to be trusted.
        folders: What there is.
    """
    return next((one for one in folders if one.path.name == name), None)


def follow(page: WorkerPage, name: str) -> None:
    """Let this page, a reload and a copied link show one, by its folder's name."""
    st.session_state[page.session] = name
    state.write_address(**{page.query: name})


def leave(page: WorkerPage) -> None:
    """Show none any more."""
    st.session_state.pop(page.session, None)
    state.write_address(**{page.query: ""})


def path_of(page: WorkerPage, name: str) -> Path:
    """Return the folder of this name, damaged or not, wherever it lies.

    Raises:
        RunError: If there is none (any more).
    """
    slot = page.slot
    found: Any = by_name(name, [*damaged_folders(slot.work), *slot.list()])
    if found is None:  # one that goes on may lie elsewhere
        found = by_name(name, (one for one in slot.going() if one.readable))
    if found is None:
        raise RunError(f"is not there any more. Choose another {page.noun}.", file=name)
    path: Path = found.path
    return path


def stop(page: WorkerPage, name: str) -> None:
    """Ask a worker to end and to keep what it has."""
    with noticed(f"The {page.noun} was not stopped"):
        launcher.stop(path_of(page, name))


def force_stop(page: WorkerPage, name: str) -> None:
    """End a worker's process at once."""
    with noticed(f"The {page.noun} was not ended"):
        launcher.force_stop(path_of(page, name))


def delete(page: WorkerPage, names: Sequence[str]) -> None:
    """Delete workers' folders with what lies in them."""
    with noticed("Not everything was deleted"):
        for name in names:
            launcher.delete(path_of(page, name), page.slot.work)
            if st.session_state.get(page.session) == name:
                leave(page)
        noun = page.noun
        several = plural(len(names), f"{noun} was", f"{noun}s were")
        leave_notice(f"{several} deleted{page.deleted}.")


def ask_delete(page: WorkerPage, folders: Sequence[Run | Job]) -> None:
    """Ask before workers' folders are deleted."""
    which = ", ".join(f"**{md_escape(one.name)}**" for one in folders)
    names = [one.path.name for one in folders]
    _ask_delete(page, names, f"{which}: {page.delete_body}")


def _ask_delete(page: WorkerPage, names: Sequence[str], body: str) -> None:
    which = f"this {page.noun}" if len(names) == 1 else f"these {page.noun}s"
    ask(
        f"Delete {which}?",
        body,
        "Delete",
        lambda: delete(page, names),
        key=f"{page.key}_question",
    )


def _ask_force_stop(page: WorkerPage, folder: Run | Job) -> None:
    ask(
        f"End this {page.noun} by force?",
        f"**{md_escape(folder.name)}** {page.force_body}",
        "Force stop",
        lambda: force_stop(page, folder.path.name),
        key=f"{page.key}_question",
    )


@contextmanager
def titled(title: str) -> Iterator[None]:
    """Show a title; the buttons of the block stand at its right."""
    with spread():
        st.header(md_escape(title), anchor=False, width="content")
        with st.container(horizontal=True, width="content"):
            yield


def show_buttons(page: WorkerPage, folder: Run | Job) -> None:
    """Show the buttons that end a worker, or delete its folder."""
    kept = why_kept(folder.path, to_delete=not folder.active)
    if not folder.active:
        if st.button(
            "Delete",
            key=f"{page.key}_delete",
            icon=":material/delete:",
            type="tertiary",
            disabled=kept is not None,
            help=kept,
        ):
            ask_delete(page, [folder])
        return
    waits = folder.state == "waiting"
    st.button(
        "Take out of the queue" if waits else "Stop",
        key=f"{page.key}_stop",
        icon=":material/stop:",
        help=kept or (None if waits else page.stop_help),
        disabled=folder.state == "stopping" or kept is not None,
        on_click=stop,
        args=(page, folder.path.name),
    )
    if folder.state in page.forceable and st.button(
        "Force stop",
        key=f"{page.key}_force_stop",
        icon=":material/dangerous:",
        type="tertiary",
        help=kept or f"For a {page.noun} that does not answer.",
        disabled=kept is not None,
    ):
        _ask_force_stop(page, folder)


def show_facts(folder: Run | Job, facts: Sequence[str]) -> None:
    """Show a line of facts, the last of which is when it was asked for."""
    moment = parse_time(folder.config.created)
    zone = st.context.timezone
    verb = "queued" if folder.state == "waiting" else "started"
    started = [f"{verb} {date_text(moment, zone)}"] if moment else []
    st.caption(md_escape(" · ".join([*facts, *started])))


def read_again(
    read: Callable[[Path], AnyFolder], path: Path | str, drawn_state: str | None = None
) -> AnyFolder:
    """Return a folder as it is now, for a fragment that shows what changes.

    Where its state is another by now, or it was deleted, the whole page is drawn anew,
    so that the buttons fit.

    Args:
        read: Reads the folder.
        path: The folder.
        drawn_state: Its state when the page was drawn; None for any but an end.
    """
    try:
        folder = read(Path(path))
    except RunError:
        st.rerun(scope="app")
    if folder.state != drawn_state if drawn_state else not folder.active:
        st.rerun(scope="app")
    return folder


def show_state(page: WorkerPage, folder: Run | Job, progress: str) -> None:
    """Show the state: badge, progress while it goes on, its last words at the end."""
    words = state_text(page, folder.state)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(words.label, icon=words.icon, color=words.color)
        st.markdown(f":gray[{words.meaning}]", width="content")
    if folder.state == "waiting":
        st.markdown(md_escape(page.slot.queue_text(folder)))
    elif folder.active:
        st.progress(folder.status.share or 0.0, text=md_escape(progress))
    elif folder.message and folder.state in ("failed", "crashed"):
        st.error(md_escape(folder.message), icon=":material/error:")
    elif folder.message:
        st.caption(md_escape(folder.message))


def show_damaged(page: WorkerPage, entries: Sequence[Damaged]) -> None:
    """Show the folders that cannot be read: name, reason, a button to delete each."""
    for entry in entries:
        name, kept = entry.path.name, why_kept(entry.path, to_delete=True)
        with spread():
            with st.container(horizontal=True, vertical_alignment="center"):
                st.badge("damaged", icon=":material/broken_image:", color="red")
                reason = md_escape(entry.reason)
                st.markdown(f"**{md_escape(name)}** :gray[{reason}]", width="content")
            if st.button(
                "Delete",
                key=f"{page.key}_delete_damaged_{name}",
                type="tertiary",
                icon=":material/delete:",
                disabled=entry.active or kept is not None,
                help="Its process still runs." if entry.active else kept,
            ):
                _ask_delete(page, [name], page.damaged_body.format(md_escape(name)))


def show_log(text: str, *, expanded: bool) -> None:
    """Show the end of a worker's log."""
    with st.expander("Log", icon=":material/article:", expanded=expanded):
        if text:
            st.code(text, language=None, height=LOG_HEIGHT_PX, wrap_lines=True)
        else:
            st.caption("Nothing has been written yet.")
