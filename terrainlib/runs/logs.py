"""How the lines of a worker's log look, and reading its end."""

import logging
import re
import time
from pathlib import Path

from terrainlib import files

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_CHATTER = re.compile(
    r"WARNING: All log messages before absl::InitializeLog|"
    r"[IW]\d{4} \d\d:\d\d:\d+\.|E\d{4} .* cuda_\w+\.cc:"
)


def formatter() -> logging.Formatter:
    """Return the form of a line: time in UTC, level, message."""
    form = logging.Formatter(
        "%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%SZ"
    )
    form.converter = time.gmtime
    return form


def end_of_log(path: Path, size_bytes: int = 65536) -> str:
    """Return the end of the log `path` as plain text; empty where there is none.

    What TensorFlow says of itself when it starts is left out.
    """
    try:
        with files.open_regular(path) as log:
            log.seek(0, 2)
            start = max(0, log.tell() - size_bytes)
            log.seek(start)
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    if start:
        text = text.partition("\n")[2]
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    shown = "\n".join(line for line in lines if not _CHATTER.match(line))
    return _CONTROL.sub("", shown).rstrip("\n")


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next((line for line in reversed(text.split("\n")) if line.strip()), "")
