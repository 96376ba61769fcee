"""What the commands show: progress on standard error, results on standard output."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import progress as bars
from rich.console import Console
from rich.progress import (
    BarColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from terrainlib.errors import FailureError, TerrainError
from terrainlib.files import storage_error
from terrainlib.types import Progress

_logger = logging.getLogger(__name__)


@contextmanager
def progress_bar(title: str) -> Iterator[tuple[Progress, Callable[[str], None]]]:
    """Show a bar on standard error while the block lasts.

    Yields:
        A function for the work done and in all, and one that changes the title.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    hidden = not console.is_terminal
    with bars.Progress(
        *columns, console=console, transient=True, disable=hidden
    ) as bar:
        task = bar.add_task(title, total=None)

        def count(done: int, total: int) -> None:
            bar.update(task, completed=done, total=max(1, total))

        def rename(text: str) -> None:
            bar.update(task, description=text)

        yield count, rename


def say(text: str) -> None:
    """Print a line of the result."""
    sys.stdout.write(f"{text}\n")


def say_json(value: dict[str, Any]) -> None:
    """Print the result as one JSON object."""
    say(json.dumps(value, ensure_ascii=False, allow_nan=False))


def say_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; the first column to the left, the others to the right."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120).print(table)


def note(text: str) -> None:
    """Print a remark on standard error."""
    sys.stderr.write(f"note: {' '.join(text.split())}\n")


def complain(error: TerrainError) -> int:
    """Print the line for a bad file, or for the end of a command; return its status."""
    sys.stdout.flush()
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    sys.stderr.flush()
    return error.exit_status


def in_words(problem: BaseException) -> TerrainError:
    """Return whatever a command may meet as an error with one sentence."""
    if isinstance(problem, TerrainError):
        return problem
    if isinstance(problem, KeyboardInterrupt):
        return FailureError("interrupted.")
    if isinstance(problem, MemoryError):
        return FailureError("there is not enough memory. Use a smaller image or batch.")
    if isinstance(problem, OSError):
        path = Path(str(problem.filename)) if problem.filename else Path()
        return storage_error(path, problem)
    _logger.error("unexpected error", exc_info=problem)
    return FailureError(f"unexpected error: {type(problem).__name__}: {problem}")


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
