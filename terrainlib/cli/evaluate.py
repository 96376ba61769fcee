"""The command `evaluate`."""

import argparse
from typing import TYPE_CHECKING

from terrainlib.cli.console import (
    complain,
    progress_bar,
    say,
    say_json,
    say_table,
)
from terrainlib.data.dataset import open_dataset
from terrainlib.errors import DatasetError
from terrainlib.metrics import OF_CLASSES, OVERALL, decimal
from terrainlib.model.cardlimits import fresh_leak

if TYPE_CHECKING:
    from terrainlib.mask.scores.evaluation import Evaluation
    from terrainlib.model.modelfile import TerrainModel


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
    values = result.to_json(confidence=True)
    title = f"{values['images']} images ({part}), {values['seconds']:.1f} s"
    rows = [[kind.label, decimal(values[kind.key])] for kind in OVERALL]
    say_table(title, ["Score", "Value"], rows)
    rows = [
        [name, *(decimal(values[kind.key][name]) for kind in OF_CLASSES)]
        for name in result.class_names
    ]
    say_table("Each class", ["Class", *(kind.label for kind in OF_CLASSES)], rows)
    leak = fresh_leak(model.record)
    if part == "validation" and leak:
        say(f"Split of the model: {leak}")
