"""What the masks' values mean, and the form in which people say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import streamlit as st

from terrainlib.data.classes.meaning import NO_DATA_CODES, describe
from terrainlib.data.dataset import Dataset
from terrainlib.data.layout import CLASSES_FILE
from terrainlib.data.palette import (
    MAX_NAME_CHARACTERS,
    ClassList,
    Color,
    TerrainClass,
    Value,
    distinct_colors,
    load_titles,
    require_distinct,
    save_class_list,
    value_text,
)
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.errors import DatasetError
from terrainlib.files import write_bytes
from terrainlib.places import why_kept
from terrainlib.ui import cached
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.page import swatch
from terrainlib.ui.text import md_escape

_TOOLS_FILE: Final = "classes.tool.json"
MAX_ROWS: Final = 128


@dataclass(frozen=True, slots=True)
class ValueRow:
    """What one value of the masks means.

    Attributes:
        values: The value; both ends where the masks hold 0 and full scale.
        name: Its class; values of one name are one class. Empty where it has no name.
        color: Colour of the class.
        ignored: Whether it is no class.
        title: What to call the value.
        listed: Whether it stands for a class, or for none, already.
    """

    values: tuple[Value, ...]
    name: str
    color: Color
    ignored: bool
    title: str
    listed: bool = True


def unnamed(dataset: Dataset) -> bool:
    """Return whether some values of the masks wait for a name."""
    return dataset.classes_source == "found" or bool(dataset.unlisted)


def show_meaning(dataset: Dataset) -> None:
    """Say what the masks hold, and what is to be known of that."""
    names = [item.name for item in dataset.classes]
    st.caption(md_escape(describe(dataset.meaning, names)))
    for note in dataset.notes:
        st.info(md_escape(note), icon=":material/label:")


def show_class_form(dataset: Dataset, key: str) -> None:
    """Show the form in which classes are named, merged, recoloured and left out.

    Args:
        dataset: The data set.
        key: Start of the widgets' keys, one a page.
    """
    with st.expander(
        "Name, merge, recolour or leave out classes",
        expanded=unnamed(dataset),
        icon=":material/label:",
    ):
        rows = value_rows(dataset)
        if dataset.folder == SAMPLE_DIR.resolve():
            st.markdown(
                "The embedded sample keeps its classes. Copy it into a folder of your "
                "own to change them."
            )
        elif (kept := why_kept(dataset.folder)) is not None:
            st.markdown(md_escape(kept))
        elif len(rows) > MAX_ROWS:
            st.markdown(
                f"The masks hold {len(rows)} values; this form takes {MAX_ROWS}. List "
                f"them in `{CLASSES_FILE}`."
            )
        else:
            _show_form(dataset, rows, f"{key}_classes_{dataset.fingerprint}")


def _show_form(dataset: Dataset, rows: list[ValueRow], form: str) -> None:
    st.markdown(
        "Say which class each value in the masks stands for. Values with the same "
        f"name become one class. Your answer is saved as `{CLASSES_FILE}` in the data "
        "set's folder; models trained earlier keep their names, which you change "
        "under Models."
    )
    with st.form(form):
        grid = st.grid("auto", min_column_width=200)
        edited = [
            _ask(grid.cell(), row, f"{form}_{number}")
            for number, row in enumerate(rows)
        ]
        sent = st.form_submit_button("Save the classes", type="primary")
    if sent:
        with errors_shown("The classes cannot be saved"):
            save_rows(dataset, edited)
            st.toast("The classes are saved.", icon=":material/check:")
            st.rerun()


def _ask(cell: Any, row: ValueRow, key: str) -> ValueRow:
    with cell, st.container(border=True):
        note = "" if row.listed else "no class yet"
        st.markdown(swatch(row.color, row.title, note))
        name = st.text_input(
            f"Name of class {row.title}",
            row.name,
            max_chars=MAX_NAME_CHARACTERS,
            placeholder="Name",
            key=f"{key}_name",
            label_visibility="collapsed",
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            color = st.color_picker(
                f"Colour of class {row.title}",
                value_text(row.color),
                key=f"{key}_color",
                label_visibility="collapsed",
            )
            ignored = st.checkbox("Leave out", row.ignored, key=f"{key}_ignored")
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return replace(row, name=name, color=(red, green, blue), ignored=ignored)


def value_rows(dataset: Dataset) -> list[ValueRow]:
    """Return one row for each value of the masks: of classes, of none, of neither."""
    meaning = dataset.meaning
    rows: list[ValueRow] = []
    for item, values in zip(dataset.classes, meaning.values(), strict=True):
        parts = [values] if meaning.kind == "binary" else [(one,) for one in values]
        for part in parts:
            title = item.name if meaning.kind == "binary" else value_text(part[0])
            name = "" if item.name == title else item.name
            empty = part[0] in dataset.unlisted  # 0, declared as no data
            rows.append(ValueRow(part, name, item.color, empty, title))
    shown = {value for row in rows for value in row.values}
    ignored = [value for value in meaning.ignore if value not in _hidden(dataset)]
    others = [value for value in (*ignored, *dataset.unlisted) if value not in shown]
    spare = distinct_colors(len(others), {item.color for item in dataset.classes})
    for value, free in zip(others, spare, strict=True):
        color = free if isinstance(value, int) else value
        none = value in meaning.ignore
        rows.append(ValueRow((value,), "", color, none, value_text(value), none))
    return rows


def _hidden(dataset: Dataset) -> list[Value]:
    """Return what is no class of itself, or is so in masks of the less common form."""
    colors = dataset.meaning.kind == "colors"
    return [
        value
        for value in dataset.meaning.ignore
        if value in NO_DATA_CODES or isinstance(value, int) == colors
    ]


def save_rows(dataset: Dataset, rows: Sequence[ValueRow]) -> None:
    """Write what the values of the masks mean into the data set's folder.

    Args:
        dataset: The data set.
        rows: Its values. One without a name that is a class keeps its title for one;
            one that stood for nothing still does.

    Raises:
        DatasetError: If a name is too long, fewer than two classes remain, or two have
            the same colour; nothing is written.
        StorageError: If the folder cannot be written.
    """
    before = {row.values: row.color for row in value_rows(dataset)}
    classes: dict[str, TerrainClass] = {}
    values: dict[str, tuple[Value, ...]] = {}
    ignored = [value for value in _hidden(dataset) if value not in NO_DATA_CODES]
    for row in rows:
        name = row.name.strip()
        if row.ignored:
            ignored += row.values
        elif name or row.listed:
            name = name or row.title
            if name not in classes:
                classes[name] = TerrainClass(name, _own_color(row, before, classes))
            values[name] = (*values.get(name, ()), *row.values)
    listed = ClassList(tuple(classes.values()), tuple(values.values()), tuple(ignored))
    if len(classes) < 2:
        raise DatasetError(
            "fewer than 2 classes are left, and a model needs at least 2 to tell "
            "apart. Give values of different classes different names."
        )
    require_distinct(listed.classes)
    path = dataset.folder / CLASSES_FILE
    if load_titles(path):  # a labelling tool's own list stays, under another name
        write_bytes(path.with_name(_TOOLS_FILE), path.read_bytes())
    save_class_list(path, _plain(dataset, listed))
    cached.forget_dataset()


def _own_color(
    row: ValueRow, before: Mapping[Any, Color], classes: Mapping[str, TerrainClass]
) -> Color:
    """Return the colour of a value's class; a free one where it leaves another class.

    Both have its colour then, and nobody has chosen another.
    """
    taken = {item.color for item in classes.values()}
    if row.color in taken and before.get(row.values) == row.color:
        return distinct_colors(1, {*taken, *before.values()})[0]
    return row.color


def _plain(dataset: Dataset, listed: ClassList) -> ClassList:
    """Return a list without the values that its order or its colours say already."""
    if dataset.meaning.kind == "binary":
        same = listed.values == dataset.meaning.codes
    elif dataset.meaning.kind == "colors":
        said = set(dataset.unlisted)
        pairs = zip(listed.classes, listed.values, strict=True)
        kept = tuple(
            () if held == (item.color,) and item.color not in said else held
            for item, held in pairs
        )
        return replace(listed, values=kept)
    else:
        places = tuple((n,) for n in range(len(listed.classes)))
        same = listed.values == places and not dataset.unlisted
    return replace(listed, values=((),) * len(listed.classes)) if same else listed
