"""Tables as CSV files."""

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

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


def test_a_table_says_which_of_its_rows_are_chosen() -> None:
    def script() -> None:
        import pandas as pd
        import streamlit as st

        from terrainlib.ui.page import show_table

        st.session_state["table"] = {
            "selection": {"rows": [1, 5]}
        }  # 5: of a longer one
        frame = pd.DataFrame({"name": ["a", "b", None]})
        options = {"on_select": "rerun", "selection_mode": "multi-row"}
        st.text(str(show_table(frame, alt="Names", key="table", **options)))
        st.text(str(show_table(frame.style, {"name": "Name"}, alt="Names")))

    page = AppTest.from_function(script).run()
    assert not page.exception
    assert [text.value for text in page.text] == ["[1]", "[]"]
