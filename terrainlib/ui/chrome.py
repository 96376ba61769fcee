"""What every page has: title, one line of purpose, empty states."""

import streamlit as st

from terrainlib import files
from terrainlib.ui import state

APP_NAME = "Terrain Mask Generator"
_WAY = (
    (state.HOME_PAGE, "Home", ":material/landscape:"),
    (state.DATASET_PAGE, "Dataset preview", ":material/photo_library:"),
    (state.TRAINING_PAGE, "Training", ":material/model_training:"),
    (state.GALLERY_PAGE, "Prediction gallery", ":material/compare:"),
    (state.STUDIO_PAGE, "Mask studio", ":material/tune:"),
    (state.MODELS_PAGE, "Models", ":material/inventory_2:"),
)


def page_header(title: str, intro: str, *, icon: str = ":material/landscape:") -> None:
    """Set up the page; the first call of every page.

    Args:
        title: Name of the page, in our own words.
        intro: One sentence: what one does here.
        icon: A Material icon for the browser's tab.
    """
    st.set_page_config(
        page_title=title if title == APP_NAME else f"{title} · {APP_NAME}",
        page_icon=icon,
        layout="wide",
    )
    _sweep_once()
    with st.sidebar:  # Streamlit's own list would call home by its file's name
        for page, label, page_icon in _WAY:
            st.page_link(page, label=label, icon=page_icon)
    st.title(title, anchor=False)
    st.markdown(f":gray[{intro}]")


@st.cache_resource(show_spinner=False)
def _sweep_once() -> None:
    """Remove what killed writers have left, once in the life of a server."""
    files.sweep(files.predictions_dir())
    for folder in (files.runs_dir(), files.models_dir(), files.cache_dir()):
        files.sweep(folder)


def empty_state(title: str, body: str, *, icon: str = ":material/info:") -> None:
    """Say that there is nothing here yet and what to do about it.

    Args:
        title: What is missing, in our own words.
        body: What to do; Markdown, with data escaped by the caller.
        icon: A Material icon.
    """
    st.info(body, title=title, icon=icon)


def page_card(page: str, label: str, text: str, *, icon: str) -> None:
    """Show a bordered card that leads to another page.

    Args:
        page: File of the page, one of the constants of `ui.state`.
        label: The link's words.
        text: One sentence below it.
        icon: A Material icon.
    """
    with st.container(border=True, height="stretch"):
        st.page_link(page, label=f"**{label}**", icon=icon)
        st.markdown(f":gray[{text}]")
