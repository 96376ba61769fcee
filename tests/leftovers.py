"""What a writer that was killed leaves behind."""

import subprocess
import sys
from pathlib import Path

from terrainlib import files


def dead_process() -> int:
    """Return the id of a process that has just ended."""
    return int(
        subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"],
            capture_output=True,
            check=True,
        ).stdout
    )


def left_behind(folder: Path, name: str, process: int, machine: str = "") -> Path:
    """Make the temporary file that a killed writer of `name` would leave."""
    with files.atomic_path(folder / name) as own:
        ours = own.name
        own.write_text("new")
    here, _, rest = ours.rpartition(".tmp")[0].rpartition(".")[2].partition("-")
    path = folder / f".{name}.{machine or here}-{process}-{rest.partition('-')[2]}.tmp"
    path.write_text("half")
    return path
