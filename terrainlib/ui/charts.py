"""Charts of class shares and confusion, and the colours of all charts.

They are those of the classes, of text, and of the page, light or dark.
"""

import colorsys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.palette import Classes, hex_color

MAX_CLASSES_WITH_NUMBERS: Final = 12
_ROW_HEIGHT_PX: Final = 34
_OUTLINE: Final = "#8a8f8a"  # keeps pale classes visible on white, dark ones on black


def is_dark() -> bool:
    """Return whether the page is shown in its dark theme."""
    return st.context.theme.type == "dark"


def text_color() -> str:
    """Return the colour of text on the page's ground, light or dark."""
    return "#e6ebe6" if is_dark() else "#0f1612"


def ground_color() -> str:
    """Return the colour of the page's ground, light or dark."""
    return "#121714" if is_dark() else "#ffffff"


def muted_color() -> str:
    """Return the colour of small text beside a chart; its contrast is above 4.5."""
    return "#b9beb9" if is_dark() else "#565c58"


def chart_config() -> dict[str, dict[str, str]]:
    """Return what a chart adds to Streamlit's theme, whose greys are too pale."""
    colors = {"labelColor": muted_color(), "titleColor": muted_color()}
    return {"axis": colors, "legend": colors}


def show_chart(chart: Any, *, alt: str, **options: Any) -> Any:
    """Draw an Altair chart with text that can be read; as `st.altair_chart`."""
    chart = chart.configure(**chart_config())
    return st.altair_chart(chart, alt=alt, **options)


def curve_colors(
    names: tuple[str, ...], known: Mapping[str, tuple[int, int, int]]
) -> tuple[tuple[str, str], ...]:
    """Return name and colour of each class, `#rrggbb`.

    A class without a known colour is one that is named after its colour, or gets a hue
    of its own.
    """
    colors = []
    for number, name in enumerate(names):
        if name in known:
            colors.append((name, hex_color(known[name])))
        elif _is_hex_color(name):
            colors.append((name, name.lower()))
        else:
            parts = colorsys.hls_to_rgb(number * 0.381966 % 1.0, 0.5, 0.55)
            hue = "".join(f"{round(part * 255):02x}" for part in parts)
            colors.append((name, f"#{hue}"))
    return tuple(colors)


def _is_hex_color(name: str) -> bool:
    digits = name[1:].lower()
    return (
        name[:1] == "#" and len(digits) == 6 and set(digits) <= set("0123456789abcdef")
    )


def show_class_bars(
    values: Mapping[str, float | None],
    classes: Classes,
    *,
    what: str,
    text: Callable[[float | None], str] = "{:.1%}".format,
    largest_first: bool = False,
    longest: float | None = None,
) -> None:
    """Draw one number a class as a bar in its colour, with the number at its end.

    Args:
        values: Number of each class by name, 0 to 1; None (or NaN) is shown as a dash.
        classes: The classes, for their colours.
        what: What the number is, for tooltips and screen readers.
        text: Writes a number; in per cent if nothing else is said.
        largest_first: Sort by the numbers instead of keeping the classes' order.
        longest: Value of a bar as long as the chart; the largest value if None.
    """
    frame = _class_values(values, text, largest_first=largest_first)
    end = longest or max(frame["value"].max(), 1e-6)
    base = alt.Chart(frame).encode(
        y=alt.Y("class:N", sort=list(frame["class"]), title=None, axis=_axis(0)),
        x=alt.X(
            "value:Q",
            title=None,
            axis=None,
            scale=alt.Scale(domain=[0, end * 1.2], nice=False),
        ),
        tooltip=[
            alt.Tooltip("class:N", title="Class"),
            alt.Tooltip("label:N", title=what),
        ],
    )
    bars = base.mark_bar(stroke=_OUTLINE, strokeWidth=0.5, cornerRadiusEnd=3).encode(
        color=alt.Color("class:N", scale=_class_scale(classes), legend=None)
    )
    labels = base.mark_text(align="left", dx=6, fontSize=13, color=text_color()).encode(
        text="label:N"
    )
    chart = (bars + labels).properties(height=_ROW_HEIGHT_PX * max(len(frame), 2))
    listed = ", ".join(
        f"{name} {label}"
        for name, label in zip(frame["class"], frame["label"], strict=True)
    )
    show_chart(chart, alt=f"Bar chart, {what}: {listed}")


def _class_values(
    values: Mapping[str, float | None],
    text: Callable[[float | None], str],
    *,
    largest_first: bool,
) -> pd.DataFrame:
    """Return the bars' rows: class, value (0 for none) and its text."""
    frame = pd.DataFrame({"class": list(values), "value": list(values.values())})
    frame["value"] = frame["value"].astype(float)
    frame["label"] = [
        "–" if np.isnan(value) else text(value) for value in frame["value"]
    ]
    frame["value"] = frame["value"].fillna(0.0)
    if largest_first:
        return frame.sort_values("value", ascending=False, kind="stable")
    return frame


def show_confusion(
    confusion: NDArray[np.int64], names: Sequence[str], *, key: str
) -> tuple[str, str] | None:
    """Draw where the pixels of each true class went, as shares of that class.

    Args:
        confusion: (K, K) pixels; rows are the truth, columns the prediction.
        names: Names of the K classes.
        key: Widget key.

    Returns:
        The true and the predicted class of the cell that was pressed, if one is.
    """
    frame = confusion_frame(confusion, names)
    order = list(names)
    base = alt.Chart(frame).encode(
        x=alt.X("prediction:N", sort=order, title="Predicted", axis=_axis(-40)),
        y=alt.Y("truth:N", sort=order, title="True", axis=_axis(0)),
        tooltip=[
            alt.Tooltip("truth:N", title="True"),
            alt.Tooltip("prediction:N", title="Predicted"),
            alt.Tooltip("share:Q", title="Share of the true class", format=".1%"),
            alt.Tooltip("pixels:Q", title="Pixels", format=","),
        ],
    )
    dark = is_dark()
    ramp = ["#1d2420", "#7fc48b"] if dark else ["#f3f5f0", "#2f6b3a"]
    pressed = alt.selection_point("cell", fields=["truth", "prediction"])
    cells = (
        base.mark_rect(cornerRadius=2, cursor="pointer")
        .add_params(pressed)
        .encode(
            color=alt.Color(
                "share:Q", scale=alt.Scale(domain=[0, 1], range=ramp), legend=None
            )
        )
    )
    chart = cells
    if len(order) <= MAX_CLASSES_WITH_NUMBERS:
        # the share where the other text colour becomes the one with more contrast
        turn = 0.56 if dark else 0.76
        strong, plain = ("#121714", "#e6ebe6") if dark else ("#ffffff", "#0f1612")
        chart = cells + base.mark_text(fontSize=12).encode(
            text="label:N",
            color=alt.condition(
                alt.datum.share > turn, alt.value(strong), alt.value(plain)
            ),
        )
    chart = chart.properties(height=max(220, 44 * len(order)))
    shown = _confusion_in_words(frame)
    found = show_chart(chart, alt=shown, key=key, on_select="rerun")
    cells_pressed = found["selection"]["cell"]
    if not cells_pressed:
        return None
    one = cells_pressed[0]
    return str(one.get("truth")), str(one.get("prediction"))


def confusion_frame(confusion: NDArray[np.int64], names: Sequence[str]) -> pd.DataFrame:
    """Return a confusion matrix as one row a cell, with shares of the true class.

    Returns:
        Columns `truth`, `prediction`, `pixels`, `share` (0 to 1; 0 where the class does
        not occur) and `label` (the share in per cent).
    """
    totals = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    shares = confusion / totals
    rows = [
        (truth, prediction, int(confusion[i, j]), float(shares[i, j]))
        for i, truth in enumerate(names)
        for j, prediction in enumerate(names)
    ]
    frame = pd.DataFrame(rows, columns=["truth", "prediction", "pixels", "share"])
    frame["label"] = [_percent(share) for share in frame["share"]]
    return frame


def _confusion_in_words(frame: pd.DataFrame) -> str:
    right = frame[frame["truth"] == frame["prediction"]]
    listed = ", ".join(
        f"{name} {share:.0%}"
        for name, share in zip(right["truth"], right["share"], strict=True)
    )
    return (
        f"Heat map of the confusion matrix; rightly predicted of each class: {listed}"
    )


def _percent(share: float) -> str:
    if share == 0:
        return ""
    return "<1" if share < 0.005 else f"{share * 100:.0f}"


def _class_scale(classes: Classes) -> alt.Scale:
    return alt.Scale(
        domain=[item.name for item in classes],
        range=[hex_color(item.color) for item in classes],
    )


def _axis(angle: int) -> alt.Axis:
    return alt.Axis(
        labelAngle=angle,
        labelFontSize=13,
        labelOverlap=False,
        ticks=False,
        domain=False,
        grid=False,
    )
