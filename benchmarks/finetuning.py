"""What starting from a model is worth: few pairs, from its weights and from nothing.

Run from the project's folder, alone on the machine:
`python -m benchmarks.finetuning DATA [--pairs 20] [--seeds 3] [--out DIR]`.

DATA is divided so that no validation pair shares ground with a training pair; all
trainings learn from the same pairs and are scored after each epoch on the same
validation pairs, at their working size. The clock starts when the pairs lie in memory.
`--variants` are `START:MINUTES:SIZE`: a model or `nothing`, the budget, the working
size of the median image in px (`auto` for what `train` takes).
"""

import argparse
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks._curves import Curve
from benchmarks._quality_report import draw_curves, print_curves, print_finals
from terrainlib import files
from terrainlib.data.cache import build_cache
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.overlaps import find_overlaps
from terrainlib.data.splits import Split, leak_free_split
from terrainlib.model.automatic import TrainingData, choose
from terrainlib.model.learning.epochs import train
from terrainlib.model.learning.reports import EpochLog, Predict, TrainingHooks
from terrainlib.model.machine import Machine
from terrainlib.model.modelfile import load_model
from terrainlib.model.start import RATE_SHARE

NOTHING = "nothing"
_HELD_OUT = 0.3  # of the pairs
VARIANTS = ("default:1:auto", "nothing:1:auto", "nothing:3:auto", "nothing:6:auto")


def main() -> None:
    """Train every variant with every seed, print the tables and draw the curves."""
    options = _parse()
    dataset = open_dataset(options.data)
    split = _few(_clean_split(dataset), options.pairs)
    print(f"{len(split.train)} pairs, {len(split.validation)} to validate on")
    curves = []
    for variant in options.variants:
        for seed in range(options.seeds):
            curves.append(_trained(dataset, split, variant, seed))
            last = curves[-1]
            print(
                f"{last.name}: best {last.best:.3f}, last {last.final:.3f}", flush=True
            )
    print_curves(curves)
    print_finals(curves)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        files.write_json(
            options.out / "results.json", {"curves": [c.to_dict() for c in curves]}
        )
        draw_curves(curves, curves[0], options.out)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the data set")
    parser.add_argument("--pairs", type=int, default=20, help="to learn from")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for figure and results.json")
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    return parser.parse_args()


def _clean_split(dataset: Dataset) -> Split:
    """Hold out more pairs than a training does: of few, each counts."""
    counts = {pair.id: pair.counts for pair in dataset.pairs}
    overlaps = find_overlaps(dataset)
    return leak_free_split(dataset.ids, overlaps, counts, share=_HELD_OUT)


def _few(split: Split, count: int) -> Split:
    """Return the split with some of its training pairs, the rest left out."""
    count = min(count, len(split.train))
    train = tuple(sorted(random.Random(0).sample(split.train, count)))
    return replace(split, train=train)


def _trained(dataset: Dataset, split: Split, variant: str, seed: int) -> Curve:
    """Train one variant and return its scores over time."""
    name, minutes, size = variant.split(":")
    start = None if name == NOTHING else load_model(name)
    network = {"classes": len(dataset.classes)}
    if size != "auto":
        network["image_size"] = int(size)
    config = choose(
        "fast",
        TrainingData.of(dataset),
        Machine.here(),
        network=network,
        minutes=float(minutes),
        seed=seed,
    ).config
    if start is not None:
        config = replace(config, learning_rate=config.learning_rate * RATE_SHARE)
    cache = build_cache(dataset, config.network.image_size)
    words = f"from {name}, {minutes} min, {config.network.image_size} px"
    curve = Curve(words, keeps_best=True)
    begun = time.monotonic()

    def report(log: EpochLog, _predict: Predict) -> None:
        curve.seconds.append(time.monotonic() - begun)
        curve.miou.append(log.val_miou)

    with tempfile.TemporaryDirectory(prefix="terrain-benchmark-") as folder:
        train(
            config,
            cache.subset(split.train),
            cache.subset(split.validation),
            classes=dataset.classes,
            checkpoints=Path(folder),
            hooks=TrainingHooks(on_epoch=report),
            start=start,
        )
    return curve


if __name__ == "__main__":
    main()
