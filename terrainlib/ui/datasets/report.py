"""What a data set holds: counts, problems and class shares."""

from typing import Final

import numpy as np
import pandas as pd
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
from terrainlib.ui.charts import show_class_bars
from terrainlib.ui.datasets.picker import sizes
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.page import offer_file, swatch
from terrainlib.ui.text import plural, safe_csv

RARE_SHARE = 0.01


def show_counts(dataset: Dataset) -> None:
    """Show pairs, image size, heights and problems as four numbers."""
    heights = sum(pair.height is not None for pair in dataset.pairs)
    share = "all" if dataset.has_heights else f"{heights:,}"
    grid = st.grid(4, min_column_width=150)
    grid.metric("Pairs", f"{len(dataset.pairs):,}", border=True)
    grid.metric("Image size", _one_size(dataset), border=True, help=sizes(dataset))
    grid.metric("With height", share if heights else "none", border=True)
    grid.metric("Problems", f"{len(dataset.problems):,}", border=True)


def _one_size(dataset: Dataset) -> str:
    """Return the size of the images in the few characters a number's box has."""
    found = {pair.size for pair in dataset.pairs}
    if len(found) != 1:
        return "mixed" if found else "–"
    height, width = found.pop()
    return f"{width} px" if width == height else f"{width} × {height}"


def show_problems(dataset: Dataset) -> None:
    """List the files that are not used, with their reasons; nothing without any."""
    if not dataset.problems:
        return
    st.subheader("Problems", anchor=False)
    st.markdown(
        f"{plural(len(dataset.problems), 'file')} cannot be used as they are; the rest "
        "of the data set is. Mend or remove them and open the data set again."
        if len(dataset.problems) > 1
        else "1 file cannot be used as it is; the rest of the data set is. Mend or "
        "remove it and open the data set again."
    )
    frame = _problems_frame(dataset)
    st.dataframe(
        frame,
        hide_index=True,
        column_config={
            "file": st.column_config.TextColumn("File", width="medium"),
            "problem": st.column_config.TextColumn("What is wrong", width="large"),
        },
        alt="Table of the files that are not used and why",
    )
    offer_file("Download as CSV", safe_csv(frame), "problems.csv")


def show_classes(dataset: Dataset) -> None:
    """Show the share of each class as a chart, and in how many pairs it occurs."""
    st.subheader("Class shares", anchor=False)
    chart, table = st.columns([3, 2], gap="large")
    with chart:
        show_class_bars(
            dataset.class_shares,
            dataset.classes,
            what="Share of pixels",
            largest_first=True,
        )
    with table:
        frame = _classes_frame(dataset)
        st.dataframe(
            frame.assign(share=frame["share"] * 100),
            hide_index=True,
            column_config={
                "class": st.column_config.TextColumn("Class"),
                "share": st.column_config.NumberColumn("Pixels", format="%.1f %%"),
                "pairs": st.column_config.NumberColumn("In pairs", format="localized"),
            },
            alt="Table of the share of each class and the pairs that hold it",
        )
        if text := _rare_classes(dataset):
            st.caption(text)


def _problems_frame(dataset: Dataset) -> pd.DataFrame:
    rows = [(item.file, item.problem) for item in dataset.problems]
    return pd.DataFrame(rows, columns=["file", "problem"])


def _classes_frame(dataset: Dataset) -> pd.DataFrame:
    """Return one row a class: `class`, `share` of pixels (0 to 1), `pairs` with it."""
    counts = np.array([pair.counts for pair in dataset.pairs], np.int64)
    counts = counts.reshape(len(dataset.pairs), len(dataset.classes))
    shares = dataset.class_shares
    return pd.DataFrame(
        {
            "class": list(shares),
            "share": list(shares.values()),
            "pairs": (counts > 0).sum(axis=0),
        }
    )


def _rare_classes(dataset: Dataset) -> str:
    """Return one sentence about classes too rare to learn well; empty without any."""
    rare = [share for share in dataset.class_shares.values() if share < RARE_SHARE]
    if not rare:
        return ""
    verb = "covers" if len(rare) == 1 else "cover"
    return (
        f"{plural(len(rare), 'class', 'classes')} {verb} less than 1 % of the pixels: "
        "expect a network to find them late or not at all."
    )


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
