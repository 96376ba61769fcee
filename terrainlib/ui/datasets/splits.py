"""What a split costs, in words and as bars."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import altair as alt
import pandas as pd
import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.data.overlaps import MAX_UNASKED_GB, Overlaps, search_cost
from terrainlib.data.palette import hex_color
from terrainlib.data.splits import BLOCKS, LEAK_FREE, RANDOM_LEAK, Split, class_gaps
from terrainlib.mask.overlapmap import PART_COLORS, Part
from terrainlib.model.config import TrainingConfig
from terrainlib.model.record import ModelRecord
from terrainlib.runs.training.material import SPLIT_FILE, read_split
from terrainlib.ui import cached
from terrainlib.ui.charts import show_chart
from terrainlib.ui.page import pick_one, swatch
from terrainlib.ui.text import md_escape

FREE_HELP: Final = (
    "No held-out patch shows ground that a training patch shows too, as far as the "
    "pixels tell: the scores are for ground that the network has not seen."
)
MAY_LEAK_HELP: Final = (
    "Training and held-out patches were drawn at random, and nobody checked whether "
    "they share ground. Where they do, the network has seen some of the answers, and "
    "its scores are too good."
)
LEAK_HELP: Final = (
    "Training and held-out patches were drawn at random, so many held-out ones show "
    "ground that the network was trained on: its scores are too good."
)
_NOTHING: Final = "random: 0%"
_FREE: Final = LEAK_FREE.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know about scores.

    Attributes:
        text: A few words.
        help: A sentence.
        warns: Whether the scores are worth less than they seem.
    """

    text: str
    help: str
    warns: bool = True

    @property
    def color(self) -> Literal["orange", "gray"]:
        """The badge's colour."""
        return "orange" if self.warns else "gray"

    @property
    def icon(self) -> str:
        """The badge's icon."""
        return ":material/warning:" if self.warns else ":material/check:"


def leak_note(leak: str) -> Note:
    """Return what to say about a split.

    Args:
        leak: What the split knows of shared ground, as in `Split.leak`.
    """
    if leak.startswith(_FREE):
        known = leak.partition(": ")[2]
        return Note(_FREE, f"{known[:1].upper()}{known[1:]}. {FREE_HELP}", warns=False)
    if is_free(leak):
        return Note(leak, FREE_HELP, warns=False)
    return Note(leak, MAY_LEAK_HELP if leak == RANDOM_LEAK else LEAK_HELP)


def is_free(leak: str) -> bool:
    """Return whether held-out patches are known to share no ground with training."""
    return leak.startswith((_FREE, _NOTHING))


def show_note(note: Note) -> None:
    """Show a note as a badge with its sentence."""
    st.badge(md_escape(note.text), color=note.color, icon=note.icon, help=note.help)


def inline(note: Note) -> str:
    """Return a note as Markdown, for a line of text."""
    return f":{note.color}-badge[{md_escape(note.text)}]"


PART_NAMES: Final[dict[Part, str]] = {
    "train": "for training",
    "left out": "left out",
    "validation": "held out",
    "leaking": "held out, but shares ground with training",
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
    """Return how many patches train, are held out and left out, without a full stop."""
    total = len(split.train) + len(split.validation) + len(split.left_out)
    why = "lying beside" if split.leak == BLOCKS else "sharing ground with"
    left_out = f"{len(split.left_out):,} left out for {why} a held-out patch"
    return (
        f"{len(split.train):,} of {total:,} patches for training, "
        f"{len(split.validation):,} held out for scoring, "
        f"{left_out if split.left_out else 'none left out'}"
    )


def run_split(path: Path) -> Split | None:
    """Return the division of a run, or None before it is made."""
    return _run_split(path, cached.file_stamp(path / SPLIT_FILE))


@lru_cache(maxsize=256)
def _run_split(path: Path, stamp: cached.Stamp) -> Split | None:
    del stamp  # part of the key
    return read_split(path)


def show_split_of_training(dataset: Dataset, training: TrainingConfig) -> None:
    """Show, before a training starts, how its pairs will be divided."""
    if len(dataset.pairs) < 2:
        return  # the start says what is missing
    shared = cached.overlaps(dataset)
    if shared is None:
        cost = search_cost(dataset)
        then = (
            f"First the app looks for shared ground ({cost.text}), so that no training "
            "patch shows the ground of one held out."
        )
        if cost.memory_gb > MAX_UNASKED_GB:
            then = (
                "They are drawn at random: looking for shared ground takes "
                f"{cost.text}, and is left to you, on the preview page."
            )
        st.caption(
            f"{training.validation_share:.0%} of {len(dataset.pairs):,} patches will "
            "be held out: the network never trains on them, and its scores come from "
            f"them. {then}"
        )
        return
    share, seed = training.validation_share, training.seed
    split = cached.leak_free(dataset, shared, share=share, seed=seed)
    show_cost(split)
    counts = {pair.id: pair.counts for pair in dataset.pairs}
    for gap in class_gaps(split, counts, [item.name for item in dataset.classes]):
        st.caption(f":material/warning: {md_escape(gap)}")


def show_cost(split: Split) -> None:
    """Show a split in one line: its cost, and what is known of shared ground."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"{cost_sentence(split)}.", width="content")
        show_note(leak_note(split.leak))


def show_parts(splits: dict[str, dict[str, Part]]) -> None:
    """Draw the parts of several splits as one bar each."""
    frame = parts_frame(splits)
    names = [PART_NAMES[part] for part in PART_COLORS]
    colors = [hex_color(color) for color in PART_COLORS.values()]
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
    show_chart(chart, alt=_in_words(frame))


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


LABELS: Final = {"validation": "Held out", "train": "Trained on", "all": "All"}
SEEN_HELP: Final = (
    "The model trained on these pairs, or on some of them: the scores say how well it "
    "remembers, not how well it does on new ground."
)
NOT_TRAINED_HERE: Final = (
    "As far as its file tells, this model has never seen this data set, so it is "
    "scored on all pairs."
)
TRAINED_HERE: Final = (
    "This model was trained on this data set, and no held-out pairs are known: the "
    "scores say how well it remembers."
)
HELD_OUT_HELP: Final = (
    "Held out: the model never trained on these pairs. Only they show how it does on "
    "new images."
)
HELD_OUT_BEFORE: Final = "Held out at first"
HELD_OUT_BEFORE_HELP: Final = (
    "Held out at first: the scores on the model's card come from these pairs. Then "
    "it was trained once more on all pairs, so it has seen them since."
)
_SPLIT_PARTS: Final = ("validation", "train")


def parts_of(record: ModelRecord | None, dataset: Dataset) -> dict[str, int]:
    """Return the parts that a model can be scored on, with their numbers of pairs.

    The held-out part comes first. It is offered only where the data set is the one that
    the model was trained with: every id of its split, and no other.
    """
    split = (record.split if record else None) or {}
    ids = {part: set(split.get(part) or ()) for part in _SPLIT_PARTS}
    left_out = set(split.get("left_out") or ())
    parts = {}
    if ids["validation"] and set().union(left_out, *ids.values()) == set(dataset.ids):
        parts = {part: len(found) for part, found in ids.items() if found}
    return parts | {"all": len(dataset.pairs)}


def learnt_from(record: ModelRecord | None, dataset: Dataset) -> bool:
    """Return whether a model learnt from pairs of this data set, as far as known."""
    known = (record.dataset if record else None) or {}
    same = known.get("fingerprint") == dataset.fingerprint
    return same or "validation" in parts_of(record, dataset)


def has_seen(record: ModelRecord | None, dataset: Dataset, part: str) -> bool:
    """Return whether a model learnt from pairs of a part, as far as known."""
    final = record is not None and record.final is not None
    return learnt_from(record, dataset) and (final or part != "validation")


def caution(part: str, leak: str | None, *, seen: bool) -> tuple[str, str]:
    """Return what to say beside scores, in a few words and in a sentence.

    Args:
        part: `validation`, `train` or `all`.
        leak: What the model's record knows of shared ground, `random: may leak`.
        seen: Whether the model learnt from pairs of this part.

    Returns:
        Two empty texts where there is nothing to warn of.
    """
    if seen:
        return "seen in training", SEEN_HELP
    if part == "validation":
        return (leak, leak_note(leak).help) if leak else ("", "")
    return "", ""


def pick_part(record: ModelRecord | None, dataset: Dataset, key: str) -> str:
    """Show the parts and return the chosen one: `validation`, `train` or `all`."""
    parts = parts_of(record, dataset)
    labels, words = dict(LABELS), HELD_OUT_HELP
    if record is not None and record.final is not None:
        labels["validation"], words = HELD_OUT_BEFORE, HELD_OUT_BEFORE_HELP
    chosen = pick_one(
        "Pairs to score it on",
        {part: f"{labels[part]} ({count:,})" for part, count in parts.items()},
        f"{key}_part_{'_'.join(parts)}",
        help=words,
        query="pairs",
    )
    if "validation" not in parts:
        st.caption(TRAINED_HERE if learnt_from(record, dataset) else NOT_TRAINED_HERE)
    return chosen
