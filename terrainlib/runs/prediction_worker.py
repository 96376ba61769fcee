"""The process that predicts: `python -m terrainlib.runs.prediction_worker JOB_DIR`.

It is started by `predictions`, writes only into its folder and that of the results, and
ends when it is done, when the file `stop` appears or when it gets SIGTERM.
"""

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from terrainlib.runs import working
from terrainlib.runs.status import STOP_FILE


def main(arguments: list[str] | None = None) -> int:
    """Do the prediction named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m terrainlib.runs.prediction_worker")
    parser.add_argument("job_dir", type=Path, help="folder made by create_prediction")
    options = parser.parse_args(arguments)
    working.begin()

    def predict(asked: Callable[[], bool]) -> str:
        from terrainlib.runs.jobs.predict import run_prediction

        job_dir: Path = options.job_dir
        job = run_prediction(job_dir, should_stop=asked)
        with suppress(OSError):
            (job_dir / STOP_FILE).unlink(missing_ok=True)
        return f"{job.state}. {job.message}"

    return working.work(predict)


if __name__ == "__main__":
    working.leave(main())
