"""Shared ground drawn: the map of all overlaps, and two patches side by side."""

from typing import Final

import pandas as pd
import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.data.overlaps import Overlap, Overlaps
from terrainlib.errors import TerrainError
from terrainlib.mask.overlap_map import PART_COLORS, Part
from terrainlib.ui.datasets.overlap_pictures import (
    map_groups,
    map_picture,
    pair_pictures,
)
from terrainlib.ui.errors import show_error
from terrainlib.ui.legend import swatch
from terrainlib.ui.text import md_escape, plural

MAX_ROWS: Final = 1000
FREE, RANDOM = "Leak-free split", "Random split"
_ALL: Final = "All patches"
_TABLE_PX: Final = 420
_SIGNS: Final[dict[Part, str]] = {
    "train": "thin outline",
    "left out": "hatched",
    "validation": "tinted",
    "leaking": "tinted, with a dot",
}
_LEGEND: Final[dict[Part, str]] = {
    "train": "Trains",
    "left out": "Left out",
    "validation": "Validates",
    "leaking": "Validates, shares ground with training",
}


def overlaps_frame(pairs: tuple[Overlap, ...]) -> pd.DataFrame:
    """Return one row a pair, the largest share first: `first`, `second`, `share`."""
    ordered = sorted(pairs, key=lambda pair: (-pair.share, pair.first, pair.second))
    rows = [(pair.first, pair.second, pair.share) for pair in ordered]
    return pd.DataFrame(rows, columns=["first", "second", "share"])


def show_map(
    dataset: Dataset,
    overlaps: Overlaps,
    parts: dict[str, dict[str, Part]],
    key: str,
) -> None:
    """Show the patches laid out as their overlaps say, coloured by a split.

    Args:
        dataset: The data set.
        overlaps: Its shared ground, at least one pair.
        parts: The part of every patch, for `FREE` and `RANDOM`.
        key: Start of the widgets' keys.
    """
    split = st.segmented_control(
        "Coloured by",
        [FREE, RANDOM],
        default=FREE,
        required=True,
        key=f"{key}_overlap_split",
        persist_state="session",
    )
    shown = parts[split if split in parts else FREE]
    here = set(shown.values())
    marks = [
        swatch(PART_COLORS[part], _LEGEND[part], _SIGNS[part])
        for part in PART_COLORS
        if part in here
    ]
    st.markdown("\u2003 ".join(marks))
    groups = map_groups(dataset, overlaps)
    theme = "dark" if st.context.theme.type == "dark" else "light"
    drawn = sum(len(group.places) for group in groups)
    st.image(
        map_picture(dataset, groups, shown, theme),
        width="stretch",
        alt=f"Map of {drawn} patches in {plural(len(groups), 'group')}, laid where "
        f"their overlaps put them, outlined by their part of the {split}",
    )
    alone = len(dataset.pairs) - len(overlaps.neighbours())
    st.caption(_how_to_read(alone, len(dataset.pairs) - alone - drawn))


def _how_to_read(alone: int, rest: int) -> str:
    """Return how to read the map, and what is not on it: patches, by the reason."""
    text = (
        "Each frame is a patch, laid where its overlaps put it: frames that lie over "
        "each other show the same ground, groups that stand apart share none."
    )
    if alone:
        text += f" {plural(alone, 'patch', 'patches')} without overlap left away."
    if rest:
        text += f" {plural(rest, 'patch', 'patches')} of smaller groups left away."
    return text


def show_pairs(
    dataset: Dataset,
    overlaps: Overlaps,
    key: str,
) -> None:
    """Show the table of pairs, and the chosen pair side by side.

    Args:
        dataset: The data set.
        overlaps: Its shared ground, at least one pair.
        key: Start of the widgets' keys.
    """
    table, picture = st.columns([2, 3], gap="large")
    with table:
        chosen = _pick_overlap(overlaps, key)
    with picture:
        _show_overlap(dataset, chosen)


def _pick_overlap(overlaps: Overlaps, key: str) -> Overlap:
    """Show the overlaps of one patch or of all, and return the chosen one."""
    patch = st.selectbox(
        "Overlaps of", [_ALL, *overlaps.neighbours()], key=f"{key}_overlap_patch"
    )
    near = overlaps.of(patch) if patch != _ALL else ()
    listed = near or tuple(
        sorted(overlaps.pairs, key=lambda pair: (-pair.share, pair.first, pair.second))
    )
    shown = listed[:MAX_ROWS]
    frame = overlaps_frame(shown)
    event = st.dataframe(
        frame.assign(share=frame["share"] * 100),
        key=f"{key}_overlap_table_{patch}",
        hide_index=True,
        height=_TABLE_PX if len(frame) > 10 else "content",
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [0]}},
        column_config={
            "first": st.column_config.TextColumn("First"),
            "second": st.column_config.TextColumn("Second"),
            "share": st.column_config.NumberColumn("Shared ground", format="%.0f %%"),
        },
        alt="Table of the pairs of patches that share ground, largest share first",
    )
    if len(listed) > MAX_ROWS:
        st.caption(f"The first {MAX_ROWS:,} of {len(listed):,}; the CSV has all.")
    rows = [row for row in event.selection.rows if row < len(shown)]
    return shown[rows[0] if rows else 0]


def _show_overlap(dataset: Dataset, overlap: Overlap) -> None:
    """Show two patches side by side, the shared ground outlined in both."""
    first, second = dataset.pair(overlap.first), dataset.pair(overlap.second)
    st.markdown(
        f"**{md_escape(first.id)}** and **{md_escape(second.id)}** share "
        f"{overlap.share:.0%} of their ground"
    )
    try:
        pictures = pair_pictures(first, second, overlap)
    except TerrainError as error:
        show_error(error, "This pair cannot be shown")
        return
    row = st.grid(2, min_column_width=100, wrap=False, gap="xsmall")
    for pair, data in zip((first, second), pictures, strict=True):
        row.image(
            data,
            width="stretch",
            alt=f"Patch {pair.id} with the shared ground outlined",
        )
    st.caption(
        "Framed and bright: the ground that both show. The dot marks the same corner "
        "of it in both. The share is that of the larger patch."
    )
