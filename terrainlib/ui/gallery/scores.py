"""Scores on the page: over all images, of each class and of each image."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.palette import Classes
from terrainlib.mask.scores.evaluation import Evaluation
from terrainlib.mask.scores.figures import reliability_png
from terrainlib.mask.scores.reliability import Reliability
from terrainlib.metrics import OVERALL, Scores
from terrainlib.ui.charts import show_class_bars, show_confusion
from terrainlib.ui.datasets.splits import Note, is_free, show_note
from terrainlib.ui.page import offer_file, spread
from terrainlib.ui.text import safe_csv

MEANING: Final = (
    "Of the pixels that the model is 70% sure of, 70 in 100 should be right: a bar "
    "below the dashed line says that it is too sure, one above it too careful."
)
NO_CONFIDENCE: Final = (
    "This model gives colours and no probabilities: there is no confidence to check."
)
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
        st.altair_chart(_accuracy_chart(frame), alt=_in_words(reliability, frame))
        st.caption(MEANING)
    with right:
        st.markdown("**How sure it was: share of the pixels**")
        shares = _bars(frame, "share", "Share of the pixels")
        st.altair_chart(
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
    return f"Reliability diagram, calibration error {error:.1%}: {listed}"


def show_score_report(
    evaluation: Evaluation, classes: Classes, caution: tuple[str, str]
) -> None:
    """Show the scores over all images, of each class, and the tables behind them.

    Beside them stands a caution, as `ui.datasets.splits` gives it.
    """
    scores = evaluation.scores
    names = evaluation.class_names
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Scores", anchor=False, width="content")
        if caution[0]:
            show_note(Note(*caution, warns=not is_free(caution[0])))
    _show_numbers(evaluation, scores)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**IoU of each class**")
        values = dict(zip(names, map(float, scores.classes["iou"]), strict=True))
        show_class_bars(values, classes, what="IoU", longest=1.0)
        if np.isnan(scores.classes["iou"]).any():
            st.caption("A dash: neither in the true nor in the predicted masks.")
    with right:
        st.markdown("**What the pixels of each class were taken for, in per cent**")
        show_confusion(evaluation.confusion, names)
    _show_reliability(evaluation.reliability)
    _show_tables(evaluation, scores)


def _show_numbers(evaluation: Evaluation, scores: Scores) -> None:
    grid = st.grid(len(OVERALL) + 1, min_column_width=140)
    for kind in OVERALL:
        value = percent(scores.overall[kind.key])
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
    tables = [
        ("Each class", class_scores_frame(scores, names), "scores_by_class.csv"),
        ("Each image", evaluation.frame(), "scores_by_image.csv"),
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
            _show_table(title, frame, file)


def _show_table(title: str, frame: pd.DataFrame, file: str) -> None:
    with spread():
        st.markdown(f"**{title}**", width="content")
        offer_file("CSV", safe_csv(frame), file, key=f"download_{file}")
    shares = frame.select_dtypes(include=[np.floating]).columns
    st.dataframe(
        frame.assign(**{name: frame[name] * 100 for name in shares}),
        hide_index=True,
        placeholder="–",
        height="content" if len(frame) <= 12 else 320,
        column_config=_columns(frame),
        alt=f"Table: {title}",
    )


def percent(value: float) -> str:
    """Return a share as text; a dash for NaN."""
    return "–" if np.isnan(value) else f"{value:.1%}"


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    columns = {}
    for name, kind in frame.dtypes.items():
        if pd.api.types.is_float_dtype(kind):
            columns[str(name)] = st.column_config.NumberColumn(format="%.1f %%")
        elif pd.api.types.is_integer_dtype(kind):
            columns[str(name)] = st.column_config.NumberColumn(format="localized")
    return columns
