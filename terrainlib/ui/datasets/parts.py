"""Which part of a data set a model is judged on."""

from typing import Final

import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.model.record import ModelRecord
from terrainlib.ui.leaks import leak_note

LABELS: Final = {"validation": "Held out", "train": "Trained on", "all": "All pairs"}
SEEN_HELP: Final = (
    "The model trained on these pairs, or on some of them: the scores say how well it "
    "remembers, not how well it does on new ground."
)
NOT_TRAINED_HERE: Final = (
    "This model was not trained on this data set, as far as its file says: all pairs "
    "are judged."
)
TRAINED_HERE: Final = (
    "This model was trained on this data set, and no pair was held out: all pairs are "
    "judged."
)
HELD_OUT_BEFORE: Final = "Held out at first"  # and trained on in the end
_SPLIT_PARTS: Final = ("validation", "train")


def parts_of(record: ModelRecord | None, dataset: Dataset) -> dict[str, int]:
    """Return the parts that a model can be judged on, with their numbers of pairs.

    The held-out part comes first. It is offered only where the data set is the one that
    the model was trained with: every id of its split, and no other.

    Args:
        record: The model's record, if it has one.
        dataset: The data set.
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
    """Show the parts and return the chosen one: `validation`, `train` or `all`.

    Args:
        record: The model's record, if it has one.
        dataset: The data set.
        key: Start of the widgets' keys, one a page.
    """
    parts = parts_of(record, dataset)
    first = next(iter(parts))
    labels = dict(LABELS)
    if record is not None and record.final is not None:
        labels["validation"] = HELD_OUT_BEFORE
    chosen = st.segmented_control(
        "Pairs to judge it on",
        list(parts),
        format_func=lambda part: f"{labels[part]} ({parts[part]:,})",
        default=first,
        required=True,
        key=f"{key}_part_{'_'.join(parts)}",
        persist_state="session",
        help="Held out: pairs that the model did not train on, the honest test.",
    )
    if "validation" not in parts:
        st.caption(TRAINED_HERE if learnt_from(record, dataset) else NOT_TRAINED_HERE)
    return chosen if chosen in parts else first
