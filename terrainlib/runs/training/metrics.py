"""`metrics.csv`, one row an epoch, and `steps.csv`, what the steps within them gave.

A row of an epoch is appended and forced to the disk, so that no crash leaves a torn
table. Whoever continues it first drops a last line without its line end, and rows of
epochs that are trained again. The steps are few rows, however long a training is, and
are written as a whole now and then.
"""

import csv
import io
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Final

from terrainlib import files
from terrainlib.errors import StorageError
from terrainlib.model.learning.reports import StepProgress

Row = Mapping[str, object]

MAX_TABLE_BYTES: Final = 64_000_000
MAX_LINE_CHARACTERS: Final = 32_000  # 64 classes with names of 60 letters take half
MAX_EPOCH: Final = 10**9
MAX_VALUE: Final = 1e15


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the complete rows of a table as texts; none where it is missing.

    Lines that are too long, or have more or fewer cells than the header, are left out.
    """
    try:
        data = files.read_bytes(path, MAX_TABLE_BYTES)
    except (OSError, ValueError):
        return []
    text = data.decode("utf-8", errors="replace")
    lines = _cells(text[: text.rfind("\n") + 1])
    header = next(lines, [])
    if "epoch" not in header:
        return []
    whole = (row for row in lines if len(row) == len(header))
    return [dict(zip(header, row, strict=True)) for row in whole]


def read_numbers(path: Path) -> list[dict[str, float]]:
    """Return the rows of a table that have an epoch; NaN where a cell has no number."""
    rows = [
        {name: _number(cell) for name, cell in row.items()} for row in read_rows(path)
    ]
    return [r for r in rows if 1 <= r["epoch"] <= MAX_EPOCH and r["epoch"].is_integer()]


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


MAX_STEP_ROWS: Final = 600
STEPS_WRITTEN_EVERY_SECONDS: Final = 1.0
STEP_COLUMNS: Final = ("epoch", "step", "steps", "seconds", "loss", "accuracy")
StepRow = tuple[float, ...]


class StepsTable:
    """The table of the steps of one run, for its single writer.

    A row is the mean of so many steps, at first one. Whenever the table is full, its
    rows are joined by twos, and a row is the mean of twice as many from then on. What
    the disk refuses is written the next time.

    Args:
        path: The file `steps.csv`.
        epochs: Epochs that are done; rows of later ones are dropped.
    """

    def __init__(self, path: Path, epochs: int = 0) -> None:
        self._path = path
        known = [
            tuple(r.get(c, math.nan) for c in STEP_COLUMNS) for r in read_numbers(path)
        ]
        self._rows: list[StepRow] = [row for row in known if row[0] <= epochs]
        self._open: list[StepRow] = []
        self._steps_a_row = 1
        self._written = -math.inf

    def add(self, progress: StepProgress) -> None:
        """Add one step, and write the table where that is a while ago."""
        place = (progress.epoch, progress.step, progress.steps)
        scores = (progress.epoch_seconds, progress.loss, progress.accuracy)
        self._open.append((*place, *scores))
        if len(self._open) < self._steps_a_row:
            return
        self._rows.append(_joined(self._open))
        self._open = []
        if len(self._rows) > MAX_STEP_ROWS:
            pairs = range(0, len(self._rows), 2)
            self._rows = [_joined(self._rows[first : first + 2]) for first in pairs]
            self._steps_a_row *= 2
        if time.monotonic() - self._written > STEPS_WRITTEN_EVERY_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the table as it is now."""
        self._written = time.monotonic()
        lines = [",".join(STEP_COLUMNS)]
        lines += [",".join(f"{value:.6g}" for value in row) for row in self._rows]
        with suppress(StorageError):
            files.write_bytes(self._path, ("\n".join(lines) + "\n").encode())


def _joined(rows: list[StepRow]) -> StepRow:
    """Return the mean scores of some rows, at the place of the last one."""
    losses, accuracies = zip(*(row[4:] for row in rows), strict=True)
    return (*rows[-1][:4], fmean(losses), fmean(accuracies))


def _cells(text: str) -> Iterator[list[str]]:
    """Yield the cells of each line; what is wrong with one does not reach the next."""
    for line in text.split("\n"):
        if line and len(line) <= MAX_LINE_CHARACTERS:
            yield next(csv.reader([line.replace("\r", "")]), [])


def _number(cell: str) -> float:
    """Return a cell as a number; NaN where it is none, not finite or beyond reason."""
    try:
        number = float(cell)
    except ValueError:
        return math.nan
    return number if abs(number) <= MAX_VALUE else math.nan


def _lines(columns: list[str], rows: list[dict[str, str]]) -> str:
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
