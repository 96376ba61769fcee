"""README.txt of a world-builder's pack: `guide.txt` with the numbers of a pack in it.

In the guide `#` begins a heading, `*` a file, `-` a step, which is numbered; names in
braces are those of `pack.json`, and a few made here. What begins with a word in
brackets is for those packs alone of which the word is true.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

Numbers = Mapping[str, Any]
Palette = Sequence[Mapping[str, Any]]
Sizes = Mapping[Any, Sequence[int]]

_GUIDE: Final = Path(__file__).with_name("guide.txt")
_BEGINNING: Final = re.compile(r"(?:(##?|[*-]) )?(?:\[(\w+)\] )?")
_WIDTH: Final = 78
_fill: Final = partial(
    textwrap.fill, width=_WIDTH, break_long_words=False, break_on_hyphens=False
)


def readme(numbers: Numbers, palette: Palette, sizes: Sizes) -> str:
    """Return the text, lines of at most 78 characters where names allow.

    Args:
        numbers: What `pack.json` holds.
        palette: What `palette.json` holds.
        sizes: The sizes in px that each engine takes.
    """
    values = _values(numbers, palette, sizes)
    words = _true_words(numbers, palette)
    text, step, before = "", 0, ""
    for paragraph in _GUIDE.read_text("utf-8").strip().split("\n\n"):
        kind, word = _BEGINNING.match(paragraph).groups("")  # type: ignore[union-attr] # may be empty
        if word and word not in words:
            continue
        plain = _BEGINNING.sub("", paragraph, count=1).format_map(values)
        step = step + 1 if kind == "-" else 0
        text += "\n" if kind in ("*", "-") and kind == before else "\n\n"
        text += _laid_out(kind, plain, step)
        before = "*" if paragraph == "{class_files}" else kind
    return text.strip() + "\n"


def _laid_out(kind: str, text: str, step: int) -> str:
    if kind in ("#", "##"):
        line = "=" if kind == "#" else "-"
        return f"{text}\n{line * min(len(text), _WIDTH)}"
    if kind == "*":
        return _fill(text, initial_indent="  ", subsequent_indent="      ")
    if kind == "-":
        return _fill(text, initial_indent=f"  {step}. ", subsequent_indent="     ")
    return text if text.startswith("  ") else _fill(text)


def _true_words(numbers: Numbers, palette: Palette) -> set[str]:
    engine, part = numbers["engine"], numbers["part_px"]
    words = {
        "heights" if numbers["height_m"] else "flat",
        "measured" if numbers["pixel_m"] else "assumed",
        *(f"not_{name}" for name in ("unity", "unreal") if name != engine),
    }
    if numbers["no_data_file"]:
        words.add("no_data")
    if len(palette) > 8:
        words.add("many")
    if engine != "source":
        width, height = numbers["image_size_px"]
        whole = (part["width"], part["height"]) == (width, height)
        fitted = "resized" if width == height else "stretched"
        words.add(fitted if whole else "cropped")
    return words


def _values(numbers: Numbers, palette: Palette, sizes: Sizes) -> dict[str, Any]:
    size, heights = numbers["size_px"], numbers["height_m"]
    high_size = numbers["height_size_px"] or size
    splats: dict[str, list[str]] = {}
    for item in palette:
        channel = f"{item['channel']} {item['name']}"
        splats.setdefault(item["splat"], []).append(channel)
    files = {item["weight"]: f"8-bit weight of {item['name']}," for item in palette}
    files |= {
        file: f"RGBA splat map, {', '.join(channels)},"
        for file, channels in splats.items()
    }
    fits = numbers["engine"] == "unity"
    made_here = {
        "size": _size(size),
        "height_size": _size(high_size),
        "span": heights["at_65535"] - heights["at_0"] if heights else None,
        "spacing": _spacing(*numbers["height_spacing_m"]),
        "class_files": "\n".join(
            _laid_out("*", f"{file}: {what} {_size(size)} px", 0)
            for file, what in files.items()
        ),
        "unity_sizes": f"{sizes['unity'][0]} to {sizes['unity'][-1]}",
        "unreal_sizes": ", ".join(map(str, sizes["unreal"])),
        "unity_resolution": high_size[0] if fits else "of the resized file",
        "unity_cells": size[0] if fits else "that of the resized splat maps",
        "count": len(palette),
        "classes": ", ".join(item["name"] for item in palette),
        "weights": ", ".join(item["weight"] for item in palette),
        "splats": ", ".join(splats),
    }
    return {name: _in_words(value) for name, value in {**numbers, **made_here}.items()}


def _size(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"


def _spacing(across: float, down: float) -> str:
    """Return the distance between heights; the plugin has one for both directions."""
    text = f"{_in_words(across)} m"
    if abs(across - down) < 0.01 * across:
        return text
    return f"{text} (from north to south it is {_in_words(down)} m)"


def _in_words(value: Any) -> Any:
    """Return numbers with at most 4 decimals that count, within lists and objects."""
    if isinstance(value, dict):
        return {name: _in_words(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_words(item) for item in value]
    if not isinstance(value, float):
        return value
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
