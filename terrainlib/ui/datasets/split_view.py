"""What a split costs, in words and as bars."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

import altair as alt
import pandas as pd
import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.data.overlaps import Overlaps
from terrainlib.data.splits import Split
from terrainlib.mask.overlapmap import PART_COLORS, Part
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.material import SPLIT_FILE, read_split
from terrainlib.ui import cached
from terrainlib.ui.leaks import leak_note, show_note
from terrainlib.ui.legend import swatch
from terrainlib.ui.text import duration

SECONDS_A_PATCH: Final = 0.18  # of looking for shared ground, on two cores
PART_NAMES: Final[dict[Part, str]] = {
    "train": "trains",
    "left out": "left out",
    "validation": "validates",
    "leaking": "validates on shared ground",
}
_ROW_PX: Final = 46
_NARROW: Final = 0.04  # of all patches: too little for its number
_DARK_TEXT: Final = "#121714"


def parts_of_split(split: Split, overlaps: Overlaps) -> dict[str, Part]:
    """Return the part of every patch of a split, by id.

    A validation patch that shares ground with a training one is `leaking`.
    """
    near, trains = overlaps.neighbours(), set(split.train)
    parts: dict[str, Part] = dict.fromkeys(split.train, "train")
    parts |= dict.fromkeys(split.left_out, "left out")
    for name in split.validation:
        leaks = not trains.isdisjoint(near.get(name, ()))
        parts[name] = "leaking" if leaks else "validation"
    return parts


def cost_sentence(split: Split) -> str:
    """Return how many patches validate, train and are left out, without a full stop."""
    total = len(split.train) + len(split.validation) + len(split.left_out)
    verb = "validates" if len(split.validation) == 1 else "validate"
    trains = "trains" if len(split.train) == 1 else "train"
    text = f"{len(split.validation):,} of {total:,} patches {verb}, "
    if not split.left_out:
        return f"{text}{len(split.train):,} {trains}, none is left out"
    shares = "it shares" if len(split.left_out) == 1 else "they share"
    return (
        f"{text}{len(split.train):,} {trains}, {len(split.left_out):,} left out: "
        f"{shares} ground with a validation patch"
    )


def run_split(path: Path) -> Split | None:
    """Return the division of a run, or None before it is made.

    Args:
        path: The run folder.
    """
    return _run_split(path, cached.file_stamp(path / SPLIT_FILE))


@lru_cache(maxsize=256)
def _run_split(path: Path, stamp: cached.Stamp) -> Split | None:
    """Read a division once for each version of its file."""
    del stamp  # part of the key
    return read_split(path)


def search_time(dataset: Dataset) -> str:
    """Return about how long looking for shared ground takes: `about 1 min`."""
    seconds = max(1.0, SECONDS_A_PATCH * len(dataset.pairs))
    return f"about {duration(seconds if seconds < 50 else 60 * round(seconds / 60))}"


def show_split_of_training(dataset: Dataset, training: TrainingConfig) -> None:
    """Show, before a training starts, how its pairs will be divided."""
    if len(dataset.pairs) < 2:
        return  # the start says what is missing
    shared = cached.overlaps(dataset)
    if shared is None:
        st.caption(
            f"{training.validation_share:.0%} of {len(dataset.pairs):,} patches will "
            "be held out to validate. Shared ground will be looked for before the "
            f"training starts ({search_time(dataset)}), so that no training patch "
            "shares ground with one held out."
        )
        return
    share, seed = training.validation_share, training.seed
    split = cached.leak_free(dataset, shared, share=share, seed=seed)
    show_cost(split)


def show_cost(split: Split) -> None:
    """Show a split in one line: its cost, and what is known of shared ground."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"{cost_sentence(split)}.", width="content")
        show_note(leak_note(split.leak))


def show_parts(splits: dict[str, dict[str, Part]]) -> None:
    """Draw the parts of several splits as one bar each.

    Args:
        splits: The part of every patch, by the split's name.
    """
    frame = parts_frame(splits)
    names = [PART_NAMES[part] for part in PART_COLORS]
    colors = [_hex(color) for color in PART_COLORS.values()]
    base = alt.Chart(frame).encode(
        y=alt.Y("split:N", sort=list(splits), title=None, axis=_plain_axis()),
        order=alt.Order("order:Q"),
        tooltip=[
            alt.Tooltip("split:N", title="Split"),
            alt.Tooltip("part:N", title="Part"),
            alt.Tooltip("patches:Q", title="Patches", format=","),
        ],
    )
    scale = alt.Scale(domain=[0, frame["to"].max()], nice=False)
    bars = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X("from:Q", title=None, axis=None, scale=scale),
        x2="to:Q",
        color=alt.Color(
            "part:N",
            scale=alt.Scale(domain=names, range=colors),
            legend=None,
        ),
    )
    numbers = base.mark_text(fontSize=13, color=_DARK_TEXT).encode(
        x=alt.X("middle:Q", scale=scale), text="label:N"
    )
    shown = [part for part in PART_COLORS if PART_NAMES[part] in set(frame["part"])]
    marks = [swatch(PART_COLORS[part], PART_NAMES[part]) for part in shown]
    st.markdown("\u2003 ".join(marks))
    chart = (bars + numbers).properties(height=_ROW_PX * len(splits))
    st.altair_chart(chart, alt=_in_words(frame))


def parts_frame(splits: dict[str, dict[str, Part]]) -> pd.DataFrame:
    """Return one row a part of a split: its name, its number of patches, its place."""
    rows = []
    for split, parts in splits.items():
        begin, total = 0, len(parts)
        for order, (part, count) in enumerate(_counts(parts.values())):
            label = f"{count:,}" if count >= _NARROW * total else ""
            rows.append(
                (
                    split,
                    PART_NAMES[part],
                    order,
                    count,
                    begin,
                    begin + count,
                    begin + count / 2,
                    label,
                )
            )
            begin += count
    columns = ["split", "part", "order", "patches", "from", "to", "middle", "label"]
    return pd.DataFrame(rows, columns=columns)


def _counts(parts: Iterable[Part]) -> list[tuple[Part, int]]:
    """Return how many patches each part has, in the order of the bars."""
    listed = list(parts)
    counts = [(part, listed.count(part)) for part in PART_COLORS]
    return [(part, count) for part, count in counts if count]


def _in_words(frame: pd.DataFrame) -> str:
    rows = zip(frame["split"], frame["part"], frame["patches"], strict=True)
    listed = ", ".join(f"{split} {part} {count}" for split, part, count in rows)
    return f"Bars of the parts of each split, in patches: {listed}"


def _plain_axis() -> alt.Axis:
    return alt.Axis(labelFontSize=13, labelLimit=160, ticks=False, domain=False)


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
