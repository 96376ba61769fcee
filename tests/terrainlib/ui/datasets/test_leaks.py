"""What is said about shared ground beside a score."""

import pytest

from terrainlib.data.splits import LEAK_FREE, RANDOM_LEAK
from terrainlib.ui.datasets.splits import (
    FREE_HELP,
    LEAK_HELP,
    MAY_LEAK_HELP,
    inline,
    leak_note,
)


@pytest.mark.parametrize(
    ("leak", "warns", "help_text"),
    [
        ("random: 0% of validation shares ground with training", False, FREE_HELP),
        (RANDOM_LEAK, True, MAY_LEAK_HELP),
        ("random: 87% of validation shares ground with training", True, LEAK_HELP),
    ],
)
def test_only_a_split_that_leaks_or_may_leak_is_warned_of(
    leak: str, warns: bool, help_text: str
) -> None:
    note = leak_note(leak)
    assert (note.text, note.warns, note.help) == (leak, warns, help_text)
    assert note.color == ("orange" if warns else "gray")


def test_a_split_that_is_free_is_a_word_with_the_sentence_behind_it() -> None:
    note = leak_note(LEAK_FREE)
    assert (note.text, note.icon) == ("leak-free", ":material/check:")
    assert note.help == f"No shared ground found. {FREE_HELP}"


def test_what_a_file_says_is_shown_as_text() -> None:
    assert inline(leak_note("random: [x](y)")) == (
        ":orange-badge[random\\: \\[x\\]\\(y\\)]"
    )
