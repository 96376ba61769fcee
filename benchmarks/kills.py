"""Kill trainings at random moments and look at what is left.

Run from the project's folder: `python -m benchmarks.kills --kills 200`; about eight
seconds a kill on two cores.

A small training on fourteen tiles of the embedded sample is first run undisturbed. Then
workers of the same training get SIGKILL at random moments and are resumed until the
training is finished, again and again. After each kill every file of the run folder is
read to its end, and the checkpoint must be as new as the last epoch in `metrics.csv`:
nothing but the running epoch is lost. Each training that ends must have the weights of
the undisturbed one, bit for bit.
"""

import argparse
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks._small_training import small_training
from benchmarks._worker import stop_in_order
from terrainlib.errors import TerrainError
from terrainlib.model.modelfile import load_model
from terrainlib.model.reading.hdf5 import checksum, weights_of
from terrainlib.runs import launcher
from terrainlib.runs.folder import MODEL_FILE, Run, log_tail, read_run
from terrainlib.runs.process import find_process, read_process
from terrainlib.runs.training.config import RunConfig
from tests.faults.oracle import require_whole

_LOOK_SECONDS = 0.005
_LONGEST_SECONDS = 300.0


@dataclass
class Tally:
    """What the kills did.

    Attributes:
        kills: Workers that were killed.
        moments: What their status said at that moment, and how often.
        destroyed: What was found torn or missing, one line each.
        finished: Trainings that ended.
        different: How many of them had other weights than the undisturbed one.
    """

    kills: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    destroyed: list[str] = field(default_factory=list)
    finished: int = 0
    different: int = 0


def main() -> None:
    """Kill as often as is asked, print a line a kill and the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=12, help="of a training")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    stop_in_order()
    with tempfile.TemporaryDirectory(prefix="terrain-kills-") as home:
        os.environ["TERRAINLIB_HOME"] = home
        config = small_training(Path(home) / "tiles", options.epochs)
        tally = kill_often(config, options.kills, random.Random(options.seed))
    _print(tally)
    if tally.destroyed or tally.different:
        raise SystemExit(1)


def kill_often(config: RunConfig, kills: int, moments: random.Random) -> Tally:
    """Train undisturbed once, then kill workers `kills` times and look each time."""
    tally = Tally()
    path = launcher.start_run(config)
    _wait_for_work(path)
    begun = time.monotonic()
    _wait_for_end(path)
    seconds = time.monotonic() - begun
    expected = _hash(path)
    print(f"undisturbed: {seconds:.1f} s of work, weights {expected[:16]}", flush=True)
    while tally.kills < kills:
        path = launcher.start_run(config)
        while tally.kills < kills and not _survives(path, moments.uniform(0, seconds)):
            _look(path, tally)
            launcher.resume(path)
        if read_run(path).state != "finished":  # the last kill; let it end
            _wait_for_end(path)
        tally.finished += 1
        if _hash(path) != expected:
            tally.different += 1
        shutil.rmtree(path)
    return tally


def _survives(path: Path, seconds: float) -> bool:
    """Kill the worker after so much work; return whether it had ended well by then."""
    _wait_for_work(path)
    end = time.monotonic() + seconds
    while time.monotonic() < end and read_run(path).active:
        time.sleep(_LOOK_SECONDS)
    process = find_process(read_process(path))
    if process is not None and read_run(path).active:
        process.kill()
        process.wait(10)
    return read_run(path).state == "finished"


def _look(path: Path, tally: Tally) -> None:
    """Look at what a killed worker left, and note it."""
    tally.kills += 1
    run = read_run(path)
    tally.moments[_moment(run)] += 1
    try:
        require_whole(path)
        found = "whole"
    except (AssertionError, OSError, ValueError, KeyError, TerrainError) as error:
        found = f"{type(error).__name__}: {error}"
        tally.destroyed.append(found)
    print(f"kill {tally.kills}: {run.state}, {run.place_text}, {found}", flush=True)


def _moment(run: Run) -> str:
    """Return what a worker was doing."""
    return run.status.message.partition(":")[0] or "training"


def _wait_for_work(path: Path) -> None:
    """Wait until a worker has loaded what it needs and trains, or is at its end."""
    end = time.monotonic() + _LONGEST_SECONDS
    while read_run(path).state == "starting":
        _require_time(path, end)


def _wait_for_end(path: Path) -> None:
    """Wait until a training has finished."""
    end = time.monotonic() + _LONGEST_SECONDS
    while (run := read_run(path)).active:
        _require_time(path, end)
    if run.state != "finished":
        raise SystemExit(f"the training {run.state}: {run.message}\n{log_tail(path)}")


def _require_time(path: Path, end: float) -> None:
    if time.monotonic() > end:
        raise SystemExit(f"the training does not go on.\n{log_tail(path)}")
    time.sleep(_LOOK_SECONDS)


def _hash(path: Path) -> str:
    """Return the checksum of the weights of a run's model."""
    return checksum(weights_of(load_model(path / MODEL_FILE).network))


def _print(tally: Tally) -> None:
    print(f"\n{tally.kills} kills; what the workers were doing:")
    for moment, count in tally.moments.most_common():
        print(f"  {count:4d}  {moment}")
    print(f"{len(tally.destroyed)} times something was torn or lost")
    for line in tally.destroyed:
        print(f"  {line}")
    print(
        f"{tally.finished} trainings finished; {tally.different} with other weights "
        "than the undisturbed one"
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("stopped; nothing was kept.") from None
