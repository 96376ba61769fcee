"""Press Start in several sessions at the same moment, again and again.

Run from the project's folder: `python -m benchmarks.double_starts --rounds 50`; two to
three seconds a round.

Each session is a process of its own, as two servers or a server and a command line
would be. In every round they wait for each other and then start a training of the same
small data set, for real. Afterwards there must be one run folder and one worker, and
every other session must have been refused with the sentence that says so.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psutil

from benchmarks._small_training import small_training
from benchmarks._worker import stop_in_order
from terrainlib.errors import TerrainError
from terrainlib.runs import launcher
from terrainlib.runs.folder import list_runs
from terrainlib.runs.status import RUN
from terrainlib.runs.training.config import RunConfig

REFUSAL = "A training is already running"
_ANSWER_SECONDS = 120.0


def main() -> None:
    """Race as often as is asked, print a line a round and the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--sessions", type=int, default=2)
    options = parser.parse_args()
    stop_in_order()
    singles = 0
    with tempfile.TemporaryDirectory(prefix="terrain-starts-") as home:
        os.environ["TERRAINLIB_HOME"] = home
        config = small_training(Path(home) / "tiles", epochs=1000)
        with _sessions(config, options.sessions) as pipes:
            for number in range(1, options.rounds + 1):
                found = _race(pipes)
                singles += found is None
                print(f"round {number}: {found or 'one training'}", flush=True)
    print(
        f"\n{options.rounds} starts by {options.sessions} sessions at once; "
        f"{singles} times exactly one training"
    )
    if singles < options.rounds:
        raise SystemExit(1)


@contextmanager
def _sessions(config: RunConfig, count: int) -> Iterator[list[Connection]]:
    """Run the sessions while the block lasts; yield a pipe to each."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    pipes, processes = [], []
    for _ in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=_session, args=(theirs, barrier, config))
        process.start()
        pipes.append(ours)
        processes.append(process)
    try:
        yield pipes
    finally:
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join(10)
        _end_workers()


def _session(pipe: Connection, barrier: Barrier, config: RunConfig) -> None:
    """Press Start whenever a round is called, together with the others."""
    while pipe.recv() is not None:
        barrier.wait(_ANSWER_SECONDS)
        pressed = time.monotonic()
        try:
            answer: Any = str(launcher.start_run(config))
        except TerrainError as error:
            answer = error.message
        pipe.send((pressed, answer))


def _race(pipes: list[Connection]) -> str | None:
    """Let all sessions start at once; return what was wrong, None for nothing."""
    for pipe in pipes:
        pipe.send("start")
    answers = [pipe.recv() for pipe in pipes if pipe.poll(_ANSWER_SECONDS)]
    runs, workers = list_runs(), _workers()
    refused = sum(answer.startswith(REFUSAL) for _, answer in answers)
    _end_workers()
    for run in list_runs():
        launcher.delete(run.path, RUN)
    if (len(runs), len(workers), refused) == (1, 1, len(pipes) - 1):
        return None
    return f"{len(runs)} run folders, {len(workers)} workers, {refused} refusals"


def _workers() -> list[psutil.Process]:
    """Return the living workers of this home."""
    home = os.environ["TERRAINLIB_HOME"]
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if "terrainlib.runs.worker" in words and home in " ".join(words):
            found.append(process)
    return found


def _end_workers() -> None:
    for run in list_runs():
        if run.active:
            launcher.force_stop(run.path)
    for process in _workers():
        process.kill()
        process.wait(10)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("stopped; nothing was kept.") from None
