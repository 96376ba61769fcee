"""Tables as files: comma-separated values that no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    r"""Return a table as UTF-8 CSV.

    Names of files and classes come from outside: a text that starts like a formula gets
    an apostrophe in front, so that a spreadsheet shows it instead of computing it.
    Numbers stay as they are, and None is an empty cell.

    Args:
        header: Names of the columns.
        rows: The cells of each row.

    Example:
        >>> csv_bytes(["class", "share"], [["=1+1", -0.5], ["Water", None]])
        b"class,share\r\n'=1+1,-0.5\r\nWater,\r\n"
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    for row in (header, *rows):
        writer.writerow([safe_cell(cell) for cell in row])
    return stream.getvalue().encode("utf-8", "replace")


def safe_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet computes."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value
