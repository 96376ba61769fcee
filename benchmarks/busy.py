"""Train on a busy machine: at first on a fresh home, then again on the same one.

Run from the project's folder: `python -m benchmarks.busy --minutes 1`; two trainings.

Processes that do nothing but take the processor run beside both. The first training has
everything to find out (files, shared ground, pairs, the score of the pixel classifier),
the second finds it in the cache. None of that may cost the first one steps of its
budget: both are to do the same number, within a tenth.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from benchmarks._worker import stop_in_order
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import create_run
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.stages import FIRST_EPOCH
from terrainlib.runs.worker import NICENESS

TOLERANCE = 0.1
_LINE = "{:<8} {:>10} {:>14} {:>8} {:>8} {:>8}"


def main() -> None:
    """Train twice and print a line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--beside", type=int, default=2, help="busy processes")
    parser.add_argument("--data", type=Path, default=SAMPLE_DIR)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is not None:
        _train(options.run)
        return
    stop_in_order()
    print(_LINE.format("home", "left to it", "before, s", "steps", "epochs", "mIoU"))
    with tempfile.TemporaryDirectory(prefix="terrain-busy-") as home:
        os.environ["TERRAINLIB_HOME"] = home
        with _busy(options.beside):
            fresh, used = (
                _measured(name, options.data, options.minutes)
                for name in ("fresh", "used")
            )
    ratio = fresh["steps"] / used["steps"]
    print(f"\nsteps on the fresh home, of those on the used one: {ratio:.2f}")
    if abs(ratio - 1) > TOLERANCE:
        raise SystemExit(1)


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keep as many processes busy while the block lasts."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _spin() -> None:
    while True:
        pass


def _measured(name: str, data: Path, minutes: float) -> dict[str, Any]:
    training = TrainingConfig.preset("fast", minutes=minutes)
    path = create_run(RunConfig(name, str(data), training))
    command = [sys.executable, "-m", "benchmarks.busy", "--run", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    facts = (f"{found['free']:.0%}", f"{found['before']:.1f}", found["steps"])
    print(_LINE.format(name, *facts, found["epochs"], f"{found['miou']:.3f}"))
    return found


def _train(path: Path) -> None:
    """Train as a worker does, count the steps and print what was found."""
    from terrainlib.model.learning.schedule import Plan
    from terrainlib.runs.training.train import run_training

    os.nice(NICENESS)
    advance, steps = Plan.advance, []

    def counted(plan: Plan) -> None:
        steps.append(1)
        advance(plan)

    Plan.advance = counted  # type: ignore[method-assign, assignment]
    status = run_training(path).status
    early = takewhile(lambda stage: stage.name != FIRST_EPOCH, status.stages)
    found = {
        "free": status.free_share or 0.0,
        "before": sum(stage.seconds or 0.0 for stage in early),
        "steps": len(steps),
        "epochs": status.epoch,
        "miou": status.best_miou or 0.0,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
