"""What is said about shared ground beside a score: a warning, or a quiet line."""

from dataclasses import dataclass
from typing import Final, Literal

import streamlit as st

from terrainlib.data.splits import LEAK_FREE, RANDOM_LEAK
from terrainlib.ui.text import md_escape

FREE_HELP: Final = (
    "No training patch shares ground with a held-out one, as far as the pixels show: "
    "the scores are those on ground that the network has not seen."
)
MAY_LEAK_HELP: Final = (
    "Training and held-out patches were drawn at random, and nobody looked whether "
    "they share ground. Where they do, the network has seen parts of what it is asked, "
    "and its scores are too good."
)
LEAK_HELP: Final = (
    "Training and held-out patches were drawn at random, and so many of those held out "
    "show ground that the network was trained on: its scores are too good."
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
