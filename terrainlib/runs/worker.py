"""The process of a worker: `python -m terrainlib.runs.worker FOLDER`.

With `--resume` it goes on with a training from its last checkpoint. It is started by
`launcher` and waits for its turn. It writes only into its folder, that of a
prediction's results and the cache, and ends when it is done, when the file `stop`
appears there or when it gets SIGTERM.
"""

import argparse
import faulthandler
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from terrainlib.errors import TerrainError
from terrainlib.rights import work_as_told
from terrainlib.runs.folder import WorkerFolder, formatter
from terrainlib.runs.process import stop_requested_by_signals
from terrainlib.runs.status import JOB, SEARCH, STOP_FILE, work_of

NICENESS: Final = 5
_logger = logging.getLogger("terrainlib.runs.worker")


def main(arguments: list[str] | None = None) -> int:
    """Do the work of the folder named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m terrainlib.runs.worker")
    parser.add_argument("folder", type=Path, help="a run or job that was created")
    parser.add_argument("--resume", action="store_true", help="go on from a checkpoint")
    options = parser.parse_args(arguments)
    _begin()
    work_as_told()
    _logger.info("worker %d begins", os.getpid())
    try:
        with stop_requested_by_signals() as asked:
            done = _work(options.folder, asked, resume=options.resume)
    except TerrainError as error:  # the status says what was wrong
        _logger.info("worker %d ends with status %d", os.getpid(), error.exit_status)
        return error.exit_status
    except Exception:
        _logger.exception("worker %d failed", os.getpid())
        return 1
    with suppress(OSError):
        (done.path / STOP_FILE).unlink(missing_ok=True)
    _logger.info("worker %d ends: %s. %s", os.getpid(), done.state, done.message)
    return 0


def _begin() -> None:
    """Log to standard error, and let the programs in front of people go first."""
    faulthandler.enable()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    with suppress(OSError):
        os.nice(NICENESS)


def _work(path: Path, asked: Callable[[], bool], *, resume: bool) -> WorkerFolder:
    work = work_of(path)
    if work is JOB:
        from terrainlib.runs.jobs.predict import run_job

        return run_job(path, wait=True, should_stop=asked)
    if work is SEARCH:
        from terrainlib.runs.searches.search import run_search

        return run_search(path, wait=True, should_stop=asked)
    from terrainlib.runs.training.train import run_training

    return run_training(path, resume=resume, wait=True, should_stop=asked)


def leave(code: int) -> NoReturn:
    """End the process; a library that fails on its way out must not change that."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
