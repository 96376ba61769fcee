"""How the lines of `train.log` look."""

import logging
import time


def formatter() -> logging.Formatter:
    """Return the form of a line: time in UTC, level, message."""
    form = logging.Formatter(
        "%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%SZ"
    )
    form.converter = time.gmtime
    return form
