"""The one place where an error of the library becomes a sentence on the page."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from terrainlib.errors import FailureError, TerrainError
from terrainlib.ui.text import md_escape

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """How the block went: `failed` is True after an error was shown."""

    failed: bool = False


@contextmanager
def errors_shown(title: str | None = None) -> Iterator[Outcome]:
    """Show a `TerrainError` of the block as one sentence; let everything else through.

    The rest of the block is left out after an error; the page goes on behind it:

        with errors_shown("The image cannot be read") as outcome:
            image = read_image(data)
        if outcome.failed:
            st.stop()

    Args:
        title: What failed, in a few words of our own (it is shown as Markdown).

    Yields:
        The outcome; its `failed` tells the page afterwards.
    """
    outcome = Outcome()
    try:
        yield outcome
    except TerrainError as error:
        outcome.failed = True
        show_error(error, title)


def show_error(error: TerrainError, title: str | None = None) -> None:
    """Show one error of the library as a sentence, escaped."""
    if isinstance(error, FailureError):
        _log.warning("%s", error, exc_info=error)
    st.error(md_escape(error), title=title, icon=":material/error:")
