"""`metrics.csv`: one row an epoch, added so that no crash leaves a torn table.

A row is appended and forced to the disk. Whoever continues the table first drops a last
line without its line end, and rows of epochs that are trained again.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from terrainlib import files
from terrainlib.errors import StorageError

Row = Mapping[str, object]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the complete rows of a table as texts; none where it is missing."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError:
        return []
    complete = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(io.StringIO(complete, newline=""))
    if not reader.fieldnames or "epoch" not in reader.fieldnames:
        return []
    return [row for row in reader if None not in row and None not in row.values()]


class MetricsTable:
    """The table of one run, for its single writer.

    Rows that the disk refuses are kept and written with the next one: a full disk stops
    a training where a checkpoint fails, not here.

    Args:
        path: The file `metrics.csv`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[dict[str, str]] = []

    def append(self, row: Row) -> bool:
        """Add one epoch, replacing rows of the same and of later epochs.

        Args:
            row: Column -> value with the key `epoch`; None is written as nothing.

        Returns:
            Whether the row, and those that had waited, are on the disk.
        """
        texts = {name: _text(value) for name, value in row.items()}
        epoch = int(texts["epoch"])
        self._waiting = [r for r in self._waiting if int(r["epoch"]) < epoch]
        self._waiting.append(texts)
        try:
            self._write()
        except StorageError:
            return False
        self._waiting = []
        return True

    def rewrite(self, rows: list[Row]) -> None:
        """Replace the whole table atomically.

        Raises:
            StorageError: If the disk is full, read-only or failing.
        """
        self._waiting = []
        self._replace([{k: _text(v) for k, v in row.items()} for row in rows])

    def _write(self) -> None:
        """Append the waiting rows, or replace the table where it needs repair."""
        present = read_rows(self._path)
        first = int(self._waiting[0]["epoch"])
        kept = [row for row in present if _epoch(row) < first]
        columns = list(self._waiting[0])
        header = _lines(columns, [dict(zip(columns, columns, strict=True))])
        clean = len(kept) == len(present) and _ends_well(self._path, header)
        if clean:
            lines = _lines(columns, self._waiting)
            files.append_bytes(self._path, lines.encode())
        else:
            self._replace(kept + self._waiting)

    def _replace(self, rows: list[dict[str, str]]) -> None:
        """Write header and rows atomically; the columns are those of the last row."""
        columns = list(rows[-1]) if rows else []
        text = _lines(columns, [dict(zip(columns, columns, strict=True))])
        files.write_bytes(self._path, (text + _lines(columns, rows)).encode())


def _lines(columns: list[str], rows: list[dict[str, str]]) -> str:
    """Return rows as CSV text."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return buffer.getvalue()


def _ends_well(path: Path, header: str) -> bool:
    """Return whether a table exists, has these columns and ends with a line end."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return data.endswith(b"\n") and data.startswith(header.encode())


def _epoch(row: dict[str, str]) -> float:
    """Return the epoch of a row; infinity, so that it is dropped, where unreadable."""
    try:
        return int(row["epoch"])
    except ValueError:
        return float("inf")


def _text(value: object) -> str:
    """Return a cell: floats with six digits, None as nothing."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
