"""A model's scores beside the pixel classifier's: a table, and bars with ticks."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from terrainlib.mask.scores.agreement import NEITHER_ALIKE
from terrainlib.metrics import OF_CLASSES, Difference, decimal
from terrainlib.model.card import Score, ScoresOfClasses
from terrainlib.model.record import PIXEL_CLASSIFIER_NAME
from terrainlib.ui.charts import (
    curve_colors,
    ground_color,
    is_dark,
    show_chart,
    text_color,
)
from terrainlib.ui.text import md_escape

WHAT_IT_IS: Final = (
    "The pixel classifier is a simple model that looks at single pixels and their "
    "surroundings; a network should beat it."
)
INTERVAL: Final = (
    "In brackets: the 95 % interval. The images are drawn again many times, the same "
    "ones for both models, and 95 of 100 differences lie within it."
)
NO_INTERVAL: Final = (
    "The prediction gallery can tell whether that is more than chance, where the data "
    "set is there."
)
_ROW_HEIGHT_PX: Final = 30
# Who tells a class, in the order of `who_tells`, with a light and a dark page's colour.
_TOLD: Final = {
    "Both are right": ("#2f6b4f", "#5fae85"),
    "Only the model is right": ("#7fb69a", "#9fd8bb"),
    "Only the pixel classifier is right": ("#b9c4de", "#8c9cc4"),
    "Both take it for the same other class": ("#b5482a", "#d9694a"),
    "Both are wrong, each in its way": ("#e8b39f", "#e9b8a5"),
}
_OUTLINE: Final = "#8a8f8a"


def show_difference(found: Difference | None) -> None:
    """Say how far a model is ahead of the pixel classifier, and how sure that is."""
    if found is not None:
        st.markdown(
            f"Against the pixel classifier, in mIoU: **{found}**.",
            help=f"{WHAT_IT_IS} {INTERVAL if found.interval else NO_INTERVAL}",
        )


def class_table(classes: ScoresOfClasses) -> str:
    """Return the scores of each class, and how far they are ahead, as a table."""
    heads = ["Class", *(kind.label for kind in OF_CLASSES)]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * len(OF_CLASSES)]
    for row in zip(*classes.values(), strict=True):
        cells = [score.text for score in row]
        lines.append(f"| {md_escape(row[0].name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def score_table(scores: Sequence[Score]) -> str:
    """Return scores, the pixel classifier's and the difference.

    Returns:
        A Markdown table, which fits narrow screens too.
    """
    lines = [
        f"| Score | Model | {PIXEL_CLASSIFIER_NAME} | Ahead |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {md_escape(score.name)} | {decimal(score.value)} | "
        f"{decimal(score.pixel_classifier)} | {decimal(score.difference, '+')} |"
        for score in scores
    ]
    return "\n".join(lines)


def show_class_chart(
    classes: Sequence[Score], colors: Mapping[str, tuple[int, int, int]]
) -> None:
    """Draw the IoU of each class as a bar, the pixel classifier's as a tick on it."""
    frame = chart_frame(classes)
    names = tuple(frame["class"])
    pairs = curve_colors(names, colors)
    axis = alt.Axis(labelFontSize=13, ticks=False, domain=False, labelLimit=120)
    y = alt.Y("class:N", sort=list(names), title=None, axis=axis)
    x = alt.X(
        "value:Q", title=None, axis=None, scale=alt.Scale(domain=[0, 1.35], nice=False)
    )
    tooltip = [
        alt.Tooltip("class:N", title="Class"),
        alt.Tooltip("value:Q", title="IoU of the model", format=".3f"),
        alt.Tooltip("pixel_classifier:Q", title=PIXEL_CLASSIFIER_NAME, format=".3f"),
    ]
    base = alt.Chart(frame).encode(y=y, tooltip=tooltip)
    color = alt.Color(
        "class:N",
        scale=alt.Scale(domain=[n for n, _ in pairs], range=[c for _, c in pairs]),
        legend=None,
    )
    bars = base.mark_bar(
        stroke=_OUTLINE, strokeWidth=0.5, cornerRadiusEnd=3, height={"band": 0.62}
    ).encode(x=x, color=color)
    known = base.transform_filter("isValid(datum.pixel_classifier)").encode(
        x=alt.X("pixel_classifier:Q", title=None)
    )
    casing = known.mark_tick(color=ground_color(), thickness=7, height={"band": 0.95})
    ticks = casing + known.mark_tick(
        color=text_color(), thickness=3, height={"band": 0.9}
    )
    labels = base.mark_text(align="left", dx=8, fontSize=12, color=text_color()).encode(
        x=alt.X("end:Q", title=None), text="label:N"
    )
    chart = (bars + ticks + labels).properties(height=_ROW_HEIGHT_PX * len(frame))
    listed = ", ".join(f"{row['class']} {row['label']}" for _, row in frame.iterrows())
    show_chart(chart, alt=f"Bar chart, IoU of each class: {listed}")


def chart_frame(classes: Sequence[Score]) -> pd.DataFrame:
    """Return the rows of the chart: class, both values, label and its place."""
    frame = pd.DataFrame(
        {
            "class": [score.name for score in classes],
            "value": pd.Series([score.value or 0.0 for score in classes], dtype=float),
            "pixel_classifier": pd.Series(
                [s.pixel_classifier for s in classes], dtype=float
            ),
            "label": [score.text for score in classes],
        }
    )
    return frame.assign(end=frame[["value", "pixel_classifier"]].max(axis=1))


def show_who_tells(counts: NDArray[np.int64], names: Sequence[str]) -> None:
    """Draw how often each class is told: by both learners, by one, by none.

    Args:
        counts: (K, 5) pixels, as of `who_tells`.
        names: Names of the K classes.
    """
    frame = told_frame(counts, names)
    if frame.empty:
        return
    st.markdown("**How often each class can be told at all**")
    lost = frame[frame["kind"] == NEITHER_ALIKE].set_index("class")["share"]
    listed = ", ".join(f"{name} {share:.0%}" for name, share in lost.items())
    show_chart(
        _told_chart(frame, names),
        alt=f"Bar chart, pixels that both take for the same other class: {listed}",
    )
    worst = str(lost.idxmax())
    st.caption(
        f"Of {md_escape(worst)}, both take {lost[worst]:.0%} of the pixels for the "
        "same other class: neither shape nor colour shows it there, and more training "
        "will hardly find it. Look at those places: perhaps image and mask disagree."
    )


def _told_chart(frame: pd.DataFrame, names: Sequence[str]) -> Any:
    order, dark = list(_TOLD), is_dark()
    fill = [colors[dark] for colors in _TOLD.values()]
    axis = alt.Axis(labelFontSize=13, ticks=False, domain=False, labelLimit=120)
    return (
        alt.Chart(frame)
        .mark_bar(stroke=ground_color(), strokeWidth=1, height={"band": 0.7})
        .encode(
            y=alt.Y("class:N", sort=list(names), title=None, axis=axis),
            x=alt.X(
                "share:Q",
                title="Share of the pixels of the class",
                axis=alt.Axis(format="%", tickCount=5),
                scale=alt.Scale(domain=[0, 1]),
            ),
            color=alt.Color(
                "told:N",
                title=None,
                scale=alt.Scale(domain=order, range=fill),
                legend=alt.Legend(orient="top", columns=1, labelLimit=320),
            ),
            order=alt.Order("kind:Q"),
            tooltip=[
                alt.Tooltip("class:N", title="True class"),
                alt.Tooltip("told:N", title="Told"),
                alt.Tooltip("share:Q", title="Share of its pixels", format=".1%"),
            ],
        )
        .properties(height=_ROW_HEIGHT_PX * frame["class"].nunique() + 260)
    )


def told_frame(counts: NDArray[np.int64], names: Sequence[str]) -> pd.DataFrame:
    """Return one row for each class that occurs and each way of being told."""
    rows = [
        {"class": name, "told": told, "kind": kind, "share": row[kind] / row.sum()}
        for name, row in zip(names, counts, strict=True)
        if row.sum()
        for kind, told in enumerate(_TOLD)
    ]
    return pd.DataFrame(rows)
