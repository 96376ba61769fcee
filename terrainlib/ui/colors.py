"""Colours of charts: of the classes, of text, and of the page, light or dark."""

import colorsys
from collections.abc import Mapping
from typing import Any

import streamlit as st

from terrainlib.data.palette import hex_color


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
