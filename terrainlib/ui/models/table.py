"""All models in one table with the one that is chosen, and the box that adds more.

The choice stands in the address (`?model=run/NAME`), so that a link can be shared. An
administrator of a team has a second table, of all that others have made.
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
from terrainlib.runs.others import Thing, delete_of_other, list_others
from terrainlib.ui import cached, state
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.models.actions import answered, show_answer
from terrainlib.ui.models.cards import KINDS
from terrainlib.ui.models.picker import QUERY_NAME, model_labels
from terrainlib.ui.page import ask, leave_notice, show_table
from terrainlib.ui.text import md_escape, viewer_zone

TABLE: Final = "models_table"  # the key of the table: its chosen row
SEARCH: Final = "models_search"  # str: what is looked for
OTHERS_LABEL: Final = "What others have made"
OTHERS: Final = "models_others"  # the key of the table of what others have made
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


def show_others() -> None:
    """Show an administrator of a team what others have made, and let them delete it."""
    if rights.mode() != "team" or not rights.may("other people"):
        return
    box = st.expander(
        OTHERS_LABEL,
        key=f"{OTHERS}_box",
        icon=":material/group:",
        on_change="rerun",
    )
    with box:
        if box.open:
            _show_others(list_others())


def _show_others(others: list[Thing]) -> None:
    show_answer("others")
    if not others:
        st.caption("Nobody else has trained, predicted or added a model yet.")
        return
    st.caption("Choose what is to be deleted. What people have painted is not listed.")
    rows = show_table(
        _others_frame(others, st.context.timezone),
        {
            "Date": _COLUMNS["Date"],
            "Size": _COLUMNS["Size"],
        },
        alt="What others have made: owner, kind, name, date, size",
        key=OTHERS,
        on_select="rerun",
        selection_mode="multi-row",
    )
    chosen = [others[row] for row in rows]
    active = any(thing.active for thing in chosen)
    if st.button(
        "Delete",
        key=f"{OTHERS}_delete",
        icon=":material/delete:",
        disabled=active or not chosen,
        help="Stop what is still running first." if active else None,
    ):
        listed = (
            f"{one.kind} **{md_escape(one.name)}** of {md_escape(one.owner)}"
            for one in chosen
        )
        ask(
            "Delete what belongs to others?",
            f"{', '.join(listed)}: deleted from the disk. This cannot be undone.",
            "Delete",
            lambda: _delete_others(chosen),
            key=f"{OTHERS}_question",
        )


def _delete_others(things: Sequence[Thing]) -> None:
    st.session_state[OTHERS] = {"selection": {"rows": []}}
    with answered("others", "Not everything was deleted"):
        for thing in things:
            delete_of_other(thing)
        names = ", ".join(md_escape(thing.name) for thing in things)
        leave_notice(f"{names} {'was' if len(things) == 1 else 'were'} deleted.")


def _others_frame(others: Sequence[Thing], timezone: str | None) -> pd.DataFrame:
    zone = viewer_zone(timezone)
    return pd.DataFrame(
        {
            "Owner": [thing.owner for thing in others],
            "What": [
                f"{thing.kind}, running" if thing.active else thing.kind
                for thing in others
            ],
            "Name": [thing.name for thing in others],
            "Date": [
                thing.modified.astimezone(zone).replace(tzinfo=None) for thing in others
            ],
            "Size": [thing.size_bytes for thing in others],
        }
    )
