"""The class legend: a colour and its name, never a colour alone."""

from collections.abc import Iterable, Mapping

import streamlit as st

from terrainlib.data.palette import TerrainClass
from terrainlib.ui.text import md_escape

# Nearly black and nearly white patches would vanish on a dark or a light page.
_MIN_TONE = 48
_MAX_TONE = 225
_GROUND = ' background="rgb(128,128,128)"'


def swatch(color: tuple[int, int, int], name: str, note: str = "") -> str:
    """Return Markdown for a colour patch and its name.

    Args:
        color: Red, green, blue, 0 to 255.
        name: Any text; it is escaped.
        note: Shown small behind the name; it is escaped.
    """
    red, green, blue = (int(value) for value in color)
    css = f"rgb({red},{green},{blue})"
    ground = "" if max(color) >= _MIN_TONE and min(color) <= _MAX_TONE else _GROUND
    patch = f':color[⬤]{{foreground="{css}"{ground}}}'
    text = f"{patch}\u00a0{md_escape(name).replace(' ', chr(0xA0))}"
    return f"{text}\u00a0:small[:gray[{md_escape(note)}]]" if note else text


def show_legend(
    classes: Iterable[TerrainClass],
    *,
    shares: Mapping[str, float] | None = None,
    extra: Iterable[tuple[tuple[int, int, int], str]] = (),
) -> None:
    """Show the classes in one wrapping line.

    Args:
        classes: The classes in their order.
        shares: Share of each class by name, 0 to 1, shown behind it.
        extra: Further colours with their meaning, such as that of errors.
    """
    notes = {name: f"{share:.1%}" for name, share in (shares or {}).items()}
    parts = [
        swatch(item.color, item.name, notes.get(item.name, "")) for item in classes
    ]
    parts += [swatch(color, name) for color, name in extra]
    st.markdown("\u2003 ".join(parts))
