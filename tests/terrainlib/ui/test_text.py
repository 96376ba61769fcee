"""Text from outside is shown as it is; numbers as people say them."""

import re

import pytest

from terrainlib.ui.text import duration, file_size, md_escape, plural


@pytest.mark.parametrize(
    "text",
    ["*bold*", ":red[red]", "$x$", "[a](http://b)", "![i](j)", "<b>", "`c`", "a -> b"],
)
def test_every_special_character_is_escaped(text: str):
    escaped = md_escape(text)

    assert escaped.replace("\\", "") == text
    unescaped = re.sub(r"\\.", "", escaped)
    assert re.fullmatch(r"[\w /]*", unescaped)


def test_backslashes_stay_visible():
    assert md_escape("a\\b") == "a\\\\b"


def test_line_breaks_and_control_characters_cannot_start_new_markdown():
    assert md_escape("a\n\n# b\x1b\u2028c") == "a \\# b c"


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 pairs"), (1, "1 pair"), (1200, "1,200 pairs")]
)
def test_plural_counts(count: int, said: str):
    assert plural(count, "pair") == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (130, "2 min 10 s"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations(seconds: float, said: str):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (250_000, "250 kB"),
        (5e9, "5.0 GB"),
    ],
)
def test_file_sizes(size: float, said: str):
    assert file_size(size) == said
