"""Workers that are killed: at a chosen write, and at random moments."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._small_training import small_training
from benchmarks.kills import kill_often
from terrainlib.runs.folder import read_run
from terrainlib.runs.process import child_environment
from tests.conftest import more
from tests.faults.oracle import require_whole
from tests.faults.small_runs import Undisturbed, new_run, require_it_goes_on
from tests.models import KERAS_COPY_WARNING

RANDOM_KILLS = 2  # hundreds with `python -m benchmarks.kills`

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)


@pytest.mark.usefixtures("same_home")
@pytest.mark.parametrize("share", [0.5, *more(0.9)])
def test_a_worker_that_dies_in_a_write_leaves_whole_files_and_goes_on(
    undisturbed: Undisturbed, share: float
) -> None:
    path = new_run(undisturbed.data)
    number = max(1, round(share * undisturbed.writes))
    command = [sys.executable, "-m", "tests.faults.dying", str(path), str(number)]
    died = subprocess.run(
        command, env=child_environment(), capture_output=True, check=False
    )

    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert read_run(path).state in ("crashed", "finished")  # dead after its last word
    require_whole(path)
    require_it_goes_on(path, undisturbed)


@pytest.mark.exhaustive
def test_kills_at_random_moments_destroy_nothing(tmp_path: Path) -> None:
    config = small_training(tmp_path / "tiles", epochs=6)

    tally = kill_often(config, RANDOM_KILLS, random.Random(3))

    assert tally.kills == RANDOM_KILLS
    assert tally.destroyed == []
    assert tally.finished
    assert tally.different == 0
