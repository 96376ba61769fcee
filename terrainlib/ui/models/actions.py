"""What one can do with a model: default, downloads, classes, delete; and the answers.

An answer stands below what was pressed.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib import rights
from terrainlib.data.layout import CLASSES_FILE
from terrainlib.data.palette import (
    MAX_NAME_CHARACTERS,
    Classes,
    TerrainClass,
    is_unnamed,
    titles_of_values,
    value_text,
)
from terrainlib.errors import ModelFileError, TerrainError
from terrainlib.mask.pixelsize import training_pixel_metres
from terrainlib.model.beside import run_beside
from terrainlib.model.modelfile import load_model
from terrainlib.model.reading.onnxfile import (
    ONNX_FILE,
    export_onnx,
    require_exportable,
)
from terrainlib.model.reading.writer import (
    HDF5_FILE,
    KERAS_FILE,
    rename_classes,
    save_model,
)
from terrainlib.model.record import ModelRecord
from terrainlib.places import why_kept
from terrainlib.runs.folder import read_run
from terrainlib.runs.models import (
    ModelEntry,
    default_warning,
    delete_model,
    find_model,
    set_default,
)
from terrainlib.ui import state
from terrainlib.ui.models.picker import QUERY_NAME
from terrainlib.ui.page import (
    ask,
    leave_notice,
    links_to_model,
    noticed,
    offer_file,
    show_notice,
)
from terrainlib.ui.paths import allowed_path
from terrainlib.ui.text import md_escape, slug

_PLACE: Final = "models_answer_place"  # str: below what the next notice belongs
_CHANGED: Final = "models_default_changed"  # list: ids of the default now, and before


@contextmanager
def answered(place: str, title: str) -> Iterator[None]:
    """Let an action leave what it has to say for the page, below what was pressed."""
    st.session_state[_PLACE] = place
    with noticed(title):
        yield


def show_answer(place: str) -> None:
    """Show what an action of this place has left to say, once."""
    if st.session_state.get(_PLACE) == place:
        show_notice()


def _make_default(model_id: str, before: str | None) -> None:
    """Let the pages begin with this model."""
    with answered("buttons", "The default was not changed"):
        set_default(model_id)
        st.session_state[_CHANGED] = [model_id, before]


def _undo_default(before: str) -> None:
    """Let the pages begin with the model that they began with before."""
    with answered("buttons", "The default was not changed"):
        set_default(before)
        leave_notice(
            f"The app begins with {md_escape(find_model(before).title)} again."
        )


def _show_change(entry: ModelEntry, models: Mapping[str, ModelEntry]) -> None:
    """Say that a model is the default from now on, and offer to undo that."""
    now, before = st.session_state.get(_CHANGED, (None, None))
    if now != entry.id or before not in models:
        return
    against = default_warning(entry, models[before])
    text = f"The app now begins with {md_escape(entry.title)}."
    if against is None:
        st.success(text, icon=":material/check:")
    else:
        st.warning(f"{text} {md_escape(against)}", icon=":material/warning:")
    st.button(
        f"Undo: begin with {md_escape(models[before].title)}",
        key="models_default_undo",
        icon=":material/undo:",
        on_click=_undo_default,
        args=(before,),
    )


def _delete(model_id: str) -> None:
    """Delete a model's files; never an embedded one."""
    with answered("table", "The model was not deleted"):
        entry = delete_model(model_id)
        state.write_address(**{QUERY_NAME: ""})
        leave_notice(f"{md_escape(entry.title)} was deleted.")


def keras_bytes(entry: ModelEntry) -> bytes:
    """Return the model as a `.keras` file: the one on disk, or made on demand.

    Raises:
        ModelFileError: If the file cannot be read any more.
    """
    if entry.path.suffix == ".keras":
        return _read(entry.path)
    return run_beside(_converted, entry.path, KERAS_FILE)


def hdf5_bytes(entry: ModelEntry) -> bytes:
    """Return the model as `TerrainMaskGenerator.h5`: from disk, or made on demand.

    Raises:
        ModelFileError: If the file cannot be read any more.
    """
    if entry.path.suffix != ".keras":
        return _read(entry.path)
    beside = entry.path.with_name(HDF5_FILE)
    if entry.kind == "run" and beside.is_file():
        return _read(beside)
    return run_beside(_converted, entry.path, HDF5_FILE)


def onnx_bytes(entry: ModelEntry) -> bytes:
    """Return the model as an ONNX file, made on demand.

    Raises:
        ModelFileError: If the file cannot be read any more, or cannot be ONNX.
    """
    return run_beside(_exported, entry.path)


def ask_delete(entry: ModelEntry) -> None:
    """Ask before a model is deleted."""
    stays = " The curves of its training stay." if entry.kind == "run" else ""
    model_id = entry.id
    ask(
        "Delete this model?",
        f"**{md_escape(entry.title)}** is deleted from the disk.{stays} This cannot "
        "be undone.",
        "Delete",
        lambda: _delete(model_id),
        key="models_question",
    )


def _save_classes(model_id: str, known: Classes, key: str) -> None:
    """Give a model's classes the names and colours of the form, in all its files."""
    with answered("classes", "The classes were not saved"):
        entry = find_model(model_id)
        pairs = enumerate(known)
        classes = tuple(_sent(item, f"{key}_{number}") for number, item in pairs)
        beside = entry.path.with_name(HDF5_FILE)
        more = [beside] if entry.kind == "run" and beside.is_file() else []
        for path in (entry.path, *more):
            rename_classes(path, classes)
        leave_notice(f"The classes of {md_escape(entry.title)} were saved.")


def show_class_form(entry: ModelEntry, record: ModelRecord) -> None:
    """Show the form with names and colours of a model's classes; embedded have none."""
    if entry.kind == "embedded" or why_kept(entry.path) is not None:
        return
    known = record.terrain_classes()
    unnamed = [item.name for item in known if is_unnamed(item)]
    titles = _titles(entry) if unnamed else {}
    if unnamed:
        st.warning(
            f"{_unnamed_text(unnamed, len(known))} Name them here; the model stays as "
            "it is otherwise.",
            icon=":material/label:",
        )
    fixed = record.config.get("output") == "colors"
    key = f"models_classes_{entry.id}_{entry.modified.timestamp()}"
    box = st.expander(
        "Classes: names and colours", bool(unnamed), icon=":material/label:"
    )
    with box, st.form(key, border=False):
        if fixed:
            st.caption(_FIXED)
        for number, item in enumerate(known):
            title = titles.get(item.name, "") if is_unnamed(item) else item.name
            _ask_class(item, title, f"{key}_{number}", fixed=fixed)
        st.form_submit_button(
            "Save the classes",
            type="primary",
            on_click=_save_classes,
            args=(entry.id, known, key),
        )
    show_answer("classes")


def _unnamed_text(unnamed: Sequence[str], count: int) -> str:
    if len(unnamed) == count:
        return "The classes of this model have no names yet."
    verb = "has" if len(unnamed) == 1 else "have"
    listed = md_escape(", ".join(unnamed))
    return f"{len(unnamed)} of the {count} classes {verb} no name yet: {listed}."


def _titles(entry: ModelEntry) -> dict[str, str]:
    """Return what the data set of a run calls its values by now, where it says so."""
    if entry.kind != "run":
        return {}
    with suppress(TerrainError):
        data = allowed_path(read_run(entry.path.parent).config.data)
        return titles_of_values(data / CLASSES_FILE)
    return {}


_FIXED: Final = (
    "This model predicts colours, so the colours of its classes cannot be changed."
)


def _ask_class(item: TerrainClass, title: str, key: str, *, fixed: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.color_picker(
            f"Colour of {item.name}",
            value_text(item.color),
            key=f"{key}_color",
            label_visibility="collapsed",
            disabled=fixed,
        )
        st.text_input(
            f"Name of {item.name}",
            title,
            max_chars=MAX_NAME_CHARACTERS,
            placeholder=f"Name of {item.name}",
            key=f"{key}_name",
            label_visibility="collapsed",
        )


def _sent(item: TerrainClass, key: str) -> TerrainClass:
    """Return a class as it stands in the form; it keeps its name if none was given."""
    name = str(st.session_state.get(f"{key}_name", "")).strip() or item.name
    color = str(st.session_state.get(f"{key}_color", value_text(item.color)))
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return TerrainClass(name, (red, green, blue))


def _exported(path: Path) -> bytes:
    model = load_model(path)
    metres = training_pixel_metres(model.record)
    return export_onnx(model.network, model.record, pixel_metres=metres)


def _converted(path: Path, name: str) -> bytes:
    """Return a model saved anew in both formats: the file called `name`."""
    model = load_model(path)
    with tempfile.TemporaryDirectory() as folder:
        save_model(model.network, model.record, Path(folder))
        return (Path(folder) / name).read_bytes()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError("cannot be read any more.", file=path.name) from error


def show_buttons(
    entry: ModelEntry, models: Mapping[str, ModelEntry], default: str | None
) -> None:
    """Show what can be done with one of the models (by id), and its answers below."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if entry.id != default:
            present = models.get(default or "")
            against = default_warning(entry, present) if present else None
            may = rights.may("make default")
            barred = None if may else rights.refusal("make default")
            st.button(
                "Make default",
                key=f"models_default_{entry.id}",
                icon=":material/star:",
                help=barred or f"{md_escape(against or '')} {_DEFAULT_HELP}".strip(),
                disabled=barred is not None,
                on_click=_make_default,
                args=(entry.id, default),
            )
        _show_downloads(entry)
        links_to_model(entry.id, gallery="Gallery", studio="Studio")
        show_delete(entry)
    if entry.id == default:
        _show_change(entry, models)
    show_answer("buttons")


_DEFAULT_HELP: Final = (
    "The pages begin with the default. On the command line, the word `default` still "
    "means the model that comes with the app."
)


def _show_downloads(entry: ModelEntry) -> None:
    """Offer a model's files; but the first they are made on demand."""
    offer_file(
        KERAS_FILE,
        lambda: keras_bytes(entry),
        f"{slug(entry.title)}.keras",
        key=f"models_keras_{entry.id}",
        help="Keras' own format; opens here and in plain Keras.",
    )
    offer_file(
        HDF5_FILE,
        lambda: hdf5_bytes(entry),
        HDF5_FILE,
        key=f"models_h5_{entry.id}",
        help="HDF5, the original notebook's format. Made when you ask for it.",
    )
    refused = _why_no_onnx(entry)
    offer_file(
        ONNX_FILE,
        lambda: onnx_bytes(entry),
        f"{slug(entry.title)}.onnx",
        key=f"models_onnx_{entry.id}",
        help=refused or _ONNX_HELP,
        disabled=refused is not None,
    )


_ONNX_HELP: Final = (
    "For QGIS with the plugin Deepness, and other programs that read ONNX. Made when "
    "you ask for it, which takes some seconds; docs/qgis.md shows the way."
)


def _why_no_onnx(entry: ModelEntry) -> str | None:
    try:
        if entry.record is not None:
            require_exportable(entry.record)
    except TerrainError as error:
        return error.message
    return None


def show_delete(entry: ModelEntry) -> None:
    """Show the button that asks before it deletes; embedded models have none."""
    kept = why_kept(entry.path, to_delete=True)
    if entry.kind != "embedded" and st.button(
        "Delete",
        key=f"models_delete_{entry.id}",
        icon=":material/delete:",
        type="tertiary",
        disabled=kept is not None,
        help=kept,
    ):
        ask_delete(entry)
