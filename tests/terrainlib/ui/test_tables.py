"""Tables as CSV files."""

import pandas as pd
import pytest

from terrainlib.ui.text import safe_csv


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_starts_like_a_formula_is_quoted(start: str) -> None:
    frame = pd.DataFrame({"file": [f"{start}cmd()"], "problem": ["cut off"]})
    line = safe_csv(frame).decode().split("\r\n", 1)[1]
    assert line.lstrip('"').startswith(f"'{start}cmd()")


def test_a_header_that_starts_like_a_formula_is_quoted() -> None:
    assert safe_csv(pd.DataFrame({"=A1": [1]})) == b"'=A1\r\n1\r\n"


def test_numbers_and_plain_text_stay_as_they_are() -> None:
    frame = pd.DataFrame({"class": ["Water, deep"], "iou": [-0.25], "none": [None]})
    assert safe_csv(frame) == b'class,iou,none\r\n"Water, deep",-0.25,\r\n'
