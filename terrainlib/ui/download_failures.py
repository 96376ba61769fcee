"""Why a file could not be made that was made on a click.

Streamlit makes such a file in another thread, where nothing can be drawn, and says no
more beside the button than that it failed. The sentence is kept here. A few lines of
JavaScript notice what the button says, and then the sentence is shown; it goes when
somebody tries again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib.errors import FailureError, TerrainError
from terrainlib.ui import state
from terrainlib.ui.errors import show_error

NO_MEMORY: Final = (
    "the memory is not enough for this file. Close other programs, or use a smaller "
    "image."
)
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
            return make()
        except TerrainError as error:
            kept[subject, label] = error
            raise
        except MemoryError as error:
            kept[subject, label] = FailureError(NO_MEMORY)
            raise FailureError(NO_MEMORY) from error

    return run


@st.fragment
def show_failures(subject: str) -> None:
    """Show why files of a subject could not be made, a sentence each."""
    kept = _failures()
    for other in [key for key in kept if key[0] != subject]:
        kept.pop(other, None)
    _watcher(
        key=state.STUDIO_FAILURES,
        data={"shown": bool(kept)},
        on_news_change=_nothing,
    )
    for (_, label), error in sorted(kept.items()):
        show_error(error, f"{label} could not be made")


def _nothing() -> None:
    """Declare what the browser tells; that it runs the fragment again is enough."""


@st.cache_resource(scope="session", show_spinner=False)
def _failures() -> Failures:
    return {}
