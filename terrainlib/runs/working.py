"""What every worker process does around its work: log, low priority, clean end."""

import faulthandler
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from terrainlib.errors import TerrainError
from terrainlib.runs.folder import formatter
from terrainlib.runs.signals import stop_requested_by_signals

NICENESS: Final = 5
_logger = logging.getLogger(__name__)


def begin() -> None:
    """Log to standard error, and let the programs in front of people go first."""
    faulthandler.enable()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    with suppress(OSError):
        os.nice(NICENESS)


def work(do: Callable[[Callable[[], bool]], str]) -> int:
    """Do the work, which itself writes every end of it into its status.

    Args:
        do: Takes a function that says whether SIGTERM or Ctrl-C asked for an end, and
            returns how it ended, for the log.

    Returns:
        The exit status.
    """
    _logger.info("worker %d begins", os.getpid())
    try:
        with stop_requested_by_signals() as asked:
            end = do(asked)
    except TerrainError as error:
        _logger.info("worker %d ends with status %d", os.getpid(), error.exit_status)
        return error.exit_status
    except Exception:
        _logger.exception("worker %d failed", os.getpid())
        return 1
    _logger.info("worker %d ends: %s", os.getpid(), end)
    return 0


def leave(code: int) -> NoReturn:
    """End the process; a library that fails on its way out must not change that."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
