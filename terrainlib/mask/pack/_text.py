"""README.txt of a world-builder's pack: what is in it, and how to import it."""

import textwrap
from collections.abc import Iterable
from typing import Final

from terrainlib.mask.pack._engines import (
    blender_steps,
    godot_steps,
    unity_steps,
    unreal_steps,
)
from terrainlib.mask.pack._facts import PackFacts, number_text, size_text

CHANNELS: Final = ("red", "green", "blue", "alpha")
_WIDTH: Final = 78


def readme(facts: PackFacts) -> str:
    """Return the text, lines of at most 78 characters where names allow."""
    parts = [
        _heading(f"{facts.name}: terrain masks for world building", "="),
        *_overview(facts),
        _heading("Files", "-"),
        *_files(facts),
        _heading("Unity", "-"),
        *_steps(unity_steps(facts)),
        _heading("Unreal Engine", "-"),
        *_steps(unreal_steps(facts)),
        _heading("Godot", "-"),
        *_steps(godot_steps(facts)),
        _heading("Blender", "-"),
        *_steps(blender_steps(facts)),
    ]
    return "\n".join(parts) + "\n"


def _overview(facts: PackFacts) -> Iterable[str]:
    """Say what the pack shows, how large it is, and what was done to get there."""
    height, width = facts.image_size
    rows, columns = facts.frame.source_size
    scales = facts.scales
    yield _paragraph(
        f"Made of an image of {width} x {height} px (width x height). The first row "
        "of every file is the upper rim of the image, the north of most maps."
    )
    if facts.target.engine != "source":
        yield _paragraph(_fitting(facts, rows, columns))
    x, y = scales.pixel_m
    if scales.assumed:
        yield _paragraph(
            "The image does not say how large a pixel is on the ground. The numbers "
            "below take 1 m: multiply all widths, lengths and X and Y scales by the "
            "true size."
        )
    else:
        yield _paragraph(
            f"A pixel of the image is {number_text(x)} m wide and {number_text(y)} m "
            "high."
        )
    across, down = scales.ground_m
    yield _paragraph(
        f"The pack covers {number_text(across)} m x {number_text(down)} m of ground."
    )
    if facts.heights is not None:
        yield _paragraph(
            f"Heights: 0 is {number_text(facts.heights.low_m)} m, 65535 is "
            f"{number_text(facts.heights.high_m)} m; the range is "
            f"{number_text(facts.heights.span_m)} m."
        )
    else:
        yield _paragraph("There are no heights: no height file was given.")
    if facts.no_data_file is not None:
        yield _paragraph(
            f"Some pixels have no data. They are white in {facts.no_data_file} and 255 "
            "in class_index.png; their weights and heights are those of the nearest "
            "pixels with data, so that the ground has no holes."
        )


def _fitting(facts: PackFacts, rows: int, columns: int) -> str:
    height, width = facts.image_size
    if (rows, columns) == (height, width):
        stretched = height != width
        if stretched:
            return (
                "The whole image was stretched to a square; the widths and scales "
                "below give the ground its true proportions back."
            )
        return "The whole image was resized."
    left, top = facts.frame.columns.start, facts.frame.rows.start
    return (
        f"The middle of the image was cut out as a square: {columns} x {rows} px from "
        f"column {left} and row {top}, counted from 0. Nothing outside is in the pack; "
        "to keep all of it make the pack again with 'stretch'."
    )


def _files(facts: PackFacts) -> Iterable[str]:
    """List every file with its size and meaning."""
    size = size_text(facts.frame.size)
    rows: list[tuple[str, str]] = []
    for name, file in zip(facts.class_names, facts.weight_files, strict=True):
        rows.append((file, f"8-bit weight of {name}, {size} px"))
    for number, file in enumerate(facts.splat_files):
        names = facts.class_names[4 * number : 4 * number + 4]
        channels = ", ".join(
            f"{channel} {name}" for channel, name in zip(CHANNELS, names, strict=False)
        )
        rows.append((file, f"RGBA splat map, {size} px: {channels}"))
    rows += [
        ("class_index.png", f"index of the class, palette PNG, {size} px"),
        ("class_colors.png", f"the classes in their colours, {size} px"),
        ("palette.json", "index, name, colour and files of each class"),
        ("pack.json", "sizes, ground and height range for programs"),
    ]
    if facts.no_data_file is not None:
        rows.append((facts.no_data_file, f"white where there is no data, {size} px"))
    if facts.height_files:
        high = size_text(facts.frame.height_size)
        png, raw = facts.height_files
        rows.append((png, f"heights as 16-bit grey PNG, {high} px"))
        rows.append(
            (raw, f"the same as RAW (R16): {high} px, 16 bit, little-endian, no header")
        )
    for file, meaning in rows:
        yield textwrap.fill(
            f"{file}: {meaning}",
            _WIDTH,
            initial_indent="  ",
            subsequent_indent="      ",
        )
    yield ""
    yield _paragraph(
        "The weights of all classes sum to 255 in every pixel. Splat maps are not "
        "premultiplied: the colour counts where alpha is 0 as well, even if a picture "
        "viewer shows nothing there."
    )


def _steps(steps: Iterable[str]) -> Iterable[str]:
    for number, step in enumerate(steps, start=1):
        yield textwrap.fill(
            step,
            _WIDTH,
            initial_indent=f"  {number}. ",
            subsequent_indent="     ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    yield ""


def _heading(title: str, line: str) -> str:
    return f"{title}\n{line * min(len(title), _WIDTH)}\n"


def _paragraph(text: str) -> str:
    return (
        textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        + "\n"
    )
