"""Tables as files: comma-separated values that no spreadsheet takes for formulas."""

import pandas as pd

from terrainlib.mask.tables import safe_cell


def safe_csv(frame: pd.DataFrame) -> bytes:
    """Return a table as UTF-8 CSV with a header and without the index.

    Names of files and classes come from outside: a text (or a column's name) that
    starts like a formula gets an apostrophe in front, so that a spreadsheet shows it
    instead of computing it. Numbers stay as they are.
    """
    safe = frame.rename(columns=safe_cell).map(safe_cell)
    return safe.to_csv(index=False, lineterminator="\r\n").encode()
