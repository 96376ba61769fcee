"""The process that trains: `python -m terrainlib.runs.worker RUN_DIR [--resume]`.

It is started by `launcher`, writes only into its run folder, and ends when it is done,
when the file `stop` appears there or when it gets SIGTERM.
"""

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from terrainlib.runs import working
from terrainlib.runs.status import STOP_FILE


def main(arguments: list[str] | None = None) -> int:
    """Train the run named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m terrainlib.runs.worker")
    parser.add_argument("run_dir", type=Path, help="folder made by create_run")
    parser.add_argument("--resume", action="store_true", help="go on from a checkpoint")
    options = parser.parse_args(arguments)
    working.begin()

    def train(asked: Callable[[], bool]) -> str:
        from terrainlib.runs.training.train import run_training

        run_dir: Path = options.run_dir
        run = run_training(run_dir, resume=options.resume, should_stop=asked)
        with suppress(OSError):
            (run_dir / STOP_FILE).unlink(missing_ok=True)
        return f"{run.state}. {run.message}"

    return working.work(train)


if __name__ == "__main__":
    working.leave(main())
