"""The boxes in which people choose what an instant mask learns from."""

from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.runs.models import ModelEntry
from terrainlib.ui import cached, state
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.models.instant import INSTANT_ID, InstantChoice, instant_entry
from terrainlib.ui.text import md_escape, plural

WHAT_IT_IS: Final = (
    "A classifier of single pixels by their colour and the contrast around them; it "
    "knows no shapes. Fitted in memory within a minute, and never saved."
)
HEIGHT_HELP: Final = "Its masks then need the heights of the image as well."


def pick_instant(key: str) -> ModelEntry | None:
    """Show what it is and what it may learn from; return it, fitted.

    Args:
        key: Key of the box in which it was chosen.

    Returns:
        The model, or None where it cannot be fitted; the page has then said why.
    """
    st.caption(WHAT_IT_IS)
    folder = _pick_folder(key)
    entry = None
    with errors_shown("The pixel classifier cannot be fitted"):
        dataset = cached.dataset(folder)
        height = dataset.has_heights and st.toggle(
            "Use the heights",
            key=_height_key(key),
            help=HEIGHT_HELP,
            persist_state="session",
        )
        entry = instant_entry(InstantChoice(folder, height))
        pairs = plural(len(dataset.pairs), "pair")
        with_heights = " with heights" if height else ""
        st.markdown(
            f":material/check_circle: Learnt from {pairs} of "
            f"**{md_escape(dataset.name)}**{with_heights}"
        )
    return entry


def choose_instant(key: str, choice: InstantChoice) -> None:
    """Let a box of models stand at an instant one, from the next time it is drawn.

    Args:
        key: Key of the box.
        choice: What the model learns from.
    """
    st.session_state[key] = INSTANT_ID
    st.session_state[_folder_key(key)] = choice.folder
    st.session_state[_height_key(key)] = choice.height


def _pick_folder(key: str) -> str:
    """Return the folder to learn from; at first the data set chosen in the app."""
    chosen = st.session_state.get(state.DATASET_FOLDER)
    asked = st.session_state.get(_folder_key(key))
    folders = list(dict.fromkeys(f for f in (chosen, str(SAMPLE_DIR), asked) if f))
    return str(
        st.selectbox(
            "Learns from",
            folders,
            format_func=_folder_name,
            key=_folder_key(key),
            persist_state="session",
        )
    )


def _folder_name(folder: str) -> str:
    """Return how a folder is named in the box."""
    return "Embedded sample" if Path(folder) == SAMPLE_DIR else Path(folder).name


def _folder_key(key: str) -> str:
    return f"{key}_instant_data"


def _height_key(key: str) -> str:
    return f"{key}_instant_height"
