"""Buttons that act in callbacks: questions before, notices after.

A callback runs before the page is drawn, so the page already shows the new state; what
the callback has to say is left as a notice for that page.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import streamlit as st

from terrainlib.errors import TerrainError
from terrainlib.ui.text import md_escape

_NOTICE: Final = "shared_notice"  # list of str: kind, title, Markdown


@contextmanager
def noticed(title: str) -> Iterator[None]:
    """Turn a library error of the block into the notice of the next page.

    Args:
        title: What failed, in a few words of our own.
    """
    try:
        yield
    except TerrainError as error:
        st.session_state[_NOTICE] = ["error", title, md_escape(error)]


def leave_notice(text: str) -> None:
    """Leave a sentence of success for the next page; Markdown, data escaped."""
    st.session_state[_NOTICE] = ["success", "", text]


def show_notice() -> None:
    """Show what the last callback left to say, once."""
    notice = st.session_state.pop(_NOTICE, None)
    if notice is None:
        return
    kind, title, text = notice
    if kind == "success":
        st.success(text, icon=":material/check:")
    else:
        st.error(text, title=title, icon=":material/error:")


def ask(
    title: str, body: str, action: str, do: Callable[[], None], *, key: str
) -> None:
    """Open a question with one button for yes and one for no.

    Args:
        title: The question.
        body: What happens then; Markdown, data escaped by the caller.
        action: The word on the button for yes.
        do: Called, as a callback, when yes was pressed.
        key: Start of the buttons' keys: `key_yes` and `key_cancel`.
    """

    @st.dialog(title)
    def question() -> None:
        st.markdown(body)
        with st.container(horizontal=True, horizontal_alignment="right"):
            cancelled = st.button("Cancel", key=f"{key}_cancel")
            agreed = st.button(action, key=f"{key}_yes", type="primary", on_click=do)
        if cancelled or agreed:
            st.rerun()

    question()
