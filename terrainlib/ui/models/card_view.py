"""The model card on the models page, closed at first."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from terrainlib.model.card import ModelCard, Section, card_markdown, model_card
from terrainlib.model.record import ModelRecord
from terrainlib.ui.models.yardstick_scores import (
    WHAT_IT_IS,
    show_class_chart,
    show_score_table,
)
from terrainlib.ui.text import md_escape, slug

_RIGHT: Final = ("Split", "Training")
COMMAND_HELP: Final = "DATA is the folder of the data set, RUN_DIR a new folder."


def show_card(
    record: ModelRecord, colors: Mapping[str, tuple[int, int, int]], key: str
) -> None:
    """Show what a model is, learnt, scores, and is not good for.

    Args:
        record: What its file says.
        colors: Colours of the classes by name.
        key: Names the model, in widget keys and in the name of the download.
    """
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
        st.download_button(
            "Card as Markdown",
            data=card_markdown(record),
            file_name=f"{slug(key)}-card.md",
            mime="text/markdown",
            key=f"models_card_file_{key}",
            icon=":material/download:",
            on_click="ignore",
        )


def _show_scores(card: ModelCard, colors: Mapping[str, tuple[int, int, int]]) -> None:
    """Show the scores beside the pixel classifier's, as bars and as a table."""
    if not card.scores:
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**IoU of each class**")
        show_class_chart(card.classes, colors)
        if card.compared:
            st.caption(f"Tick and difference: the pixel classifier. {WHAT_IT_IS}")
    with right:
        st.markdown("**Scores on the validation pairs**")
        if card.compared:
            show_score_table([*card.scores, *card.classes])
        else:
            st.caption(
                "The pixel classifier was not scored on this split. The prediction "
                "gallery compares with it where the data set is at hand."
            )
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
