"""How much each class covers: bars with their intervals, a table, a CSV."""

from typing import Final

import altair as alt
import pandas as pd
import streamlit as st

from terrainlib.data.palette import Classes, hex_color
from terrainlib.mask.ground.areas import AreaTable, ClassArea
from terrainlib.ui.charts import ground_color, show_chart, text_color
from terrainlib.ui.page import offer_file, swatch
from terrainlib.ui.text import md_escape

WHAT_THEY_ARE: Final = (
    "**Bar, share and area:** what this mask shows. For a single image this is "
    "mostly nearer to the truth than the corrected share."
)
WHAT_INTERVALS_ARE: Final = (
    "**Dot, line and ±:** the share corrected by the errors that the model makes on "
    "its held-out images, and its 95 % interval. If it errs here as it does there, "
    "95 of 100 such intervals hold the true share."
)
_ROW_PX: Final = 34
_OUTLINE: Final = "#8a8f8a"
_KM2: Final = 1e6


def show_areas(table: AreaTable, classes: Classes, *, file_name: str, key: str) -> None:
    """Show the areas of a mask, with a download."""
    left, right = st.columns(2, gap="medium")
    with left:
        show_chart(_chart(table, classes), alt=in_words(table))
    with right:
        st.table(area_rows(table, classes), hide_index=True, border="horizontal")
    known = any(row.adjusted_share is not None for row in table.rows)
    lines = [WHAT_THEY_ARE, WHAT_INTERVALS_ARE] if known else []
    notes = "\n\n".join(md_escape(note) for note in table.notes)
    if lines:
        st.caption("  \n".join(lines), help=notes)
    elif notes:
        st.caption(notes)
    offer_file("Areas (CSV)", table.to_csv(), file_name, key=key)


def area_rows(table: AreaTable, classes: Classes) -> pd.DataFrame:
    """Return the table as Markdown: class, share, area, corrected share."""
    rows = [
        {
            "Class": swatch(item.color, item.name),
            "Share": f"{row.share:.1%}",
            "Area": area_text(row),
            "Corrected share": corrected_text(row, table.pixels),
        }
        for row, item in zip(table.rows, classes, strict=True)
    ]
    frame = pd.DataFrame(rows)
    if all(row.adjusted_share is None for row in table.rows):
        return frame.drop(columns="Corrected share")
    return frame


def area_text(row: ClassArea) -> str:
    """Return the area of a class: on the ground where that is known, else pixels.

    Example:
        >>> area_text(ClassArea("Water", 12, 2_340_000.0, 0.5))
        '2.34 km²'
        >>> area_text(ClassArea("Water", 1200, None, 0.5))
        '1,200 px'
    """
    if row.square_metres is None:
        return f"{row.pixels:,} px"
    if 0 < row.square_metres < _KM2 / 100:
        return f"{row.square_metres:,.0f} m²"
    area = row.square_metres / _KM2
    digits = 0 if area >= 100 or area == 0 else 1 if area >= 10 else 2
    return f"{area:,.{digits}f} km²"


def corrected_text(row: ClassArea, pixels: int) -> str:
    """Return the corrected share of a class with half of its 95 % interval."""
    if row.adjusted_share is None or row.margin_pixels is None:
        return "–"
    half = row.margin_pixels / max(1, pixels)
    return f"{100 * row.adjusted_share:.1f} ± {100 * half:.1f}%"


def in_words(table: AreaTable) -> str:
    """Return what the chart shows for people who do not see it."""
    listed = []
    for row in sorted(table.rows, key=lambda row: -row.share):
        text = f"{row.name} {row.share:.1%}"
        if row.low_share is not None and row.high_share is not None:
            text += f" (corrected {row.low_share:.1%} to {row.high_share:.1%})"
        listed.append(text)
    return f"Share of each class in the mask: {', '.join(listed)}"


def _frame(table: AreaTable) -> pd.DataFrame:
    """Return the shares of the classes and their intervals, 0 to 1, a row each."""
    return pd.DataFrame(
        {
            "class": [row.name for row in table.rows],
            "share": [row.share for row in table.rows],
            "corrected": [row.adjusted_share for row in table.rows],
            "low": [row.low_share for row in table.rows],
            "high": [row.high_share for row in table.rows],
        }
    ).astype(dict.fromkeys(("share", "corrected", "low", "high"), float))


def _chart(table: AreaTable, classes: Classes) -> alt.LayerChart | alt.FacetChart:
    """Draw a bar a class, and over it the corrected share with its interval."""
    frame = _frame(table)
    colors = [hex_color(item.color) for item in classes]
    base = alt.Chart(frame).encode(
        y=alt.Y(
            "class:N",
            sort=list(frame["class"]),
            title=None,
            axis=alt.Axis(labelFontSize=13, labelLimit=150, ticks=False, domain=False),
        ),
        tooltip=[
            alt.Tooltip("class:N", title="Class"),
            alt.Tooltip("share:Q", title="Share of the mask", format=".1%"),
            alt.Tooltip("corrected:Q", title="Corrected share", format=".1%"),
            alt.Tooltip("low:Q", title="from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
        ],
    )
    axis = alt.Axis(format=".0%", tickCount=5, labelFontSize=12, domain=False)
    bars = base.mark_bar(stroke=_OUTLINE, strokeWidth=0.5, cornerRadiusEnd=3).encode(
        x=alt.X("share:Q", title=None, axis=axis),
        color=alt.Color(
            "class:N",
            scale=alt.Scale(domain=list(frame["class"]), range=colors),
            legend=None,
        ),
    )
    known = base.transform_filter("isValid(datum.low)")
    ends = {"x": alt.X("low:Q"), "x2": alt.X2("high:Q")}
    halo = known.mark_rule(aria=False, color=ground_color(), strokeWidth=6).encode(
        **ends
    )
    line = known.mark_rule(aria=False, color=text_color(), strokeWidth=2).encode(**ends)
    point = known.mark_point(
        filled=True,
        size=70,
        opacity=1,
        color=text_color(),
        stroke=ground_color(),
        strokeWidth=2,
    ).encode(x="corrected:Q")
    height = _ROW_PX * max(2, len(frame)) + 30
    return alt.layer(bars, halo, line, point, height=height)
