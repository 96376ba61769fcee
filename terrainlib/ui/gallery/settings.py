"""Settings against scores: whether sharpening or cleaning would make the masks better.

What is on the disk is shown without TensorFlow; it is loaded by the button that makes
what is missing.
"""

from typing import Any, Final

import altair as alt
import pandas as pd
import streamlit as st

from terrainlib.mask.scores.gallery import Gallery
from terrainlib.mask.scores.settings import (
    CLEANINGS,
    SCORE_NAMES,
    SHARPENINGS,
    Kind,
    Score,
    SettingScores,
    score_settings,
    stored_scores,
)
from terrainlib.ui.charts import show_chart, text_color
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.gallery.predictions import Wanted, begin, described
from terrainlib.ui.page import offer_file, pick_one
from terrainlib.ui.text import plural, safe_csv

TITLE: Final = "Would sharpening help?"
KINDS: Final[dict[Kind, tuple[str, str, tuple[str, ...]]]] = {
    "sharpening": ("Sharpening", "Amount", tuple(SHARPENINGS)),
    "cleaning": ("Cleaning", "Width, px", CLEANINGS),
}
WHAT_IT_IS: Final = (
    "Each point is the score of the class masks with that setting; the dotted line "
    "is their score as they are. Sharpening acts on the soft mask; every pixel then "
    "takes the class of the nearest colour. Cleaning acts on the class mask; the "
    "width is that of the median's window, and of the largest regions and holes that "
    "are removed, as squares."
)
_HEIGHT_PX: Final = 260
_LINE_GREY: Final = "#8a938c"
_DASHES: Final = ([1, 0], [6, 2], [2, 2], [8, 3, 2, 3])  # apart without their colours


def show_settings(gallery: Gallery, wanted: Wanted, key: str) -> None:
    """Show what settings score, or offer to find out."""
    with errors_shown("The settings cannot be scored"):
        scores = _stored(f"{wanted.key}|{gallery.ids}", gallery, wanted)
        if scores is not None:
            st.fragment(_show)(scores, key)
            return
        box = st.empty()
        with box.container():
            clicked = _ask(len(gallery.ids), key)
        if clicked:
            with box.container():
                _compute(gallery, wanted, key)


@st.cache_data(max_entries=8, show_spinner=False)
def _stored(key: str, _gallery: Gallery, _wanted: Wanted) -> SettingScores | None:
    del key  # names model, data and images
    return stored_scores(described(_wanted.entry), _gallery.dataset, _gallery.ids)


def _ask(images: int, key: str) -> bool:
    st.caption(
        "Would sharpening or cleaning make these masks better? See mIoU and boundary "
        "F1 by the amount of each, and the best setting. The masks are predicted "
        "again for it, so it takes longer than predicting. This is done once; the "
        "scores are kept."
    )
    return st.button(
        f"Score the settings on {plural(images, 'image')}",
        key=f"{key}_settings",
        icon=":material/show_chart:",
    )


def _compute(gallery: Gallery, wanted: Wanted, key: str) -> None:
    model, show = begin(wanted, "Scored", f"{key}_settings")
    score_settings(model, gallery.dataset, gallery.ids, progress=show)
    _stored.clear()
    st.rerun()


def _show(scores: SettingScores, key: str) -> None:
    """Show the answer for a score, and a chart each of sharpening and cleaning."""
    score = pick_one(
        "Score", SCORE_NAMES, f"{key}_settings_score", default="miou", hidden=True
    )
    answer = scores.answer(score)
    st.markdown(answer)
    for column, kind in zip(st.columns(2, gap="large"), KINDS, strict=True):
        with column:
            title = f"{SCORE_NAMES[score]} by {kind}"
            st.markdown(f"**{title}**")
            chart = settings_chart(scores, score, kind)
            show_chart(chart, alt=f"Line chart, {title}. {answer}")
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        images = plural(scores.images, "image")
        st.caption(f"{images}. {WHAT_IT_IS}", width="stretch")
        file = "settings_against_scores.csv"
        table = safe_csv(settings_table(scores))
        offer_file("CSV", table, file, key=f"download_{file}")


def settings_table(scores: SettingScores) -> pd.DataFrame:
    """Return one row a setting: kind, method, amount, setting, miou, boundary_f1."""
    columns = zip(scores.settings, scores.miou, scores.boundary_f1, strict=True)
    rows = [
        (one.kind, one.method, one.amount, one.text, *values)
        for one, *values in columns
    ]
    names = ["kind", "method", "amount", "setting", *SCORE_NAMES]
    return pd.DataFrame(rows, columns=names)


def settings_chart(scores: SettingScores, score: Score, kind: Kind) -> Any:
    """Return the chart of one kind: a line a method, the best setting ringed."""
    table = settings_table(scores).rename(columns={score: "value"})
    table["best"] = table.index == scores.best(score)
    table = table[table["kind"] == kind].dropna(subset=["value"])
    _, x_title, methods = KINDS[kind]
    x = alt.X("amount:Q", title=x_title, axis=alt.Axis(tickMinStep=0.5))
    y = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(zero=False, padding=12),
        axis=alt.Axis(format=".3f", tickCount=5),
    )
    legend = alt.Legend(
        title=None, orient="top", symbolType="stroke", symbolStrokeWidth=2.5, columns=2
    )
    dashes = alt.Scale(domain=list(methods), range=list(_DASHES[: len(methods)]))
    base = alt.Chart(table).encode(x=x, y=y)
    lines = base.mark_line(strokeWidth=2.2, point=alt.OverlayMarkDef(size=18)).encode(
        color=alt.Color("method:N", scale=alt.Scale(domain=methods), legend=legend),
        strokeDash=alt.StrokeDash("method:N", scale=dashes, legend=legend),
    )
    plain = pd.DataFrame({"value": [scores.plain(score)]}).dropna()
    rule = alt.Chart(plain).mark_rule(
        aria=False, color=_LINE_GREY, strokeDash=[3, 4], strokeWidth=1.6
    )
    ring = base.transform_filter("datum.best").mark_point(
        size=190, strokeWidth=2.4, color=text_color(), filled=False
    )
    targets = base.mark_circle(size=160, opacity=0).encode(
        tooltip=[
            alt.Tooltip("setting:N", title=KINDS[kind][0]),
            alt.Tooltip("value:Q", title=SCORE_NAMES[score], format=".4f"),
        ]
    )
    chart = alt.layer(rule.encode(y=y), lines, ring, targets)
    return chart.properties(height=_HEIGHT_PX)
