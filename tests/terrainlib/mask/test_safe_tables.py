"""Tables as CSV: no spreadsheet computes what a name begins with."""

import pytest

from terrainlib.files import csv_bytes, safe_cell


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\0"])
def test_a_text_that_starts_like_a_formula_gets_an_apostrophe(start: str) -> None:
    assert safe_cell(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("value", ["Water", "a=1", "", -1, -0.5, None, "'x"])
def test_everything_else_stays(value: object) -> None:
    assert safe_cell(value) is value


def test_commas_quotes_and_breaks_are_quoted() -> None:
    data = csv_bytes(["a", "=b"], [['1,"2"', "x\ny"], [1.5, None]])
    assert data == b'a,\'=b\r\n"1,""2""","x\ny"\r\n1.5,\r\n'


def test_a_name_that_is_no_text_for_utf_8_is_written_with_a_mark() -> None:
    assert csv_bytes(["a"], [["\udcff"]]) == b"a\r\n?\r\n"
