"""The commands `check`, `evaluate` and `models`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrainlib._console import (
    complain,
    decimal,
    progress_bar,
    say,
    say_json,
    say_table,
)
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.overlaps import Overlaps, find_overlaps
from terrainlib.data.splits import leak_free_split, random_split
from terrainlib.errors import DatasetError
from terrainlib.model.card import fresh_leak

if TYPE_CHECKING:
    from terrainlib.mask.scores.evaluation import Evaluation
    from terrainlib.model.modelfile import TerrainModel
    from terrainlib.runs.models import ModelEntry


def check(options: argparse.Namespace) -> int:
    """Look through a data set and print what is in it.

    Raises:
        DatasetError: If no usable pair remains.
    """
    overlaps = None
    with progress_bar("Checking files") as (count, rename):
        dataset = open_dataset(options.data, progress=count)
        if options.overlaps:
            rename("Looking for shared ground")
            overlaps = find_overlaps(dataset, progress=count)
    if options.json:
        say_json(_report(dataset, overlaps))
    else:
        _say_dataset(dataset)
        if overlaps is not None:
            _say_overlaps(dataset, overlaps)
    if not dataset.pairs:
        raise DatasetError(
            f"no usable pair remains; {len(dataset.problems)} files have problems. "
            "Repair them, or choose another folder.",
            file=dataset.name,
        )
    return 0


def _report(dataset: Dataset, overlaps: Overlaps | None) -> dict[str, Any]:
    """Return what is in a data set as a JSON object."""
    report: dict[str, Any] = {
        "pairs": len(dataset.pairs),
        "problems": [
            {"file": entry.file, "problem": entry.problem} for entry in dataset.problems
        ],
        "classes": dataset.class_shares,
    }
    if overlaps is not None:
        report["overlaps"] = [[pair.first, pair.second] for pair in overlaps.pairs]
    return report


def _say_overlaps(dataset: Dataset, overlaps: Overlaps) -> None:
    """Print which part of a data set shares ground, and what a clean split costs."""
    total = len(dataset.pairs)
    touched = len(overlaps.neighbours())
    say(
        f"Shared ground: {len(overlaps.pairs)} pairs of patches; "
        f"{touched} of {total} patches share ground with another "
        f"({touched / max(total, 1):.0%})"
    )
    if total < 2:
        return
    drawn = random_split(dataset.ids, overlaps=overlaps)
    leak = overlaps.leak(drawn.train, drawn.validation)
    say(
        f"A random split would leak: {leak:.0%} of its {len(drawn.validation)} "
        "validation patches share ground with training"
    )
    counts = {pair.id: pair.counts for pair in dataset.pairs}
    split = leak_free_split(dataset.ids, overlaps, counts)
    say(
        f"The split of a training: {len(split.train)} train, "
        f"{len(split.validation)} validate, {len(split.left_out)} left out "
        f"({split.leak})"
    )


def _say_dataset(dataset: Dataset) -> None:
    """Print a data set for people."""
    heights = "with" if dataset.has_heights else "without"
    say(f"{dataset.name}: {len(dataset.pairs)} usable pairs {heights} height")
    rows = [[name, f"{share:.1%}"] for name, share in dataset.class_shares.items()]
    say_table("Classes", ["class", "share"], rows)
    if dataset.problems:
        count = len(dataset.problems)
        say(f"{count} {'problem' if count == 1 else 'problems'}:")
    for entry in dataset.problems:
        say(f"  {entry.file}: {entry.problem}")


def evaluate_model(options: argparse.Namespace) -> int:
    """Score a model on a data set, or on a part of it."""
    with progress_bar("Checking files") as (count, rename):
        dataset = open_dataset(options.data, progress=count)
        rename("Loading the model")
        from terrainlib.mask.scores.evaluation import evaluate
        from terrainlib.model.modelfile import load_model

        model = load_model(options.model)
        rename("Scoring")
        result = evaluate(model, dataset, split=options.split, progress=count)
    if options.json:
        say_json(result.to_json())
    else:
        _say_scores(result, model, options.split)
    for entry in result.skipped:
        complain(DatasetError(entry.problem, file=entry.file))
    return DatasetError.exit_status if result.skipped else 0


def _say_scores(result: "Evaluation", model: "TerrainModel", part: str) -> None:
    """Print scores for people."""
    values = result.to_json()
    rows = [
        ["pixel accuracy", decimal(values["pixel_accuracy"])],
        ["mIoU", decimal(values["miou"])],
        *([f"IoU {name}", decimal(score)] for name, score in values["iou"].items()),
        ["boundary F1", decimal(values["boundary_f1"])],
    ]
    title = f"{values['images']} images ({part}), {values['seconds']:.1f} s"
    say_table(title, ["score", "value"], rows)
    leak = fresh_leak(model.record)
    if part == "validation" and leak:
        say(f"Split of the model: {leak}")


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
    """Return a path as it can be typed here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
