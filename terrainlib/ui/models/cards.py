"""The card of a model: what it is and how good it is."""

from collections.abc import Mapping, Sequence
from typing import Final

import streamlit as st

from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.metrics import OVERALL, decimal
from terrainlib.model.card import ModelCard, Section, card_markdown, model_card
from terrainlib.model.record import ModelRecord
from terrainlib.runs.models import ModelEntry
from terrainlib.ui.datasets.splits import leak_note, show_note
from terrainlib.ui.models.actions import show_buttons, show_class_form, show_delete
from terrainlib.ui.models.comparison import (
    WHAT_IT_IS,
    class_table,
    score_table,
    show_class_chart,
    show_difference,
)
from terrainlib.ui.page import offer_file, swatch
from terrainlib.ui.text import date_text, file_size, md_escape, slug

_RIGHT: Final = ("Split", "Training")
COMMAND_HELP: Final = "DATA is the folder of the data set, RUN_DIR a new folder."


def show_card(
    record: ModelRecord, colors: Mapping[str, tuple[int, int, int]], key: str
) -> None:
    """Show what a model is, learnt, scores, and is not good for."""
    with st.expander("Everything about this model", icon=":material/badge:"):
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
            st.caption(
                "Tick: the pixel classifier. In brackets: how far the model "
                f"is ahead of it, in points of a hundred. {WHAT_IT_IS}"
            )
    with right:
        st.markdown("**Scores on the validation pairs**")
        if card.compared:
            st.markdown(score_table(card.scores))
        else:
            st.caption(
                "The pixel classifier was not scored on these pairs. The prediction "
                "gallery does that where the data set is there."
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


KINDS: Final = {
    "embedded": ("shipped with the app", ":material/landscape:"),
    "run": ("trained here", ":material/model_training:"),
    "added": ("uploaded", ":material/upload_file:"),
}


def show_model_card(
    entry: ModelEntry, models: Sequence[ModelEntry], default: str | None
) -> None:
    """Show one of the models.

    Args:
        entry: The model.
        models: All models.
        default: Id of the app's default.
    """
    with st.container(border=True, key=f"models_card_{entry.id}"):
        st.header(md_escape(entry.title), anchor=False)
        with st.container(horizontal=True):
            if entry.id == default:
                st.badge("the app's default", icon=":material/star:", color="green")
            words, icon = KINDS[entry.kind]
            st.badge(words, icon=icon, color="gray")
        st.caption(md_escape(" · ".join(_facts(entry))))
        if entry.record is None:
            st.error(
                "This file is damaged and cannot be used.", icon=":material/error:"
            )
            show_delete(entry)
            return
        show_buttons(entry, {model.id: model for model in models}, default)
        show_class_form(entry, entry.record)
        _show_scores_cards(entry)
        _show_classes(entry, entry.record)
        _show_origin(entry.record)


def show_details(entry: ModelEntry) -> None:
    """Show the whole card of a model, folded, where its file can be read."""
    if entry.record is not None:
        show_card(entry.record, _colors(entry), entry.id)


_ORIGIN: Final = ("Input", "Works at", "Budget", "Best epoch", "Started from")


def _show_origin(record: ModelRecord) -> None:
    """Show what a model takes, how it was trained and where it started from."""
    facts = {
        name: text for part in model_card(record).sections for name, text in part.facts
    }
    if record.training and "Started from" not in facts:
        facts["Started from"] = "nothing: random weights"
    _show_section(
        Section(
            "Input and training", tuple((n, facts[n]) for n in _ORIGIN if n in facts)
        )
    )


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
    with st.grid(len(OVERALL) + 1, min_column_width=130):
        for kind in OVERALL:
            st.metric(kind.label, decimal(entry.score(kind.key)), help=kind.meaning)
        st.metric("Held-out images", f"{images:,.0f}" if images is not None else "–")
    show_difference(entry.record.ahead if entry.record else None)
    if entry.leak:
        first, _, rest = entry.leak.partition("; ")  # long badges are cut off
        show_note(leak_note(first))
        if rest:
            st.caption(md_escape(f"{rest[:1].upper()}{rest[1:]}."))


def _show_classes(entry: ModelEntry, record: ModelRecord) -> None:
    """Show the classes in their colours, with the IoU of each where it is known."""
    scores = entry.class_scores
    parts = [
        swatch(item.color, item.name, decimal(scores[item.name]) if scores else "")
        for item in record.terrain_classes()
    ]
    title = "Classes and their IoU" if scores else "Classes"
    st.markdown(f"**{title}**\n\n" + "\u2003 ".join(parts))


def _colors(entry: ModelEntry) -> dict[str, tuple[int, int, int]]:
    colors = {item.name: item.color for item in KAGGLE_CLASSES}
    if entry.record is not None:
        colors |= {item.name: item.color for item in entry.record.terrain_classes()}
    return colors
