"""On which data set a model is judged: its own at first, or another that fits."""

from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.errors import TerrainError
from terrainlib.runs.models import ModelEntry, list_models, training_folder
from terrainlib.ui import cached, state
from terrainlib.ui.datasets.picker import pick_dataset, scanned
from terrainlib.ui.paths import existing_path
from terrainlib.ui.text import md_escape

QUERY: Final = "dataset"  # in the address: the folder
OTHER: Final = "other"
_OF: Final = "gallery_data_of"  # str: the model whose data was brought last


def pick_data(entry: ModelEntry, key: str) -> Dataset | None:
    """Show the data sets that fit a model and return the chosen one.

    A model that is chosen brings the data set that it was trained on. Where that is not
    known, not there or not allowed, the page asks for one.

    Returns:
        The data set, or None as long as none is chosen or the chosen one cannot be
        used; the page has then said so in one sentence.
    """
    entries = list_models()
    folder = training_folder(entry, entries)
    own = None if folder is None else str(folder)
    names = _offered(entry, own, entries)
    box, mark = f"{key}_data", f"{entry.id}|{own}"
    if st.session_state.get(_OF) != mark:
        if _OF in st.session_state:
            state.write_address(**{QUERY: ""})
        st.session_state[_OF] = mark
        wanted = (own, st.session_state.get(state.DATASET_FOLDER))
        st.session_state[box] = next((one for one in wanted if one in names), None)
    state.follow_link(box, QUERY, {*names, OTHER, None})
    chosen = st.selectbox(
        "Data set",
        [*names, OTHER],
        index=None if st.session_state.get(box) is None else 0,
        format_func=lambda one: names.get(one, "Another data set …"),
        placeholder="Choose a data set",
        key=box,
        on_change=state.keep_in_link,
        args=(box, QUERY),
        persist_state="session",
    )
    if chosen is None:
        st.info(_question(entry, own), icon=":material/folder_open:")
        return None
    if chosen != OTHER:
        return _opened(chosen)
    dataset = pick_dataset(key)
    if dataset is not None and str(dataset.folder) not in names:
        state.write_address(**{QUERY: str(dataset.folder)})  # the box then stands at it
    return dataset


def _offered(
    entry: ModelEntry, own: str | None, entries: list[ModelEntry]
) -> dict[str, str]:
    """Return the names of the data sets that fit a model, by their folders.

    Its own comes first; then those of other models, the sample, the one that is chosen
    in the app, and the one of the address.
    """
    found = {own: True} if own else {}  # folder: whether it fits
    for other in entries:
        folder = training_folder(other, entries)
        if folder is not None and other.record is not None:
            found.setdefault(str(folder), _fits(entry, _class_names(other)))
    of_sample = [item.name for item in KAGGLE_CLASSES]
    found.setdefault(str(SAMPLE_DIR), _fits(entry, of_sample))
    chosen = st.session_state.get(state.DATASET_FOLDER)
    for one in (chosen, st.query_params.get(QUERY)):
        if one and one != OTHER:
            found.setdefault(one, _fits_folder(entry, one))
    return {
        one: _name(one) + (" · trained on it" if one == own else "")
        for one, fits in found.items()
        if fits and _is_there(one)
    }


def _question(entry: ModelEntry, own: str | None) -> str:
    """Return the sentence that asks for a data set."""
    name = md_escape(Path(own).name if own else entry.data or "the data")
    if own is None:
        return (
            f"This model was trained on **{name}**, and the app does not know where "
            "that is. Choose a data set to see how the model does on it."
        )
    return (
        f"The data set that this model was trained on, **{name}**, cannot be opened "
        "any more. Choose another to see how the model does on it."
    )


def _opened(folder: str) -> Dataset | None:
    try:
        return scanned(folder)
    except TerrainError as error:
        text = f"**{md_escape(_name(folder))}** cannot be used: {md_escape(error)}"
        st.info(text, icon=":material/folder_open:")
        return None


def _is_there(folder: str) -> bool:
    try:
        return existing_path(folder).is_dir()
    except TerrainError:
        return False


def _fits_folder(entry: ModelEntry, folder: str) -> bool:
    """Return whether a data set can be opened, and has no class the model lacks."""
    try:
        return _fits(entry, [item.name for item in cached.dataset(folder).classes])
    except TerrainError:
        return False


def _fits(entry: ModelEntry, names: list[str]) -> bool:
    known = {name.casefold() for name in _class_names(entry)}
    return {name.casefold() for name in names} <= known


def _class_names(entry: ModelEntry) -> list[str]:
    record = entry.record
    return [item.name for item in record.terrain_classes()] if record else []


def _name(folder: str) -> str:
    return "Embedded sample" if Path(folder) == SAMPLE_DIR else Path(folder).name
