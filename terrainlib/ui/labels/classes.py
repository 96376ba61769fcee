"""The classes that can be painted: added, renamed, recoloured, deleted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import streamlit as st

from terrainlib.data.labels.strokes import Painted, with_classes
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    MAX_CLASSES,
    MAX_NAME_CHARACTERS,
    Classes,
    TerrainClass,
    distinct_colors,
    value_text,
)
from terrainlib.runs.models import list_models
from terrainlib.ui.labels.weak import with_those_of
from terrainlib.ui.labels.work import Work, with_some_classes
from terrainlib.ui.page import noticed
from terrainlib.ui.text import md_escape, plural

_OWN: Final[Classes] = (
    TerrainClass("Class 1", (0, 114, 178)),
    TerrainClass("Class 2", (230, 159, 0)),
)
KAGGLE: Final = "The seven of the Kaggle data set"
OWN: Final = "My own, from scratch"


def show_classes(work: Work, painted: Painted, key: str) -> None:
    """Show the classes with boxes to change them; every change is kept at once.

    Args:
        work: The image.
        painted: What is painted on it.
        key: Start of the widgets' keys.
    """
    with st.popover("Classes", icon=":material/label:"):
        palettes = _palettes()
        st.selectbox(
            "Start with the classes of",
            list(palettes),
            index=None,
            placeholder="Choose a list",
            key=f"{key}_palette",
            help="Classes that are painted already stay.",
            on_change=_start_with,
            args=(work, f"{key}_palette"),
        )
        for number, item in enumerate(painted.classes):
            _row(work, painted, item, f"{key}_{number}_{item.name}_{item.color}")
        st.button(
            "Add a class",
            icon=":material/add:",
            key=f"{key}_add",
            disabled=len(painted.classes) >= MAX_CLASSES,
            on_click=_change,
            args=(work, _added),
        )


def _row(work: Work, painted: Painted, item: TerrainClass, key: str) -> None:
    used = sum(stroke.class_name == item.name for stroke in painted.strokes)
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    with row:
        st.color_picker(
            f"Colour of {md_escape(item.name)}",
            value_text(item.color),
            label_visibility="collapsed",
            key=f"{key}_color",
            on_change=_edit,
            args=(work, item, key),
        )
        st.text_input(
            f"Name of {md_escape(item.name)}",
            item.name,
            max_chars=MAX_NAME_CHARACTERS,
            label_visibility="collapsed",
            key=f"{key}_name",
            on_change=_edit,
            args=(work, item, key),
        )
        st.button(
            f"Delete {md_escape(item.name)}",
            icon=":material/delete:",
            type="tertiary",
            key=f"{key}_delete",
            disabled=bool(used),
            help=f"It has {plural(used, 'stroke')}. Erase them first."
            if used
            else None,
            on_click=_change,
            args=(work, lambda found: _without(found, item.name)),
        )


def _palettes() -> dict[str, Classes]:
    found = {KAGGLE: KAGGLE_CLASSES, OWN: _OWN}
    for entry in list_models():
        if entry.record is not None:
            classes = entry.record.terrain_classes()
            if classes != KAGGLE_CLASSES:
                found[f"The model {entry.title}"] = classes
    return found


def _start_with(work: Work, key: str) -> None:
    classes = _palettes().get(str(st.session_state.get(key)))
    st.session_state[key] = None
    if classes is not None:
        _change(work, lambda painted: with_those_of(painted, classes))


def _change(work: Work, how: Callable[[Painted], Painted]) -> None:
    with noticed("The classes were not changed"):
        work.file.change(lambda painted: how(with_some_classes(painted)))


def _added(painted: Painted) -> Painted:
    names = {item.name for item in painted.classes}
    number = len(names) + 1
    while f"Class {number}" in names:
        number += 1
    [color] = distinct_colors(1, {item.color for item in painted.classes})
    added = TerrainClass(f"Class {number}", color)
    return with_classes(painted, (*painted.classes, added))


def _without(painted: Painted, name: str) -> Painted:
    if any(stroke.class_name == name for stroke in painted.strokes):
        return painted  # somebody has painted it meanwhile
    kept = tuple(item for item in painted.classes if item.name != name)
    return with_classes(painted, kept) if kept else painted


def _edit(work: Work, item: TerrainClass, key: str) -> None:
    """Give a class the name and colour that stand in its boxes."""
    name = str(st.session_state.get(f"{key}_name", "")).strip() or item.name
    color = str(st.session_state.get(f"{key}_color", value_text(item.color)))
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    changed = replace(item, name=name, color=(red, green, blue))

    def edited(painted: Painted) -> Painted:
        listed = [changed if i.name == item.name else i for i in painted.classes]
        return with_classes(painted, tuple(listed), {item.name: name})

    _change(work, edited)
