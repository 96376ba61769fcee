"""The one place where an error of the library becomes a sentence on the page."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib.errors import FailureError, TerrainError
from terrainlib.rights import bound
from terrainlib.ui import state
from terrainlib.ui.text import md_escape

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """How the block went: `failed` is True after an error was shown."""

    failed: bool = False


@contextmanager
def errors_shown(title: str | None = None) -> Iterator[Outcome]:
    """Show an error of the library as one sentence, or that memory does not suffice.

    Anything else goes through. The rest of the block is left out after an error; the
    page goes on behind it:

        with errors_shown("The image cannot be read") as outcome:
            image = read_image(data)
        if not outcome.failed:
            show(image)

    Args:
        title: What failed, in a few words of our own (it is shown as Markdown).

    Yields:
        The outcome; its `failed` tells the page afterwards.
    """
    outcome = Outcome()
    try:
        with _memory_in_words():
            yield outcome
    except TerrainError as error:
        outcome.failed = True
        show_error(error, title)


def show_error(error: TerrainError, title: str | None = None) -> None:
    """Show one error of the library as a sentence, escaped."""
    if isinstance(error, FailureError):
        _log.warning("%s", error, exc_info=error)
    st.error(md_escape(error), title=title, icon=":material/error:")


NO_MEMORY: Final = (
    "there is not enough memory for this file. Close other programs, or use a smaller "
    "image."
)


@contextmanager
def _memory_in_words() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise FailureError(NO_MEMORY) from error


_MOST_FAILURES: Final = 20  # of a session
Failures = dict[tuple[str, str], TerrainError]
_watcher = st.components.v2.component(
    "terrainlib_download_failures",
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def explained(
    make: Callable[[], bytes], subject: str, label: str
) -> Callable[[], bytes]:
    """Return a function that makes a file and keeps the reason where that fails.

    Args:
        make: Makes the file.
        subject: What the file is of; only its failures are shown.
        label: What the file is called on the page.
    """
    kept = _failures()

    def run() -> bytes:
        kept.pop((subject, label), None)
        try:
            with _memory_in_words():
                return make()
        except TerrainError as error:
            kept[subject, label] = error
            raise

    return bound(run)


@st.fragment
def show_failures(subject: str, key: str = state.STUDIO_FAILURES) -> None:
    """Show why files of a subject could not be made, a sentence each."""
    kept = _failures()
    for old in list(kept)[:-_MOST_FAILURES]:
        kept.pop(old, None)
    _watcher(
        key=key,
        data={"shown": any(about == subject for about, _ in kept)},
        on_news_change=_nothing,
    )
    own = {label: error for (about, label), error in kept.items() if about == subject}
    for label, error in sorted(own.items()):
        show_error(error, f"{label} could not be made")


def _nothing() -> None:
    """Declare what the browser tells; that it runs the fragment again is enough."""


@st.cache_resource(scope="session", show_spinner=False)
def _failures() -> Failures:
    return {}
