"""The form that names the classes found in a data set and saves them with it."""

from typing import Final

import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.data.palette import (
    MAX_NAME_CHARACTERS,
    TerrainClass,
    load_classes,
    save_classes,
)
from terrainlib.errors import DatasetError
from terrainlib.ui import cached
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.legend import swatch

CLASSES_FILE: Final = "classes.json"


def show_class_names(dataset: Dataset, key: str) -> None:
    """Show the form where the classes have no names yet; nothing otherwise.

    Args:
        dataset: The data set.
        key: Start of the widgets' keys, one a page.
    """
    if dataset.classes_source != "found":
        return
    st.subheader("Name the classes", anchor=False)
    st.markdown(
        "The colours of these masks are not the Kaggle ones. Say what each of them "
        f"means; the names are saved as `{CLASSES_FILE}` in the data set's folder. A "
        "class left empty keeps its colour for a name."
    )
    form = f"{key}_classes_{dataset.fingerprint}"
    with st.form(form):
        grid = st.grid("auto", min_column_width=200)
        names = [
            _ask_name(grid.cell(), number, item, form)
            for number, item in enumerate(dataset.classes)
        ]
        sent = st.form_submit_button("Save the names", type="primary")
    if sent:
        with errors_shown("The names cannot be saved"):
            save_names(dataset, names)
            st.toast("The names are saved.", icon=":material/check:")
            st.rerun()


def save_names(dataset: Dataset, names: list[str]) -> None:
    """Write the names with the classes' colours into the data set's folder.

    Args:
        dataset: The data set.
        names: One name a class; where it is empty the class keeps the name it has.

    Raises:
        DatasetError: If a name is too long or used twice; nothing is written.
        StorageError: If the folder cannot be written.
    """
    pairs = zip(dataset.classes, names, strict=True)
    clean = [name.strip() or item.name for item, name in pairs]
    for item, name in zip(dataset.classes, clean, strict=True):
        if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
            raise DatasetError(
                f"the name of {item.name} must have 1 to {MAX_NAME_CHARACTERS} plain "
                "characters. Write another one."
            )
    if twice := sorted({name for name in clean if clean.count(name) > 1}):
        raise DatasetError(
            f"two classes are called {twice[0]}. Give each class a name of its own."
        )
    classes = tuple(
        TerrainClass(name, item.color)
        for item, name in zip(dataset.classes, clean, strict=True)
    )
    save_classes(dataset.folder / CLASSES_FILE, classes)
    load_classes(dataset.folder / CLASSES_FILE)
    cached.forget_dataset()


def _ask_name(cell: object, number: int, item: TerrainClass, form: str) -> str:
    with cell:  # type: ignore[attr-defined]
        st.markdown(swatch(item.color, item.name))
        return st.text_input(
            f"Name of class {item.name}",
            max_chars=MAX_NAME_CHARACTERS,
            placeholder="Name",
            key=f"{form}_{number}",
            label_visibility="collapsed",
        )
