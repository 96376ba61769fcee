"""How sure a model was, and how often it was right, as charts."""

from typing import Any, Final

import altair as alt
import pandas as pd
import streamlit as st

from terrainlib.mask.scores.figures import reliability_png
from terrainlib.mask.scores.reliability import Reliability

MEANING: Final = (
    "Of the pixels that the model is 70% sure of, 70 in 100 should be right: a bar "
    "below the dashed line says that it is too sure, one above it too careful."
)
NO_CONFIDENCE: Final = (
    "This model gives colours and no probabilities: there is no confidence to check."
)
_HEIGHT_PX: Final = 260
_LINE_GREY: Final = "#8a938c"


def show_reliability(reliability: Reliability | None) -> None:
    """Show accuracy and pixels by confidence, or why there is none to show.

    Args:
        reliability: Pixels by confidence; None for a model that gives colours.
    """
    if reliability is None:
        st.caption(NO_CONFIDENCE)
        return
    frame = _rows(reliability)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**How often it was right, by how sure it was**")
        st.altair_chart(_accuracy_chart(frame), alt=_in_words(reliability, frame))
        st.caption(MEANING)
    with right:
        st.markdown("**How sure it was: share of the pixels**")
        st.altair_chart(
            _share_chart(frame), alt="Bar chart: share of the pixels by confidence"
        )
        st.download_button(
            "Diagram",
            lambda: reliability_png(reliability),
            "reliability.png",
            "image/png",
            key="download_reliability_figure",
            icon=":material/download:",
            on_click="ignore",
        )


def _rows(reliability: Reliability) -> pd.DataFrame:
    """Return the bins that hold pixels, with their share of all."""
    frame = reliability.frame().assign(share=reliability.shares)
    return frame[frame["pixels"] > 0]


def _accuracy_chart(frame: pd.DataFrame) -> Any:
    ends = pd.DataFrame({"from": [0.0, 1.0], "accuracy": [0.0, 1.0]})
    honest = (
        alt.Chart(ends)
        .mark_line(color=_LINE_GREY, strokeDash=[5, 4], strokeWidth=2)
        .encode(x="from:Q", y="accuracy:Q")
    )
    return (_bars(frame, "accuracy", "Right") + honest).properties(height=_HEIGHT_PX)


def _share_chart(frame: pd.DataFrame) -> Any:
    return _bars(frame, "share", "Share of the pixels").properties(height=_HEIGHT_PX)


def _bars(frame: pd.DataFrame, column: str, title: str) -> Any:
    """Return one bar a bin, as wide as the bin."""
    scale = alt.Scale(domain=[0, 1])
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
            y=alt.Y(f"{column}:Q", title=title, scale=highest, axis=_percent_axis()),
            tooltip=[
                alt.Tooltip("confidence:Q", title="Sure, on average", format=".1%"),
                alt.Tooltip("accuracy:Q", title="Right", format=".1%"),
                alt.Tooltip("share:Q", title="Share of the pixels", format=".1%"),
            ],
        )
    )


def _percent_axis() -> alt.Axis:
    return alt.Axis(format="%", tickCount=5)


def _in_words(reliability: Reliability, frame: pd.DataFrame) -> str:
    listed = ", ".join(
        f"{sure:.0%} sure {right:.0%} right"
        for sure, right in zip(frame["confidence"], frame["accuracy"], strict=True)
    )
    error = reliability.expected_calibration_error
    return f"Reliability diagram, calibration error {error:.1%}: {listed}"
