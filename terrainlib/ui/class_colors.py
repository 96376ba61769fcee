"""A colour for every class that the curves speak of."""

import colorsys
from collections.abc import Mapping


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
            red, green, blue = known[name]
            colors.append((name, f"#{red:02x}{green:02x}{blue:02x}"))
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
