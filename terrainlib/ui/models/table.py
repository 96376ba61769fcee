"""All models in one table with the one that is chosen, and the box that adds more.

The choice stands in the address (`?model=run/NAME`), so that a link can be shared.
"""

from collections.abc import Sequence
from typing import Final

import pandas as pd
import streamlit as st

from terrainlib import rights
from terrainlib.metrics import OVERALL
from terrainlib.model.beside import run_beside
from terrainlib.model.modelfile import install_model
from terrainlib.runs.models import ModelEntry
from terrainlib.ui import cached, state
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.models.cards import KINDS
from terrainlib.ui.models.picker import QUERY_NAME, model_labels
from terrainlib.ui.page import show_table
from terrainlib.ui.text import md_escape, viewer_zone

TABLE: Final = "models_table"  # the key of the table: its chosen row
SEARCH: Final = "models_search"  # str: what is looked for
_SCORES: Final = {kind.key: kind for kind in OVERALL}
_COLUMNS: Final = {
    "Name": st.column_config.TextColumn(width=215),
    "Default": st.column_config.TextColumn(
        "★", width=36, help="The model that the pages begin with.", alignment="center"
    ),
    **{
        _SCORES[key].label: st.column_config.NumberColumn(
            format="%.3f",
            help="On the held-out pairs of its own training. Compare only models "
            "with the same data and split.",
        )
        for key in ("miou", "boundary_f1")
    },
    "Date": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
    "Size": st.column_config.NumberColumn(format="bytes"),
}


def choose_model(entries: list[ModelEntry], default: str | None) -> ModelEntry | None:
    """Show search and table; return the model of the row that is chosen.

    Returns:
        The model of the address, else the first; None where the search finds none.
    """
    words = st.text_input(
        "Search models",
        type="search",
        live=True,
        placeholder="Search by name or data set",
        key=SEARCH,
        label_visibility="collapsed",
        persist_state="session",
    )
    table = models_frame(entries, default, st.context.timezone)
    wanted = (words or "").casefold().strip()
    rows = [
        row
        for row, texts in enumerate(zip(table["Name"], table["Data"], strict=True))
        if any(wanted in text.casefold() for text in texts)
    ]
    if not rows:
        st.caption("No model or data set has this name.")
        return None
    ids = [entries[row].id for row in rows]
    linked = st.query_params.get(QUERY_NAME)
    if linked is not None and linked not in [entry.id for entry in entries]:
        st.caption("The model of this link is not on this machine, or not any more.")
    chosen = ids.index(linked) if linked in ids else 0
    state.write_address(**{QUERY_NAME: ids[chosen]})
    st.session_state[TABLE] = {"selection": {"rows": [chosen]}}
    show_table(
        table.iloc[rows],
        _COLUMNS,
        alt="All models with scores, data, origin, preset, input, classes, date, size",
        key=TABLE,
        on_select=lambda: _follow_row(ids),
        selection_mode=["single-row-required", "single-cell"],
    )
    return entries[rows[chosen]]


def _follow_row(ids: Sequence[str]) -> None:
    """Put the row that was clicked, at its mark or in a cell, into the address."""
    selection = st.session_state[TABLE]["selection"]
    rows = [*selection["rows"], *(row for row, _ in selection["cells"])]
    if rows and rows[-1] < len(ids):
        state.write_address(**{QUERY_NAME: ids[rows[-1]]})


def models_frame(
    entries: list[ModelEntry], default: str | None, timezone: str | None
) -> pd.DataFrame:
    """Return one row a model, in the columns that people read."""
    zone = viewer_zone(timezone)
    labels = model_labels(entries, timezone)
    return pd.DataFrame(
        {
            "Name": [labels[entry.id] for entry in entries],
            "Default": ["★" if entry.id == default else "" for entry in entries],
            **{
                _SCORES[key].label: pd.Series(
                    [entry.score(key) for entry in entries], dtype="float64"
                )
                for key in ("miou", "boundary_f1")
            },
            "Data": [entry.data for entry in entries],
            "From": [KINDS[entry.kind][0] for entry in entries],
            "Preset": [entry.preset for entry in entries],
            "Input": [_input(entry) for entry in entries],
            "Classes": pd.Series(
                [len(e.record.classes) if e.record else None for e in entries],
                dtype="Int64",
            ),
            "Date": [
                entry.created.astimezone(zone).replace(tzinfo=None) for entry in entries
            ],
            "Size": [entry.size_bytes for entry in entries],
        }
    )


def _input(entry: ModelEntry) -> str:
    """Return what a model needs in a word or two: `RGB`, `4 bands, height`."""
    if entry.record is None:
        return ""
    bands = entry.record.band_set()
    count = 3 if bands is None else len(bands.bands)
    image = "RGB" if bands is None else f"{count} band{'s' if count > 1 else ''}"
    return f"{image}, height" if entry.record.config.get("height") else image


def show_model_upload() -> None:
    """Show the box for a model's file, and below its button what came of it."""
    if not rights.may("upload a model"):
        return
    with st.expander("Add a model from a file", icon=":material/upload_file:"):
        st.caption(
            "A .keras or .h5 file saved by this app, or the original notebook's "
            "TerrainMaskGenerator.h5. Files are read as data; nothing in them is run."
        )
        upload = st.file_uploader(
            "Model file",
            key="models_upload",
            label_visibility="collapsed",
        )
        if upload is not None and st.button(
            "Add this model", key="models_add", type="primary", icon=":material/add:"
        ):
            with errors_shown("This file was not added"):
                with st.spinner("Checking the file …"):
                    path = run_beside(install_model, upload.getvalue(), upload.name)
                cached.let_go(upload)
                state.write_address(**{QUERY_NAME: f"added/{path.name}"})
                st.session_state[SEARCH] = ""
                st.success(
                    f"{md_escape(path.stem)} was added and is chosen in the table "
                    "below.",
                    icon=":material/check:",
                )
