"""The models on disk, one card each: what it is, how good it is, what one can do."""

from typing import Final

import streamlit as st

from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.model.card import overall_scores
from terrainlib.model.modelfile import HDF5_FILE, KERAS_FILE
from terrainlib.model.record import ModelRecord
from terrainlib.runs.models import ModelEntry
from terrainlib.ui import state
from terrainlib.ui.leaks import leak_note, show_note
from terrainlib.ui.legend import swatch
from terrainlib.ui.models import actions as actions
from terrainlib.ui.models.card_view import show_card
from terrainlib.ui.text import file_size, md_escape, slug
from terrainlib.ui.times import date_text

AHEAD_HELP: Final = (
    "Below it: how far that is ahead of the pixel classifier on the same pairs."
)
KINDS: Final = {
    "embedded": ("comes with the app", ":material/landscape:"),
    "run": ("trained here", ":material/model_training:"),
    "added": ("added from a file", ":material/upload_file:"),
}


def show_model_card(entry: ModelEntry, *, is_default: bool) -> None:
    """Show one model.

    Args:
        entry: The model.
        is_default: Whether it is the one the app begins with.
    """
    with st.container(border=True, key=f"models_card_{entry.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(md_escape(entry.title), anchor=False, width="content")
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
        _show_scores(entry)
        show_card(entry.record, _colors(entry), entry.id)
        _show_buttons(entry, is_default=is_default)


def _facts(entry: ModelEntry) -> list[str]:
    """Return preset, data, date and size in a few words each."""
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


def _show_scores(entry: ModelEntry) -> None:
    """Show the validation scores, or why there are none."""
    miou = entry.score("miou")
    if miou is None:
        st.caption(
            "No scores are stored in this file. The prediction gallery computes them "
            "on any data set."
        )
        return
    images = entry.score("images")
    with st.grid(4, min_column_width=130):
        ahead = _ahead(entry.record)
        st.metric(
            "mIoU", f"{miou:.3f}", delta=ahead, help=AHEAD_HELP if ahead else None
        )
        st.metric("Pixel accuracy", _share(entry.score("pixel_accuracy")))
        st.metric("Boundary F1", _share(entry.score("boundary_f1")))
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


def _ahead(record: ModelRecord | None) -> str | None:
    """Return how far a model's mIoU is ahead of the pixel classifier's, as text."""
    if record is None:
        return None
    scores = overall_scores(record.scores, record.yardstick)
    ahead = scores[0].difference if scores else None
    return None if ahead is None else f"{ahead:+.3f}"


def _colors(entry: ModelEntry) -> dict[str, tuple[int, int, int]]:
    """Return the colours of a model's classes by name."""
    colors = {item.name: item.color for item in KAGGLE_CLASSES}
    if entry.record is not None:
        colors |= {item.name: item.color for item in entry.record.terrain_classes()}
    return colors


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _show_buttons(entry: ModelEntry, *, is_default: bool) -> None:
    """Show what can be done with a model."""
    key = entry.id
    link = {"model": entry.id}
    with st.container(horizontal=True, vertical_alignment="center"):
        if not is_default:
            st.button(
                "Make default",
                key=f"models_default_{key}",
                icon=":material/star:",
                help="The pages begin with it. The word default on the command line "
                "keeps meaning the embedded model.",
                on_click=actions.make_default,
                args=(entry.id,),
            )
        _show_downloads(entry, key)
        st.page_link(
            state.GALLERY_PAGE,
            label="Gallery",
            icon=":material/compare:",
            query_params=link,
        )
        st.page_link(
            state.STUDIO_PAGE,
            label="Studio",
            icon=":material/tune:",
            query_params=link,
        )
        _show_delete(entry)


def _show_downloads(entry: ModelEntry, key: str) -> None:
    """Offer both files of a model; the second is made on demand."""
    st.download_button(
        KERAS_FILE,
        data=lambda: actions.keras_bytes(entry),
        file_name=f"{slug(entry.title)}.keras",
        mime="application/octet-stream",
        key=f"models_keras_{key}",
        icon=":material/download:",
        help="Keras' own format; opens here and in plain Keras.",
        on_click="ignore",
    )
    st.download_button(
        HDF5_FILE,
        data=lambda: actions.hdf5_bytes(entry),
        file_name=HDF5_FILE,
        mime="application/x-hdf5",
        key=f"models_h5_{key}",
        icon=":material/download:",
        help="HDF5, the original notebook's format. Made when it is asked for.",
        on_click="ignore",
    )


def _show_delete(entry: ModelEntry) -> None:
    """Show the button that asks before it deletes; embedded models have none."""
    if entry.kind != "embedded" and st.button(
        "Delete",
        key=f"models_delete_{entry.id}",
        icon=":material/delete:",
        type="tertiary",
    ):
        actions.ask_delete(entry)
