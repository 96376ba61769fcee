"""The command `models`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from terrainlib.cli.console import say_table
from terrainlib.metrics import decimal

if TYPE_CHECKING:
    from terrainlib.runs.models import ModelEntry


def models(_options: argparse.Namespace) -> int:
    """List the models on this machine: embedded, of runs, added by hand."""
    from terrainlib.runs.models import list_models

    columns = ["model", "preset", "data", "made", "mIoU", "size"]
    say_table("Models", columns, [_model_row(entry) for entry in list_models()])
    return 0


def _model_row(entry: "ModelEntry") -> list[str]:
    """Return the cells of one model, beginning with what other commands take for it."""
    size = f"{entry.size_bytes / 1e6:.1f} MB"
    path = entry.path.parent if entry.kind == "run" else entry.path
    name = entry.model if entry.kind == "embedded" else _shown(path)
    if entry.record is None:
        return [name, "not readable", "", "", "-", size]
    made = f"{entry.created.astimezone():%Y-%m-%d %H:%M}"
    score = decimal(entry.score("miou"))
    return [name, entry.preset, entry.data, made, score, size]


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
