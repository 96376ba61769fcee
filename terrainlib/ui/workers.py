"""What the pages show of a worker, whatever it works on: title, buttons, state, log."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

import streamlit as st

from terrainlib.runs.folder import Damaged
from terrainlib.ui.text import md_escape

LOG_HEIGHT_PX: Final = 260
BadgeColor = Literal["blue", "green", "orange", "red", "gray"]


@dataclass(frozen=True, slots=True)
class StateText:
    """A state's badge and what it means for the person who looks."""

    label: str
    color: BadgeColor
    icon: str
    meaning: str


@contextmanager
def titled(title: str) -> Iterator[None]:
    """Show a title; the buttons of the block stand at its right."""
    with st.container(
        horizontal=True,
        vertical_alignment="center",
        horizontal_alignment="distribute",
    ):
        st.subheader(md_escape(title), anchor=False, width="content")
        with st.container(horizontal=True, width="content"):
            yield


def stop_button(
    name: str,
    *,
    key: str,
    help: str,
    stopping: bool,
    stop: Callable[[str], None],
) -> None:
    """Show the button that asks a worker to end.

    Args:
        name: Name of the worker's folder.
        key: The button's key.
        help: What Stop keeps.
        stopping: Whether it has been asked already.
        stop: Called with `name`, as a callback.
    """
    st.button(
        "Stop",
        key=key,
        icon=":material/stop:",
        help=help,
        disabled=stopping,
        on_click=stop,
        args=(name,),
    )


def force_stop_button(what: str, *, key: str) -> bool:
    """Show the button that ends a worker by force; return whether it was pressed."""
    return st.button(
        "Force stop",
        key=key,
        icon=":material/dangerous:",
        type="tertiary",
        help=f"For a {what} that does not answer.",
    )


def delete_button(*, key: str) -> bool:
    """Show the button that deletes a folder; return whether it was pressed."""
    return st.button("Delete", key=key, icon=":material/delete:", type="tertiary")


def show_damaged(
    entries: Sequence[Damaged], ask_delete: Callable[[str], None], *, key: str
) -> None:
    """Show the folders that cannot be read: name, reason, and a button to delete each.

    Args:
        entries: The folders.
        ask_delete: Called with the name of the one whose button was pressed.
        key: What the keys of the buttons begin with; the folder's name follows.
    """
    for entry in entries:
        name = entry.path.name
        with st.container(
            horizontal=True,
            vertical_alignment="center",
            horizontal_alignment="distribute",
        ):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.badge("damaged", icon=":material/broken_image:", color="red")
                reason = md_escape(entry.reason)
                st.markdown(f"**{md_escape(name)}** :gray[{reason}]", width="content")
            if st.button(
                "Delete",
                key=f"{key}_{name}",
                type="tertiary",
                icon=":material/delete:",
                disabled=entry.active,
                help="Its process still runs." if entry.active else None,
            ):
                ask_delete(name)


def show_badge(words: StateText) -> None:
    """Show the badge of a state, and what it means."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(words.label, icon=words.icon, color=words.color)
        st.markdown(f":gray[{words.meaning}]", width="content")


def show_log(text: str, *, expanded: bool) -> None:
    """Show the end of a worker's log."""
    with st.expander("Log", icon=":material/article:", expanded=expanded):
        if text:
            st.code(text, language=None, height=LOG_HEIGHT_PX, wrap_lines=True)
        else:
            st.caption("The worker has not written anything yet.")
