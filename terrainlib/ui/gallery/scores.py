"""Scores on the page: over all images, of each class and of each image."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from terrainlib.files import natural_key
from terrainlib.mask.scores.evaluation import Evaluation
from terrainlib.mask.scores.figures import reliability_png
from terrainlib.mask.scores.gallery import Gallery
from terrainlib.mask.scores.reliability import Reliability
from terrainlib.metrics import OVERALL, Scores, decimal
from terrainlib.ui import state
from terrainlib.ui.charts import show_chart, show_class_bars, show_confusion
from terrainlib.ui.datasets.splits import Note, caution, has_seen, is_free, show_note
from terrainlib.ui.gallery.images import show_mistakes
from terrainlib.ui.gallery.pixelclassifier import show_pixel_classifier
from terrainlib.ui.gallery.predictions import Wanted
from terrainlib.ui.page import offer_file, show_table, spread
from terrainlib.ui.text import plural, safe_csv

MEANING: Final = (
    "Confidence is how sure the model is of a pixel: the probability of its class. "
    "Of the pixels that it is 70 % sure of, 70 in 100 should be right. A bar below "
    "the dashed line: it is too sure. Above it: too careful."
)
NO_CONFIDENCE: Final = (
    "This model predicts colours, not probabilities, so there is no confidence to "
    "check."
)
MISTAKE: Final = "mistake"  # in the address: `Forest taken for Grassland`
_HEIGHT_PX: Final = 260
_LINE_GREY: Final = "#8a938c"


def _show_reliability(reliability: Reliability | None) -> None:
    """Show accuracy and pixels by confidence, or why there is none to show."""
    if reliability is None:
        st.caption(NO_CONFIDENCE)
        return
    frame = reliability.frame().assign(share=reliability.shares)
    frame = frame[frame["pixels"] > 0]
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**How often it was right, by how sure it was**")
        show_chart(_accuracy_chart(frame), alt=_in_words(reliability, frame))
        st.caption(MEANING)
    with right:
        st.markdown("**How sure it was: share of the pixels**")
        shares = _bars(frame, "share", "Share of the pixels")
        show_chart(
            shares.properties(height=_HEIGHT_PX),
            alt="Bar chart: share of the pixels by confidence",
        )
        offer_file(
            "Diagram",
            lambda: reliability_png(reliability),
            "reliability.png",
            key="download_reliability_figure",
        )


def _accuracy_chart(frame: pd.DataFrame) -> Any:
    ends = pd.DataFrame({"from": [0.0, 1.0], "accuracy": [0.0, 1.0]})
    honest = (
        alt.Chart(ends)
        .mark_line(color=_LINE_GREY, strokeDash=[5, 4], strokeWidth=2)
        .encode(x="from:Q", y="accuracy:Q")
    )
    return (_bars(frame, "accuracy", "Right") + honest).properties(height=_HEIGHT_PX)


def _bars(frame: pd.DataFrame, column: str, title: str) -> Any:
    scale = alt.Scale(domain=[0, 1])
    percents = alt.Axis(format="%", tickCount=5)
    highest = scale if column == "accuracy" else alt.Scale(zero=True)
    return (
        alt.Chart(frame)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X(
                "from:Q",
                bin="binned",
                title="Confidence",
                scale=scale,
                axis=alt.Axis(format="%", values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
            ),
            x2="to:Q",
            y=alt.Y(f"{column}:Q", title=title, scale=highest, axis=percents),
            tooltip=[
                alt.Tooltip("confidence:Q", title="Sure, on average", format=".1%"),
                alt.Tooltip("accuracy:Q", title="Right", format=".1%"),
                alt.Tooltip("share:Q", title="Share of the pixels", format=".1%"),
            ],
        )
    )


def _in_words(reliability: Reliability, frame: pd.DataFrame) -> str:
    listed = ", ".join(
        f"{sure:.0%} sure {right:.0%} right"
        for sure, right in zip(frame["confidence"], frame["accuracy"], strict=True)
    )
    error = reliability.expected_calibration_error
    return f"Reliability diagram, calibration error {decimal(error)}: {listed}"


def show_summary(gallery: Gallery, wanted: Wanted) -> None:
    """Say in one line how good the model is, and what that is worth."""
    record, part = wanted.entry.record, wanted.part
    seen = has_seen(record, wanted.dataset, part)
    text, meaning = caution(part, wanted.entry.leak, seen=seen)
    scores = gallery.evaluation.scores
    numbers = [f"{k.label} {decimal(scores.overall[k.key])}" for k in OVERALL[:3]]
    numbers.append(plural(len(gallery.ids), "image"))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("  ·  ".join(numbers), width="content")
        show_note_of(text, meaning)


def show_note_of(text: str, meaning: str) -> None:
    """Show what scores are worth, as `caution` says it; nothing for an empty text."""
    if text:
        show_note(Note(text, meaning, warns=not is_free(text)))


def show_scores(gallery: Gallery, wanted: Wanted, key: str) -> None:
    """Show the scores over all images, of each class, and the tables behind them."""
    evaluation = gallery.evaluation
    _show_numbers(evaluation, evaluation.scores)
    _show_classes(gallery, wanted, key)
    show_pixel_classifier(wanted, gallery, key)
    _show_reliability(evaluation.reliability)
    _show_tables(evaluation, evaluation.scores)


@st.fragment
def _show_classes(gallery: Gallery, wanted: Wanted, key: str) -> None:
    """Show the score of each class, and what it was taken for: press to see where."""
    evaluation = gallery.evaluation
    ious, names = evaluation.scores.classes["iou"], evaluation.class_names
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**IoU of each class**")
        values = dict(zip(names, map(float, ious), strict=True))
        show_class_bars(values, gallery.classes, what="IoU", text=decimal, longest=1.0)
        if np.isnan(ious).any():
            st.caption(
                "A dash: the class is in none of these masks, neither true "
                "nor predicted."
            )
    with right:
        st.markdown("**What the pixels of each class were taken for, in per cent**")
        pressed = show_confusion(evaluation.confusion, names, key=f"{key}_confusion")
        st.caption("Each row is a true class. Press a field to see the places.")
    chosen = chosen_mistake(names, pressed)
    if chosen is not None:
        show_mistakes(gallery, wanted, *chosen, key)


def chosen_mistake(
    names: Sequence[str], pressed: tuple[str, str] | None
) -> tuple[int, int] | None:
    """Return true and predicted class of a mistake, by their indices.

    What was pressed goes into the address; else the address says it.
    """
    known = {
        f"{truth} taken for {other}": (i, j)
        for i, truth in enumerate(names)
        for j, other in enumerate(names)
    }
    if pressed is not None and " taken for ".join(pressed) in known:
        state.write_address(**{MISTAKE: " taken for ".join(pressed)})
    return known.get(st.query_params.get(MISTAKE, ""))


def _show_numbers(evaluation: Evaluation, scores: Scores) -> None:
    grid = st.grid(len(OVERALL) + 1, min_column_width=140)
    for kind in OVERALL:
        value = decimal(scores.overall[kind.key])
        grid.metric(kind.label, value, border=True, help=kind.meaning)
    grid.metric("Images", f"{len(evaluation.ids):,}", border=True)


def class_scores_frame(scores: Scores, names: Sequence[str]) -> pd.DataFrame:
    """Return one row a class: its scores (0 to 1 or NaN) and its true pixels."""
    ends = {"class": list(names)}, {"true_pixels": scores.support}
    return pd.DataFrame(ends[0] | dict(scores.classes) | ends[1])


def confusion_table(confusion: NDArray[np.int64], names: Sequence[str]) -> pd.DataFrame:
    """Return a confusion matrix as a table: one row a true class, in pixels."""
    table = pd.DataFrame(confusion, columns=list(names))
    table.insert(0, "true \\ predicted", list(names), allow_duplicates=True)
    return table


def _show_tables(evaluation: Evaluation, scores: Scores) -> None:
    """Show the tables behind the charts, closed at first, each with its CSV."""
    names = evaluation.class_names
    images = evaluation.frame().sort_values(
        "id", key=lambda ids: ids.map(natural_key), ignore_index=True
    )
    tables = [
        ("Each class", class_scores_frame(scores, names), "scores_by_class.csv"),
        ("Each image", images, "scores_by_image.csv"),
        (
            "Confusion matrix, in pixels",
            confusion_table(evaluation.confusion, names),
            "confusion_matrix.csv",
        ),
    ]
    if evaluation.reliability is not None:
        bins = evaluation.reliability.frame()
        tables.append(("Accuracy by confidence", bins, "reliability.csv"))
    with st.expander("Tables of the scores", icon=":material/table:"):
        for title, frame, file in tables:
            with spread():
                st.markdown(f"**{title}**", width="content")
                offer_file("CSV", safe_csv(frame), file, key=f"download_{file}")
            show_table(frame, _columns(frame), alt=f"Table: {title}")


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    columns = {}
    for name, kind in frame.dtypes.items():
        if pd.api.types.is_float_dtype(kind):
            columns[str(name)] = st.column_config.NumberColumn(format="%.3f")
        elif pd.api.types.is_integer_dtype(kind):
            columns[str(name)] = st.column_config.NumberColumn(format="localized")
    return columns
