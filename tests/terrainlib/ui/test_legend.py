"""The legend names every colour and trusts no name."""

import pytest

from terrainlib.ui.page import swatch


def test_a_swatch_is_the_colour_and_the_name():
    text = swatch((17, 141, 215), "Water", "12.0%")

    assert 'foreground="rgb(17,141,215)"' in text
    assert "Water" in text
    assert r"12\.0%" in text


def test_a_name_cannot_bring_markdown_of_its_own():
    assert ":red[" not in swatch((0, 0, 0), ":red[x]")
    assert "](" not in swatch((0, 0, 0), "![x](http://y)")


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255)])
def test_black_and_white_stand_on_grey_so_that_they_show_on_any_page(
    color: tuple[int, int, int],
) -> None:
    assert "background" in swatch(color, "Sea")
    assert "background" not in swatch((17, 141, 215), "Water")
