"""How good from how many pairs: learners side by side on the same held-out ground.

Run from the project's folder, alone on the machine:
`python -m benchmarks.learning_curves DATA [--minutes 10] [--height] --out DIR`.
For the peer in PyTorch, first `pip install -r benchmarks/requirements.txt`.

DATA is divided into folds of neighbouring patches. Of each fold in turn the patches are
held out; what shares ground with them is left out, and of the rest as many learn as
`--pairs` says, the fewer among the more. All learners get the same pairs and are scored
by the mIoU of one confusion matrix over the held-out patches, at the working size. A
training of ours keeps what is best on some further patches of the held-out ground, as
it does for people; they are not scored: nothing is picked on what is reported.

Every result is written to `results.jsonl` at once, and what stands there is not
measured again: a night that was cut short goes on where it was.
"""

import argparse
import json
import math
import random
import statistics
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks._worker import Worker, WorkerError, stop_in_order
from terrainlib.data.dataset import open_dataset
from terrainlib.data.overlaps import Overlaps, find_overlaps
from terrainlib.model.config import TrainingConfig

LEARNERS: Final = {  # the module of its worker and its preset
    "notebook": ("benchmarks._quality_ours", "notebook"),
    "pixels": ("benchmarks._quality_pixels", "fast"),
    "fast": ("benchmarks._quality_ours", "fast"),
    "best": ("benchmarks._quality_ours", "best"),
    "torch": ("benchmarks._quality_torch", "fast"),
}
_REGIONS_A_FOLD: Final = 3
_WORKING_SIZE_PX: Final = 128
_WATCHED_EVERY: Final = 7  # of the held-out patches, to choose the epoch by
_STUDENT: Final = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}


@dataclass(frozen=True, slots=True)
class Fold:
    """Ids of the patches that learn, of those that are scored, of those looked at."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    watched: tuple[str, ...]

    def some(self, count: int, seed: int) -> "Fold":
        """Return the fold with that many training pairs, nested for growing counts."""
        order = list(self.train)
        random.Random(seed).shuffle(order)
        return replace(self, train=tuple(sorted(order[:count])))


def main() -> None:
    """Measure what is not measured yet; print the table, draw the figure."""
    options = _parse()
    stop_in_order()
    options.out.mkdir(parents=True, exist_ok=True)
    results = read_results(options.out / "results.jsonl")
    dataset = open_dataset(options.data)
    folds = make_folds(dataset.ids, find_overlaps(dataset), options.folds)
    try:
        for fold, split in enumerate(folds):
            for pairs in options.pairs:
                for learner in options.learners:
                    key = {"learner": learner, "pairs": pairs, "fold": fold}
                    key |= {"height": options.height, "minutes": options.minutes}
                    if not any(key.items() <= done.items() for done in results):
                        part = split.some(pairs, fold)
                        results += _measured(key, part, options)
    except KeyboardInterrupt:
        print("stopped; what was measured until now:", file=sys.stderr)
    chosen = {"height": options.height, "minutes": options.minutes}
    rows = [row for row in results if chosen.items() <= row.items()]
    print_table(rows)
    draw(rows, options.out)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the data set")
    parser.add_argument("--pairs", type=int, nargs="+", default=(30, 100, 300, 800))
    parser.add_argument("--minutes", type=float, default=10.0, help="for each training")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--height", action="store_true", help="with heights as well")
    parser.add_argument(
        "--learners", nargs="+", choices=LEARNERS, default=list(LEARNERS)
    )
    parser.add_argument("--out", type=Path, default=Path("learning_curves"))
    return parser.parse_args()


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the results written so far; a line cut short is passed over."""
    results = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            results.append(json.loads(line))
        except ValueError:
            continue
    return results


def make_folds(ids: Sequence[str], overlaps: Overlaps, count: int) -> list[Fold]:
    """Divide patches into folds that are disjoint and made of whole regions.

    Args:
        ids: Names of the patches.
        overlaps: Which of them share ground.
        count: Folds; together they hold out three quarters of the patches.

    Returns:
        For each its held-out patches, some of them to be watched, and all that share no
        ground with them.
    """
    near = overlaps.neighbours()
    size = len(ids) * 3 // (4 * count)
    free, draw = set(ids), random.Random(0)
    splits = []
    for _ in range(count):
        held: set[str] = set()
        while len(held) < size:
            wanted = min(size // _REGIONS_A_FOLD, size - len(held))
            held |= _region(draw.choice(sorted(free - held)), near, free - held, wanted)
        free -= held
        beside = held.union(*(near.get(name, frozenset()) for name in held))
        watched = sorted(held)[::_WATCHED_EVERY]
        scored = sorted(held.difference(watched))
        train = sorted(set(ids) - beside)
        splits.append(Fold(tuple(train), tuple(scored), tuple(watched)))
    return splits


def _region(
    first: str, near: Mapping[str, frozenset[str]], free: set[str], size: int
) -> set[str]:
    """Return up to so many free patches around one, nearest first."""
    found: set[str] = set()
    queue, seen = deque([first]), {first}
    while queue and len(found) < size:
        name = queue.popleft()
        found.add(name)
        for other in sorted(near.get(name, frozenset()) & free - seen):
            seen.add(other)
            queue.append(other)
    return found


def _measured(
    key: dict[str, Any], split: Fold, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Train and score one learner; nothing where it fails."""
    module, preset = LEARNERS[key["learner"]]
    network = {"height": options.height, "image_size": _WORKING_SIZE_PX}
    config = TrainingConfig.preset(
        preset, network=network, minutes=options.minutes, seed=key["fold"]
    )
    told = {"config": config.to_dict(), "split": asdict(split)}
    scores, seconds = [], 0.0
    with Worker(module, told | {"data": str(options.data)}) as worker:
        try:
            for event in worker.events():
                if "done" not in event:
                    scores.append(event["miou"])
                    seconds = event["seconds"]
                    continue
                row = key | {"miou": scores[-1], "best": max(scores), "scores": scores}
                row |= {"seconds": seconds, "iou": event["iou"]}
        except WorkerError as error:
            print(f"{key}: {error}", file=sys.stderr)
            return []
    print(json.dumps(key | {"miou": round(row["miou"], 4)}), flush=True)
    with (options.out / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return [row]


def paired(
    rows: Sequence[Mapping[str, Any]], one: str, other: str, pairs: int
) -> tuple[float, float, int]:
    """Return the mean difference of two learners over the folds that both have.

    Returns:
        The mean, half of its 95 % interval by Student's t (NaN of fewer than two
        folds), and the number of folds.
    """
    scores = {
        (row["learner"], row["fold"]): row["miou"]
        for row in rows
        if row["pairs"] == pairs
    }
    folds = {fold for learner, fold in scores if learner == one}
    folds &= {fold for learner, fold in scores if learner == other}
    gaps = [scores[one, fold] - scores[other, fold] for fold in sorted(folds)]
    if len(gaps) < 2:
        return (gaps[0] if gaps else math.nan), math.nan, len(gaps)
    factor = _STUDENT.get(len(gaps), 2.3) / math.sqrt(len(gaps))
    return statistics.fmean(gaps), factor * statistics.stdev(gaps), len(gaps)


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print mean scores, and how far `fast` is ahead of each other learner."""
    learners = [name for name in LEARNERS if any(r["learner"] == name for r in rows)]
    counts = sorted({row["pairs"] for row in rows})
    print(f"\n{'pairs':>6}" + "".join(f"{name:>10}" for name in learners), end="")
    others = [name for name in learners if name != "fast"]
    print("".join(f"{'fast - ' + name:>26}" for name in others))
    for count in counts:
        print(f"{count:>6}", end="")
        for name in learners:
            print(f"{_mean(rows, name, count):>10.3f}", end="")
        for name in others:
            gap, half, folds = paired(rows, "fast", name, count)
            print(f"{f'{gap:+.3f} +- {half:.3f} ({folds})':>26}", end="")
        print()


def _mean(rows: Sequence[Mapping[str, Any]], learner: str, pairs: int) -> float:
    chosen = [
        row["miou"]
        for row in rows
        if row["learner"] == learner and row["pairs"] == pairs
    ]
    return statistics.fmean(chosen) if chosen else math.nan


def draw(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Draw mean and range over the folds by pairs into `learning_curves.png`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    for name in LEARNERS:
        mine = [row for row in rows if row["learner"] == name]
        counts = sorted({row["pairs"] for row in mine})
        scores = [[r["miou"] for r in mine if r["pairs"] == n] for n in counts]
        if counts:
            means = [statistics.fmean(values) for values in scores]
            (line,) = axes.plot(counts, means, marker="o", label=name)
            lows, highs = [min(v) for v in scores], [max(v) for v in scores]
            axes.fill_between(counts, lows, highs, alpha=0.1, color=line.get_color())
    axes.set(xscale="log", xlabel="training pairs", ylabel="mIoU on held-out regions")
    axes.set_xticks(sorted({row["pairs"] for row in rows}))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(folder / "learning_curves.png", dpi=150)


if __name__ == "__main__":
    main()
