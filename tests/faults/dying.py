"""A training that dies at a chosen write: `python -m tests.faults.dying RUN_DIR N`.

It counts what it asks of the disk as `FailingDisk` does, and in place of the N-th
operation it gets SIGKILL, so that nothing is tidied up.
"""

import os
import signal
import sys
from pathlib import Path

from terrainlib.runs.training.train import run_training
from tests.faults.disk import FailingDisk


class DeadlyDisk(FailingDisk):
    """A disk at whose chosen operation the process dies."""

    def fail(self) -> None:
        """End this process at once."""
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with DeadlyDisk(int(sys.argv[2])):
        run_training(Path(sys.argv[1]), pixel_score=False)
