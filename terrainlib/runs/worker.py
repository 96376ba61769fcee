"""The process that trains: `python -m terrainlib.runs.worker RUN_DIR [--resume]`.

It is started by `launcher`, writes only into its run folder, and ends when it is done,
when the file `stop` appears there or when it gets SIGTERM.
"""

import argparse
import faulthandler
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from terrainlib.errors import TerrainError
from terrainlib.runs.logs import formatter
from terrainlib.runs.signals import stop_requested_by_signals
from terrainlib.runs.status import STOP_FILE

NICENESS = 5
_logger = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Train the run named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m terrainlib.runs.worker")
    parser.add_argument("run_dir", type=Path, help="folder made by create_run")
    parser.add_argument("--resume", action="store_true", help="go on from a checkpoint")
    options = parser.parse_args(arguments)
    faulthandler.enable()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    with suppress(OSError):
        os.nice(NICENESS)
    return _train(options.run_dir, options.resume)


def _train(run_dir: Path, resume: bool) -> int:
    """Run the job, which writes every end of it into the status."""
    _logger.info("worker %d begins", os.getpid())
    try:
        from terrainlib.runs.job import run_training

        with stop_requested_by_signals() as asked:
            run = run_training(run_dir, resume=resume, should_stop=asked)
    except TerrainError as error:
        _logger.info("worker %d ends with status %d", os.getpid(), error.exit_status)
        return error.exit_status
    except Exception:
        _logger.exception("worker %d failed", os.getpid())
        return 1
    with suppress(OSError):
        (run_dir / STOP_FILE).unlink(missing_ok=True)
    _logger.info("worker %d ends: %s. %s", os.getpid(), run.state, run.message)
    return 0


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a library that fails on its way out must not change the ending
