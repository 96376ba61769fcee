"""What a data set holds: counts, problems and class shares."""

import numpy as np
import pandas as pd
import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.ui.charts import show_class_bars
from terrainlib.ui.datasets.picker import sizes
from terrainlib.ui.page import offer_file, show_table
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
    st.header("Problems", anchor=False)
    st.markdown(
        f"{plural(len(dataset.problems), 'file')} cannot be used and are left out. "
        "Correct or remove them, then open the data set again."
        if len(dataset.problems) > 1
        else "1 file cannot be used and is left out. Correct or remove it, then open "
        "the data set again."
    )
    frame = _problems_frame(dataset)
    show_table(
        frame,
        {
            "file": st.column_config.TextColumn("File", width="medium"),
            "problem": st.column_config.TextColumn("What is wrong", width="large"),
        },
        alt="Table of the files that are not used and why",
    )
    offer_file("Download as CSV", safe_csv(frame), "problems.csv")


def show_notes(dataset: Dataset) -> None:
    """List what was done to files that are used; nothing without any."""
    notes = dataset.file_notes
    if not notes:
        return
    about = plural(len({item.file for item in notes}), "file")
    with st.expander(f"Notes on {about} that are used", icon=":material/info:"):
        rows = [(item.file, item.note) for item in notes]
        show_table(
            pd.DataFrame(rows, columns=["file", "note"]),
            {
                "file": st.column_config.TextColumn("File", width="medium"),
                "note": st.column_config.TextColumn("Note", width="large"),
            },
            alt="Table of the files that are used, and what was done to them",
        )


def show_classes(dataset: Dataset) -> None:
    """Show the share of each class as a chart, and in how many pairs it occurs."""
    st.header("Class shares", anchor=False)
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
        show_table(
            frame.assign(share=frame["share"] * 100),
            {
                "class": st.column_config.TextColumn("Class"),
                "share": st.column_config.NumberColumn("Pixels", format="%.1f %%"),
                "pairs": st.column_config.NumberColumn("In pairs", format="localized"),
            },
            alt="Table of the share of each class and the pairs that hold it",
        )
        if dataset.no_data_share:
            share = f"{dataset.no_data_share:.1%}".replace("%", " %")
            st.caption(
                f"Another {share} of the pixels are unlabelled (no data or no class) "
                "and not counted."
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
        "a network learns what is so rare late, or never."
    )
