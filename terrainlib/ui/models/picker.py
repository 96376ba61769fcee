"""The box in which a page lets people choose a model.

The last entry is the instant mask, which has no file. The choice follows the link
(`?model=run/NAME`), and survives leaving the page.
"""

import streamlit as st

from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.ui.models.instant import INSTANT_ID, INSTANT_TITLE
from terrainlib.ui.models.instant_picker import pick_instant
from terrainlib.ui.times import date_text

QUERY_NAME = "model"


def pick_entry(key: str, *, label: str = "Model") -> ModelEntry | None:
    """Show the box and return the chosen model.

    Args:
        key: Widget key, one a page.
        label: What the box is called.

    Returns:
        The entry of the list, or an instant model, fitted now if it must be; None where
        there is no model at all or the fit failed: the page has then said what to do.
    """
    entries = {entry.id: entry for entry in list_models() if entry.record}
    if not entries:
        st.info("Train a model first, or add one from a file.", title="No model yet")
        st.page_link("pages/2_Training.py", label="Train a model")
        st.page_link("pages/5_Models.py", label="Add a model")
        return None
    _follow_link(key, entries)
    titles = [entry.title for entry in entries.values()]

    def named(model_id: str) -> str:
        if model_id == INSTANT_ID:
            return INSTANT_TITLE
        entry = entries[model_id]
        return model_label(entry, dated=titles.count(entry.title) > 1)

    chosen = st.selectbox(
        label,
        [*entries, INSTANT_ID],
        format_func=named,
        key=key,
        on_change=_remember_in_link,
        args=(key,),
        persist_state="session",
    )
    return pick_instant(key) if chosen == INSTANT_ID else entries.get(chosen)


def model_label(entry: ModelEntry, *, dated: bool = False) -> str:
    """Return one line that tells a model from the others: preset, data, mIoU.

    Args:
        entry: The model.
        dated: Whether the date is named, for models of the same name.
    """
    parts = [entry.title]
    if dated:
        parts.append(date_text(entry.created, st.context.timezone))
    parts.append(entry.preset)
    if entry.data:
        parts.append(f"trained on {entry.data}")
    miou = entry.score("miou")
    if miou is not None:
        parts.append(f"mIoU {miou:.2f}")
    return " · ".join(parts)


def _follow_link(key: str, entries: dict[str, ModelEntry]) -> None:
    """Let a link choose the model once; afterwards the box decides."""
    seen = f"{key}_link"
    wanted = st.query_params.get(QUERY_NAME)
    offered = [*entries, INSTANT_ID]
    if wanted in offered and st.session_state.get(seen) != wanted:
        st.session_state[key] = wanted
        st.session_state[seen] = wanted
    if key in st.session_state and st.session_state[key] not in offered:
        del st.session_state[key]


def _remember_in_link(key: str) -> None:
    """Put the choice into the address, so that a reload or a shared link keeps it."""
    chosen = st.session_state.get(key)
    if chosen is not None:
        st.query_params[QUERY_NAME] = chosen
        st.session_state[f"{key}_link"] = chosen
