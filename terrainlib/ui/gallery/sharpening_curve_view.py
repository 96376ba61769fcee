"""The scores against the amount of sharpening, drawn when somebody asks for it.

A curve that is on the disk is shown without TensorFlow; it is loaded by the button that
makes what is missing.
"""

from typing import Any, Final

import altair as alt
import pandas as pd
import streamlit as st

from terrainlib.mask.scores.curve import (
    METHOD_NAMES,
    SCORE_NAMES,
    Score,
    SharpeningCurve,
)
from terrainlib.mask.scores.gallery import Gallery
from terrainlib.mask.scores.sharpening_curve import sharpening_curve, stored_curve
from terrainlib.ui.charts import text_color
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.gallery.predictions import Wanted, described
from terrainlib.ui.models.instant import model_of
from terrainlib.ui.tables import safe_csv
from terrainlib.ui.text import plural

TITLE: Final = "Would sharpening help?"
WHAT_IT_IS: Final = (
    "Each point is a class mask made by sharpening the soft mask and giving every "
    "pixel the class of the nearest colour, scored against the truth. Dotted: the "
    "class mask as it is, without either."
)
_HEIGHT_PX: Final = 260
_LINE_GREY: Final = "#8a938c"


def show_sharpening_curve(gallery: Gallery, wanted: Wanted, key: str) -> None:
    """Show the curves, or offer to make them.

    Args:
        gallery: The predictions and their scores.
        wanted: Which predictions they are.
        key: Start of the widgets' keys, one a page.
    """
    with st.container(border=True):
        st.markdown(f"**{TITLE}**")
        with errors_shown("The curve cannot be drawn"):
            curve = _stored(f"{wanted.key}|{gallery.ids}", gallery, wanted)
            if curve is not None:
                _show(curve)
                return
            box = st.empty()
            with box.container():
                clicked = _ask(len(gallery.ids), key)
            if clicked:
                with box.container():
                    _compute(gallery, wanted, key)


@st.cache_data(max_entries=8, show_spinner=False)
def _stored(key: str, _gallery: Gallery, _wanted: Wanted) -> SharpeningCurve | None:
    """Return the curve that is on the disk, if there is one."""
    del key  # names model, data and images
    return stored_curve(described(_wanted.entry), _gallery.dataset, _gallery.ids)


def _ask(images: int, key: str) -> bool:
    """Say what is done, and show the button that does it."""
    st.caption(
        "See mIoU and boundary F1 of these images for amounts of sharpening from 0 to "
        "3, and the best amount. The soft masks are made anew for it, so it takes "
        "longer than predicting; it is done once, and kept."
    )
    return st.button(
        f"Sharpen and score {plural(images, 'image')}",
        key=f"{key}_curve",
        icon=":material/show_chart:",
    )


def _compute(gallery: Gallery, wanted: Wanted, key: str) -> None:
    """Make the curve behind a progress bar; the stop button interrupts it."""
    place = st.container()
    st.button("Stop", key=f"{key}_curve_stop", icon=":material/stop:")
    with place:
        model = model_of(wanted.entry.model)
        bar = st.progress(0.0, "Starting …")

    def show(done: int, total: int) -> None:
        bar.progress(done / max(total, 1), f"Sharpened {done:,} of {total:,}")

    sharpening_curve(model, gallery.dataset, gallery.ids, progress=show)
    _stored.clear()
    st.rerun()


def _show(curve: SharpeningCurve) -> None:
    """Draw both scores side by side, with what they say below."""
    columns = st.columns(2, gap="large")
    for column, score in zip(columns, SCORE_NAMES, strict=True):
        with column:
            st.markdown(f"**{SCORE_NAMES[score]} by the amount of sharpening**")
            st.altair_chart(curve_chart(curve, score), alt=_in_words(curve, score))
    for sentence in curve.words():
        st.markdown(f"- {sentence}")
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="top"
    ):
        st.caption(WHAT_IT_IS, width="stretch")
        st.download_button(
            "CSV",
            safe_csv(curve_table(curve)),
            "sharpening_curve.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="download_sharpening_curve.csv",
        )


def curve_table(curve: SharpeningCurve) -> pd.DataFrame:
    """Return one row a point: method, amount, miou, boundary_f1."""
    rows = [
        (method, amount, curve.miou[row][column], curve.boundary_f1[row][column])
        for row, method in enumerate(curve.methods)
        for column, amount in enumerate(curve.amounts)
    ]
    return pd.DataFrame(rows, columns=["method", "amount", *SCORE_NAMES])


def curve_chart(curve: SharpeningCurve, score: Score) -> Any:
    """Return the chart of one score: a line a method, the best point marked."""
    frame = curve_table(curve).rename(columns={score: "value"})
    frame = frame.assign(
        curve=[METHOD_NAMES.get(name, name) for name in frame["method"]]
    ).dropna(subset=["value"])
    x = alt.X("amount:Q", title="Amount of sharpening", axis=alt.Axis(tickMinStep=0.5))
    y = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(zero=False, padding=12),
        axis=alt.Axis(format=".1%", tickCount=5),
    )
    names = [METHOD_NAMES.get(name, name) for name in curve.methods]
    color = alt.Color(
        "curve:N",
        scale=alt.Scale(domain=names),
        legend=_legend(),
    )
    tooltip = [
        alt.Tooltip("curve:N", title="Method"),
        alt.Tooltip("amount:Q", title="Amount"),
        alt.Tooltip("value:Q", title=SCORE_NAMES[score], format=".2%"),
    ]
    base = alt.Chart(frame).encode(x=x, y=y)
    dashed = alt.StrokeDash("curve:N", scale=_dashes(names), legend=_legend())
    lines = base.mark_line(strokeWidth=2.2, point=alt.OverlayMarkDef(size=18))
    targets = base.mark_circle(size=160, opacity=0).encode(tooltip=tooltip)
    layers = [
        *_plain_line(curve, score, y),
        lines.encode(color=color, strokeDash=dashed),
        *_best_mark(curve, score, y),
        targets,
    ]
    return alt.layer(*layers).properties(height=_HEIGHT_PX)


def _dashes(names: list[str]) -> alt.Scale:
    """Return strokes that tell the methods apart without their colours."""
    return alt.Scale(domain=names, range=[[1, 0], [6, 2]][: len(names)])


def _legend() -> alt.Legend:
    return alt.Legend(
        title=None, orient="top", symbolType="stroke", symbolStrokeWidth=2.5
    )


def _plain_line(curve: SharpeningCurve, score: Score, y: alt.Y) -> list[Any]:
    """Return the horizontal line of the class mask itself, with its label."""
    plain = curve.plain(score)
    frame = pd.DataFrame({"value": [plain], "label": [f"class mask {plain:.1%}"]})
    base = alt.Chart(frame.dropna()).encode(y=y)
    return [
        base.mark_rule(color=_LINE_GREY, strokeDash=[3, 4], strokeWidth=1.6),
        base.mark_text(
            align="right", dx=-4, dy=-8, color=_LINE_GREY, fontSize=12
        ).encode(x=alt.value("width"), text="label:N"),
    ]


def _best_mark(curve: SharpeningCurve, score: Score, y: alt.Y) -> list[Any]:
    """Return a ring around the best point, with its amount."""
    best = curve.best(score)
    if best is None:
        return []
    label = f"best: {best.amount:g}" if best.amount else "best: none"
    frame = pd.DataFrame(
        {"amount": [best.amount], "value": [best.value], "label": [label]}
    )
    base = alt.Chart(frame).encode(x=alt.X("amount:Q"), y=y)
    at_the_end = best.amount > 0.7 * curve.amounts[-1]
    text = base.mark_text(
        align="right" if at_the_end else "left",
        dx=-12 if at_the_end else 12,
        dy=-9,
        fontSize=13,
        fontWeight=600,
        color=text_color(),
    )
    return [
        base.mark_point(size=190, strokeWidth=2.4, color=text_color(), filled=False),
        text.encode(text="label:N"),
    ]


def _in_words(curve: SharpeningCurve, score: Score) -> str:
    words = dict(zip(SCORE_NAMES, curve.words(), strict=True))[score]
    return f"Line chart of the score against the amount of sharpening. {words}"
