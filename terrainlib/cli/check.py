"""The command `check`."""

import argparse
from typing import Any, Final

from terrainlib.cli.console import note, progress_bar, say, say_json, say_table
from terrainlib.data.choices import CHOICES_FILE
from terrainlib.data.classes.meaning import describe
from terrainlib.data.dataset import Dataset, Problem, open_dataset
from terrainlib.data.layout import LAYOUT_TEXTS
from terrainlib.data.overlaps import (
    Overlaps,
    find_overlaps,
    known_overlaps,
    search_cost,
)
from terrainlib.data.splits import leak_free_split, random_split
from terrainlib.errors import DatasetError

_NOTES_SAID: Final = 20
_TOLD_SECONDS: Final = 60.0  # a shorter search begins without a word


def check(options: argparse.Namespace) -> int:
    """Look through a data set and print what is in it.

    Raises:
        DatasetError: If no usable pair remains, or the bands must be chosen first.
    """
    overlaps = None
    with progress_bar("Checking files") as (count, rename):
        dataset = open_dataset(options.data, progress=count)
        if options.overlaps:
            rename("Looking for shared ground")
            cost = search_cost(dataset)
            if cost.seconds > _TOLD_SECONDS and known_overlaps(dataset) is None:
                note(f"looking for shared ground takes {cost.text}")
            overlaps = find_overlaps(dataset, progress=count)
    if options.json:
        say_json(_report(dataset, overlaps))
    else:
        _say_dataset(dataset)
        if overlaps is not None:
            _say_overlaps(dataset, overlaps)
    if dataset.bands.question is not None:
        raise DatasetError(dataset.bands.question, file=dataset.name)
    if not dataset.pairs:
        raise DatasetError(
            f"no usable pair remains; {len(dataset.problems)} files have problems. "
            "Repair them, or choose another folder.",
            file=dataset.name,
        )
    return 0


def _report(dataset: Dataset, overlaps: Overlaps | None) -> dict[str, Any]:
    bands, problems = dataset.bands, list(dataset.problems)
    if bands.question is not None:
        problems.append(Problem(CHOICES_FILE, bands.question))
    report: dict[str, Any] = {
        "pairs": 0 if bands.question else len(dataset.pairs),
        "problems": [
            {"file": entry.file, "problem": entry.problem} for entry in problems
        ],
        "classes": dataset.class_shares,
        "bands": {
            "count": len(bands.all_names),
            "names": list(bands.all_names),
            "used": None if bands.question else list(bands.names),
        },
        "no_data": dataset.no_data_share,
        "notes": _notes(dataset),
        "layout": dataset.layout,
    }
    if overlaps is not None:
        report["overlaps"] = [[pair.first, pair.second] for pair in overlaps.pairs]
    return report


def _notes(dataset: Dataset) -> list[str]:
    """Return what the masks hold, and what is to be known of them and of the files."""
    names = [item.name for item in dataset.classes]
    notes = [describe(dataset.meaning, names), *dataset.notes]
    files: dict[str, list[str]] = {}
    for entry in dataset.file_notes:
        files.setdefault(entry.note, []).append(entry.file)
    for text, about in files.items():
        others = f" and {len(about) - 1:,} more" if len(about) > 1 else ""
        notes.append(f"{about[0]}{others}: {text}.")
    return notes


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
        "held-out patches share ground with training patches"
    )
    counts = {pair.id: pair.counts for pair in dataset.pairs}
    split = leak_free_split(dataset.ids, overlaps, counts)
    say(
        f"The split of a training: {len(split.train)} for training, "
        f"{len(split.validation)} held out, {len(split.left_out)} left out "
        f"({split.leak})"
    )


def _say_dataset(dataset: Dataset) -> None:
    heights = "with" if dataset.has_heights else "without"
    say(f"{dataset.name}: {len(dataset.pairs)} usable pairs {heights} height")
    say(f"Layout: {LAYOUT_TEXTS[dataset.layout]}")
    bands = dataset.bands
    if bands.question is None and (bands.keys is not None or bands.count != 3):
        say(f"Bands: {', '.join(bands.names)} of {', '.join(bands.all_names)}")
    rows = [[name, f"{share:.1%}"] for name, share in dataset.class_shares.items()]
    say_table("Classes", ["class", "share"], rows)
    say(f"No data or no class: {dataset.no_data_share:.1%} of the masks' pixels")
    notes = _notes(dataset)
    for text in notes[:_NOTES_SAID]:
        say(text)
    if len(notes) > _NOTES_SAID:
        say(f"{len(notes) - _NOTES_SAID} more notes; --json lists all of them")
    if dataset.problems:
        count = len(dataset.problems)
        say(f"{count} {'problem' if count == 1 else 'problems'}:")
    for entry in dataset.problems:
        say(f"  {entry.file}: {entry.problem}")
