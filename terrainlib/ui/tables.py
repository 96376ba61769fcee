"""Tables as files: comma-separated values that no spreadsheet takes for formulas."""

from typing import Final

import pandas as pd

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_csv(frame: pd.DataFrame) -> bytes:
    """Return a table as UTF-8 CSV with a header and without the index.

    Names of files and classes come from outside: a text (or a column's name) that
    starts like a formula gets an apostrophe in front, so that a spreadsheet shows it
    instead of computing it. Numbers stay as they are.
    """
    safe = frame.rename(columns=_safe_cell).map(_safe_cell)
    return safe.to_csv(index=False, lineterminator="\r\n").encode()


def _safe_cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value
