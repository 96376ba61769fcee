"""How good a mask after how long: `notebook`, `fast` and others on one clean split.

Run from the project's folder: `python -m benchmarks.time_to_quality`; about an hour on
two cores. For the peer in PyTorch, first `pip install -r benchmarks/requirements.txt`.

One after the other, each in a process of its own, learn from the same training pairs of
the embedded sample and are scored on the same validation pairs, which share no ground
with them:

- `notebook`, the original's recipe (images alone, also with `--height`);
- `fast` for its minutes;
- `fast` again, with a twentieth of the time that `notebook` took;
- the pixel classifier;
- a U-Net in PyTorch for as many minutes as `fast`.

The score is the mIoU over the classes that occur, from one confusion matrix over all
validation pairs, after each epoch. The same clock for all: it starts when libraries are
loaded and the pairs lie in memory, and runs through building and compiling the network,
training, validation and what is saved. `notebook` keeps its last epoch, the others keep
their best.

Ctrl-C ends it early; what was measured until then is printed and written.
"""

import argparse
import os
import platform
import sys
from pathlib import Path

from benchmarks._curves import Curve, clock, score_text
from benchmarks._quality_report import (
    draw_curves,
    passing,
    print_curves,
    print_finals,
    print_passing,
)
from benchmarks._worker import Worker, WorkerError, stop_in_order
from terrainlib import files
from terrainlib.data.overlaps import find_overlaps
from terrainlib.data.sample import open_sample
from terrainlib.data.splits import Split, leak_free_split, random_split
from terrainlib.model.config import TrainingConfig

GOAL_SHARE = 1 / 20
_SHORTEST_MINUTES = 0.05  # that a training accepts


def main() -> None:
    """Train everything, print the tables, draw the figure, write `results.json`."""
    options = _parse()
    stop_in_order()
    split = make_split(options)
    _say(told(split))
    curves: dict[str, Curve] = {}
    try:
        for run in (_notebook, _fast, _fast_twentieth, _pixels, _torch):
            if run.__name__[1:] not in options.leave_out:
                run(options, split, curves)
    except KeyboardInterrupt:
        _say("stopped; what was measured until now:")
    report(options, split, [curve for curve in curves.values() if curve.miou])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--height", action="store_true", help="with heights as well")
    parser.add_argument("--notebook-epochs", type=int, default=50)
    parser.add_argument("--fast-minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--split",
        choices=("clean", "random"),
        default="clean",
        help="random: with shared ground on both sides, to show what that is worth",
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        choices=("notebook", "fast", "fast_twentieth", "pixels", "torch"),
        help="what not to train",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=files.cache_dir() / "time_to_quality",
        help="folder for results.json and the figure",
    )
    return parser.parse_args()


def make_split(options: argparse.Namespace) -> Split:
    """Return the split that everything is trained and scored on."""
    dataset = open_sample()
    if options.split == "random":
        return random_split(dataset.ids, seed=options.seed)
    _say("finding shared ground ...")
    counts = {pair.id: pair.counts for pair in dataset.pairs}
    overlaps = find_overlaps(dataset)
    return leak_free_split(dataset.ids, overlaps, counts, seed=options.seed)


def told(split: Split) -> str:
    """Return what is to be known about a split, in one line."""
    return (
        f"split {split.hash} ({split.method}): {len(split.train)} pairs train, "
        f"{len(split.validation)} validate; {split.leak}"
    )


def _notebook(
    options: argparse.Namespace, split: Split, curves: dict[str, Curve]
) -> None:
    size = {"image_size": fast_config(options, 1.0).network.image_size}  # one score
    config = TrainingConfig.preset(
        "notebook", network=size, epochs=options.notebook_epochs, seed=options.seed
    )
    curve = curves["notebook"] = Curve("notebook", keeps_best=False)
    follow(curve, "benchmarks._quality_ours", config, split)


def _fast(options: argparse.Namespace, split: Split, curves: dict[str, Curve]) -> None:
    minutes = options.fast_minutes
    curve = curves["fast"] = Curve(f"fast, {minutes:g} min", keeps_best=True)
    config = fast_config(options, minutes)
    follow(curve, "benchmarks._quality_ours", config, split)


def _fast_twentieth(
    options: argparse.Namespace, split: Split, curves: dict[str, Curve]
) -> None:
    notebook = curves.get("notebook")
    if notebook is None or not notebook.miou:
        return
    exact = notebook.total * GOAL_SHARE / 60
    minutes = max(_SHORTEST_MINUTES, exact)
    curve = curves["fast_twentieth"] = Curve("fast, 1/20", keeps_best=True)
    curve.note = f"its budget is {60 * minutes:.1f} s"
    if minutes > exact:
        curve.note += f", the shortest that is accepted (1/20 is {60 * exact:.1f} s)"
    config = fast_config(options, minutes)
    follow(curve, "benchmarks._quality_ours", config, split)


def _pixels(
    options: argparse.Namespace, split: Split, curves: dict[str, Curve]
) -> None:
    curve = curves["pixels"] = Curve("pixel classifier", keeps_best=False)
    config = fast_config(options, options.fast_minutes)
    follow(curve, "benchmarks._quality_pixels", config, split)


def _torch(options: argparse.Namespace, split: Split, curves: dict[str, Curve]) -> None:
    minutes = options.fast_minutes
    curve = curves["torch"] = Curve(f"PyTorch, {minutes:g} min", keeps_best=True)
    config = fast_config(options, minutes)
    follow(curve, "benchmarks._quality_torch", config, split)


def fast_config(options: argparse.Namespace, minutes: float) -> TrainingConfig:
    """Return preset `fast` with a budget."""
    network = {"height": options.height}
    return TrainingConfig.preset(
        "fast", network=network, minutes=minutes, seed=options.seed
    )


def follow(curve: Curve, module: str, config: TrainingConfig, split: Split) -> None:
    """Run a worker and fill its curve; one that fails leaves a note and the rest on."""
    told = {"config": config.to_dict(), "split": split.to_dict()}
    _say(f"{curve.name} ...")
    curve.stopped = True
    with Worker(module, told) as worker:
        try:
            for event in worker.events():
                if "done" in event:
                    curve.parameters = event.get("parameters", 0)
                    curve.iou = event["iou"]
                    curve.note = event.get("note", curve.note)
                    break
                curve.seconds.append(event["seconds"])
                curve.miou.append(event["miou"])
                when, score = clock(event["seconds"]), score_text(event["miou"])
                _say(f"{curve.name}  epoch {event['epoch']}  {when}  mIoU {score}")
        except WorkerError as error:
            _say(f"{curve.name}: {error}")
            return
    curve.stopped = False


def report(options: argparse.Namespace, split: Split, curves: list[Curve]) -> None:
    """Print and write what was measured."""
    if not curves:
        raise SystemExit("nothing was measured.")
    notebook = next((curve for curve in curves if curve.name == "notebook"), None)
    channels = "image and height" if options.height else "image alone"
    print(f"\n{channels}, seed {options.seed}, {os.cpu_count()} cores; {told(split)}")
    print_curves(curves)
    print_finals(curves)
    ours = [curve for curve in curves if curve.name.startswith("fast")]
    print()
    for curve in ours if notebook else []:
        print_passing(curve, notebook or curve)
    options.out.mkdir(parents=True, exist_ok=True)
    draw_curves(curves, notebook or curves[0], options.out)
    result = {
        "options": {key: str(value) for key, value in vars(options).items()},
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "split": split.to_dict(),
        "fast": fast_config(options, options.fast_minutes).to_dict(),
        "curves": [curve.to_dict() for curve in curves],
        "passing": {curve.name: passing(curve, notebook) for curve in ours if notebook},
    }
    files.write_json(options.out / "results.json", result)
    print(f"\nwritten: results.json, curves.png and curves.svg in {options.out}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
