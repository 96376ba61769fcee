"""The form in which people say which names of a folder are images, masks and heights.

What they say is kept in the folder's `dataset.json`, which the command line reads too.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from terrainlib.data.choices import CHOICES_FILE, Patterns, read_choices, save_choices
from terrainlib.data.dataset import Dataset
from terrainlib.data.layout import Layout
from terrainlib.data.layouts.patterns import (
    NameGroup,
    find_by_patterns,
    group_names,
    list_all,
)
from terrainlib.errors import DatasetError
from terrainlib.files import natural_key
from terrainlib.ui import cached
from terrainlib.ui.errors import errors_shown, show_error
from terrainlib.ui.page import show_table
from terrainlib.ui.text import plural

SHOWN_PAIRS: Final = 6
_SHOWN_GROUPS: Final = 100
_HELP: Final = (
    "Choose a pattern that was found, or write a path within the folder, with * for "
    "the part that differs from pair to pair."
)


@st.fragment
def show_names(
    folder: Path, groups: Sequence[NameGroup], begin: Patterns | None, key: str
) -> None:
    """Show the names that were found, the form, and the pairs that it would give.

    A fragment: another choice looks at the names anew, not for other rules.

    Args:
        folder: The data set's folder.
        groups: The names that were found in it.
        begin: What the form says at first.
        key: Start of the widgets' keys.
    """
    st.markdown(
        "**Choose a pattern for each.** `*` stands for the part that differs from "
        f"pair to pair. Your answer is saved as `{CHOICES_FILE}` in the folder."
    )
    _show_groups(groups)
    patterns = _ask(groups, begin, key)
    layout = None if patterns is None else _found(folder, patterns)
    if layout is not None:
        _show_pairs(layout)
    usable = patterns is not None and layout is not None and bool(layout.candidates)
    if st.button(
        "Use these names", key=f"{key}_use", type="primary", disabled=not usable
    ):
        _keep(folder, patterns)


def show_chosen_names(dataset: Dataset, key: str) -> None:
    """Offer to change which names are what, where somebody has said it, or should.

    Args:
        dataset: The data set.
        key: Start of the widgets' keys.
    """
    chosen = dataset.choices.patterns
    if chosen is None and len(dataset.problems) <= len(dataset.pairs):
        return
    if not st.toggle("Change which files are which", key=f"{key}_names"):
        return
    folder = dataset.folder
    show_names(folder, group_names(list_all(folder)), chosen, key)
    if chosen is not None and st.button(
        "Go by the usual names again", key=f"{key}_forget", type="tertiary"
    ):
        _keep(folder, None)


def _show_groups(groups: Sequence[NameGroup]) -> None:
    rows = [
        (group.pattern, group.count, ", ".join(group.examples))
        for group in groups[:_SHOWN_GROUPS]
    ]
    show_table(
        pd.DataFrame(rows, columns=["pattern", "files", "examples"]),
        {
            "pattern": st.column_config.TextColumn("Names found"),
            "files": st.column_config.NumberColumn("Files", format="localized"),
            "examples": st.column_config.TextColumn("For example"),
        },
        alt="Table of the kinds of names in the folder, with examples",
    )


def _ask(
    groups: Sequence[NameGroup], begin: Patterns | None, key: str
) -> Patterns | None:
    """Return what was said; None as long as it is not enough, or cannot be meant."""
    first = begin or Patterns("*_image.png", "*_mask.png")
    said = (first.images, first.masks, first.heights) if begin else (None, None, None)
    options = list(dict.fromkeys([*filter(None, said), *(g.pattern for g in groups)]))
    labels = ("Images", "Masks", "Heights, if there are any")
    grid = st.grid(3, min_column_width=200)
    chosen: list[str | None] = []
    for label, text in zip(labels, said, strict=True):
        with grid.cell():
            typed = st.selectbox(
                label,
                options,
                index=None if text is None else options.index(text),
                accept_new_options=True,
                placeholder="none" if label == labels[2] else "choose or write",
                help=_HELP,
                key=f"{key}_pattern_{label.split(',')[0].lower()}",
            )
            chosen.append(typed.strip() if typed and typed.strip() else None)
    images, masks, heights = chosen
    if images is None or masks is None:
        return None
    try:
        return Patterns(images, masks, heights)
    except DatasetError as error:
        show_error(error)
        return None


def _found(folder: Path, patterns: Patterns) -> Layout | None:
    with errors_shown("The folder cannot be read"):
        try:
            return find_by_patterns(list_all(folder), patterns)
        except OSError as error:
            raise DatasetError(
                f"cannot be read ({error.strerror}). Check its permissions.",
                file=folder.name,
            ) from error
    return None


def _show_pairs(layout: Layout) -> None:
    """Show the first pairs, and how many there are and are not."""
    found = len(layout.candidates)
    rest = [
        plural(layout.images - found, "image") + " without a mask",
        plural(layout.masks - found, "mask") + " without an image",
    ]
    icon = ":material/check_circle:" if found else ":material/error:"
    left = [text for text in rest if not text.startswith("0 ")]
    st.markdown(
        f"{icon} **{plural(found, 'pair')}**" + "".join(f" · {t}" for t in left)
    )
    if not found:
        return
    ordered = sorted(layout.candidates, key=lambda one: natural_key(one.id))
    rows = [
        (one.id, one.image.name, one.mask.name, one.height.name if one.height else "")
        for one in ordered[:SHOWN_PAIRS]
    ]
    frame = pd.DataFrame(rows, columns=["Pair", "Image", "Mask", "Height"])
    if not any(one.height for one in ordered):
        frame = frame.drop(columns="Height")
    show_table(frame, alt="Table of the first pairs with their files")
    if found > SHOWN_PAIRS:
        st.caption(f"and {plural(found - SHOWN_PAIRS, 'more pair')}")


def _keep(folder: Path, patterns: Patterns | None) -> None:
    """Write `dataset.json` and open the data set anew, or say why that is not done."""
    with errors_shown("The answer cannot be saved"):
        save_choices(folder, replace(read_choices(folder), patterns=patterns))
        cached.forget_dataset()
        st.rerun()
