"""The models on disk, one card each: what it is, how good it is, what one can do."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib import files
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    MAX_NAME_CHARACTERS,
    Classes,
    TerrainClass,
    value_text,
)
from terrainlib.errors import ModelFileError
from terrainlib.metrics import OVERALL
from terrainlib.model.card import ModelCard, Score, Section, card_markdown, model_card
from terrainlib.model.modelfile import install_model, load_model
from terrainlib.model.reading.writer import (
    HDF5_FILE,
    KERAS_FILE,
    rename_classes,
    save_model,
)
from terrainlib.model.record import ModelRecord
from terrainlib.runs.models import ModelEntry, find_model, set_default
from terrainlib.ui.datasets.splits import leak_note, show_note
from terrainlib.ui.models.comparison import (
    WHAT_IT_IS,
    class_table,
    score_table,
    show_class_chart,
)
from terrainlib.ui.page import (
    ask,
    leave_notice,
    links_to_model,
    noticed,
    offer_file,
    swatch,
)
from terrainlib.ui.text import date_text, file_size, md_escape, slug

_RIGHT: Final = ("Split", "Training")
COMMAND_HELP: Final = "DATA is the folder of the data set, RUN_DIR a new folder."


def show_card(
    record: ModelRecord, colors: Mapping[str, tuple[int, int, int]], key: str
) -> None:
    """Show what a model is, learnt, scores, and is not good for."""
    with st.expander("Model card", icon=":material/badge:"):
        card = model_card(record)
        _show_scores(card, colors)
        if card.limits:
            st.markdown("**What it is not good for**")
            st.markdown(_listed(card.limits))
        if card.notes:
            st.markdown("**Notes**")
            st.markdown(_listed(card.notes))
        left, right = st.columns(2, gap="large")
        for section in card.sections:
            with right if section.title in _RIGHT else left:
                _show_section(section)
        if card.command is not None:
            st.markdown("**The command that repeats the training**", help=COMMAND_HELP)
            st.code(card.command, language="bash", wrap_lines=True)
        offer_file(
            "Card as Markdown",
            card_markdown(record),
            f"{slug(key)}-card.md",
            key=f"models_card_file_{key}",
        )


def _show_scores(card: ModelCard, colors: Mapping[str, tuple[int, int, int]]) -> None:
    """Show the scores beside the pixel classifier's, as bars and as a table."""
    if not card.scores:
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**IoU of each class**")
        show_class_chart(card.classes["iou"], colors)
        if card.compared:
            st.caption(f"Tick and difference: the pixel classifier. {WHAT_IT_IS}")
    with right:
        st.markdown("**Scores on the validation pairs**")
        if card.compared:
            st.markdown(score_table(card.scores))
        else:
            st.caption(
                "The pixel classifier was not scored on this split. The prediction "
                "gallery compares with it where the data set is at hand."
            )
        st.markdown(class_table(card.classes))
        if card.leak:
            st.caption(md_escape(f"Split: {card.leak}."))


def _show_section(section: Section) -> None:
    st.markdown(f"**{section.title}**")
    lines = [
        f"- :gray[{md_escape(name)}]\u2002{md_escape(value)}"
        for name, value in section.facts
    ]
    st.markdown("\n".join(lines))


def _listed(sentences: tuple[str, ...]) -> str:
    return "\n".join(f"- {md_escape(sentence)}" for sentence in sentences)


def _make_default(model_id: str) -> None:
    """Let the pages begin with this model."""
    with noticed("The default was not changed"):
        set_default(model_id)
        title = md_escape(find_model(model_id).title)
        leave_notice(f"The app now begins with {title}.")


def add_model(data: bytes, name: str) -> None:
    """Check an uploaded file and put it among the models; change nothing if refused."""
    with noticed("This file was not added"):
        path = install_model(data, name)
        leave_notice(f"{md_escape(path.stem)} was added.")


def delete_model(model_id: str) -> None:
    """Delete a model's files; never an embedded one."""
    with noticed("The model was not deleted"):
        entry = find_model(model_id)
        if entry.kind == "embedded":
            raise ModelFileError("An embedded model is part of the app and stays.")
        doomed = [entry.path]
        if entry.kind == "run":
            doomed.append(entry.path.with_name(HDF5_FILE))
        for path in doomed:
            _unlink(path)
        leave_notice(f"{md_escape(entry.title)} was deleted.")


def keras_bytes(entry: ModelEntry) -> bytes:
    """Return the model as a `.keras` file: the one on disk, or made on demand.

    Raises:
        ModelFileError: If the file cannot be read any more.
    """
    if entry.path.suffix == ".keras":
        return _read(entry.path)
    return _converted(entry, KERAS_FILE)


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
    return _converted(entry, HDF5_FILE)


def ask_delete(entry: ModelEntry) -> None:
    """Ask before a model is deleted."""
    stays = " The curves of its training stay." if entry.kind == "run" else ""
    model_id = entry.id
    ask(
        "Delete this model?",
        f"**{md_escape(entry.title)}** is deleted from the disk.{stays} This cannot "
        "be undone.",
        "Delete",
        lambda: delete_model(model_id),
        key="models_question",
    )


def save_classes(model_id: str, classes: Classes) -> None:
    """Give the classes of a model other names and colours, in all files it has."""
    with noticed("The classes were not saved"):
        entry = find_model(model_id)
        if entry.kind == "embedded":
            raise ModelFileError("An embedded model is part of the app and stays.")
        beside = entry.path.with_name(HDF5_FILE)
        more = [beside] if entry.kind == "run" and beside.is_file() else []
        for path in (entry.path, *more):
            rename_classes(path, classes)
        leave_notice(f"The classes of {md_escape(entry.title)} were saved.")


def ask_classes(entry: ModelEntry, record: ModelRecord) -> None:
    """Open the form with names and colours of a model's classes."""
    key = f"models_classes_{entry.id}"
    fixed = record.config.get("output") == "colors"
    known = record.terrain_classes()

    def save() -> None:
        pairs = enumerate(known)
        save_classes(entry.id, tuple(_sent(item, f"{key}_{n}") for n, item in pairs))

    @st.dialog("Classes of this model")
    def form() -> None:
        st.markdown(
            "What the classes are called and how they are shown; what the model has "
            "learnt stays as it is. " + (_FIXED if fixed else "")
        )
        with st.form(key, border=False):
            for number, item in enumerate(known):
                _ask_class(item, f"{key}_{number}", fixed=fixed)
            sent = st.form_submit_button("Save", type="primary", on_click=save)
        if sent:
            st.rerun()

    form()


_FIXED: Final = "It predicts their colours, so that these cannot be changed."


def _ask_class(item: TerrainClass, key: str, *, fixed: bool) -> None:
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
            item.name,
            max_chars=MAX_NAME_CHARACTERS,
            key=f"{key}_name",
            label_visibility="collapsed",
        )


def _sent(item: TerrainClass, key: str) -> TerrainClass:
    """Return a class as it stands in the form."""
    name = str(st.session_state.get(f"{key}_name", item.name)).strip()
    color = str(st.session_state.get(f"{key}_color", value_text(item.color)))
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return TerrainClass(name, (red, green, blue))


def _converted(entry: ModelEntry, name: str) -> bytes:
    """Return a model saved anew in both formats: the file called `name`."""
    model = load_model(entry.path)
    with tempfile.TemporaryDirectory() as folder:
        save_model(model.network, model.record, Path(folder))
        return (Path(folder) / name).read_bytes()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError("cannot be read any more.", file=path.name) from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise files.storage_error(path, error) from error


AHEAD_HELP: Final = (
    "Below it: how far that is ahead of the pixel classifier on the same pairs."
)
KINDS: Final = {
    "embedded": ("comes with the app", ":material/landscape:"),
    "run": ("trained here", ":material/model_training:"),
    "added": ("added from a file", ":material/upload_file:"),
}


def show_model_card(entry: ModelEntry, *, is_default: bool) -> None:
    """Show one model."""
    with st.container(border=True, key=f"models_card_{entry.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(md_escape(entry.title), anchor=False, width="content")
            if is_default:
                st.badge("the app's default", icon=":material/star:", color="green")
            words, icon = KINDS[entry.kind]
            st.badge(words, icon=icon, color="gray")
        st.caption(md_escape(" · ".join(_facts(entry))))
        if entry.record is None:
            st.error(
                "This file is damaged and cannot be used.", icon=":material/error:"
            )
            _show_delete(entry)
            return
        _show_scores_cards(entry)
        show_card(entry.record, _colors(entry), entry.id)
        _show_buttons(entry, is_default=is_default)


def _facts(entry: ModelEntry) -> list[str]:
    facts = [entry.preset]
    pairs = entry.record.dataset.get("pairs") if entry.record else None
    if entry.data:
        facts.append(f"{entry.data}, {pairs} pairs" if pairs else entry.data)
    facts.append(date_text(entry.created, st.context.timezone))
    facts.append(file_size(entry.size_bytes))
    if entry.record is not None:
        network = entry.record.config
        facts.append(f"{network.get('image_size', '?')} px")
        if network.get("height"):
            facts.append("needs a height file")
    return facts


def _show_scores_cards(entry: ModelEntry) -> None:
    miou = entry.score("miou")
    if miou is None:
        st.caption(
            "No scores are stored in this file. The prediction gallery computes them "
            "on any data set."
        )
        return
    images = entry.score("images")
    ahead = _ahead(entry)
    with st.grid(len(OVERALL) + 1, min_column_width=130):
        for kind in OVERALL:
            lead = ahead if kind.key == "miou" else None
            st.metric(
                kind.label,
                _share(entry.score(kind.key)),
                delta=lead,
                help=f"{kind.meaning} {AHEAD_HELP}" if lead else kind.meaning,
            )
        st.metric("Held-out images", f"{images:,.0f}" if images is not None else "–")
    colors = _colors(entry)
    parts = [
        swatch(colors.get(name, (128, 128, 128)), name, _share(value))
        for name, value in entry.class_scores.items()
    ]
    st.markdown("IoU of each class:\u2003" + "\u2003 ".join(parts))
    if entry.leak:
        first, _, rest = entry.leak.partition("; ")  # long badges are cut off
        show_note(leak_note(first))
        if rest:
            st.caption(md_escape(f"{rest[:1].upper()}{rest[1:]}."))


def _ahead(entry: ModelEntry) -> str | None:
    """Return how far a model's mIoU is ahead of the pixel classifier's, as text."""
    other = (entry.record.pixel_classifier if entry.record else None) or {}
    ahead = Score("mIoU", entry.score("miou"), other.get("miou")).difference
    return None if ahead is None else f"{ahead:+.3f}"


def _colors(entry: ModelEntry) -> dict[str, tuple[int, int, int]]:
    colors = {item.name: item.color for item in KAGGLE_CLASSES}
    if entry.record is not None:
        colors |= {item.name: item.color for item in entry.record.terrain_classes()}
    return colors


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _show_buttons(entry: ModelEntry, *, is_default: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if not is_default:
            st.button(
                "Make default",
                key=f"models_default_{entry.id}",
                icon=":material/star:",
                help="The pages begin with it. The word default on the command line "
                "keeps meaning the embedded model.",
                on_click=_make_default,
                args=(entry.id,),
            )
        _show_downloads(entry)
        links_to_model(entry.id, gallery="Gallery", studio="Studio")
        _show_renaming(entry)
        _show_delete(entry)


def _show_downloads(entry: ModelEntry) -> None:
    """Offer both files of a model; the second is made on demand."""
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
        help="HDF5, the original notebook's format. Made when it is asked for.",
    )


def _show_renaming(entry: ModelEntry) -> None:
    """Show the button that opens the form of the classes; embedded models have none."""
    record = entry.record
    if (
        entry.kind != "embedded"
        and record is not None
        and st.button(
            "Classes",
            key=f"models_rename_{entry.id}",
            icon=":material/label:",
            type="tertiary",
            help="Rename or recolour the classes of this model.",
        )
    ):
        ask_classes(entry, record)


def _show_delete(entry: ModelEntry) -> None:
    """Show the button that asks before it deletes; embedded models have none."""
    if entry.kind != "embedded" and st.button(
        "Delete",
        key=f"models_delete_{entry.id}",
        icon=":material/delete:",
        type="tertiary",
    ):
        ask_delete(entry)


def show_model_upload() -> None:
    """Show the box and its button."""
    with st.container(border=True):
        st.markdown("**Add a model from a file**")
        st.caption(
            "A `.keras` or `.h5` file saved by this app, or the original notebook's "
            "`TerrainMaskGenerator.h5`. Files are read as data; nothing in them is run."
        )
        upload = st.file_uploader(
            "Model file",
            key="models_upload",
            label_visibility="collapsed",
        )
        if upload is None:
            return
        if st.button(
            "Add this model", key="models_add", type="primary", icon=":material/add:"
        ):
            add_model(upload.getvalue(), upload.name)
            st.rerun()
