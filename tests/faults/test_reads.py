"""Files that cannot be read while a training runs, or have become torn before it."""

import errno
import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from terrainlib.errors import TerrainError
from terrainlib.model.learning import checkpoint
from terrainlib.runs.folder import CHECKPOINTS, METRICS_FILE, read_run
from terrainlib.runs.launcher import mark_starting
from terrainlib.runs.status import RunStatus
from terrainlib.runs.training.train import run_training
from tests.conftest import more
from tests.faults.disk import READS, FailingDisk
from tests.faults.oracle import require_equal, require_whole, saved_weights
from tests.faults.small_runs import Undisturbed, new_run, require_it_goes_on, train
from tests.models import KERAS_COPY_WARNING

pytestmark = [
    pytest.mark.filterwarnings(KERAS_COPY_WARNING),
    pytest.mark.usefixtures("same_home"),
]


@pytest.fixture(scope="module")
def stopped_once(undisturbed: Undisturbed) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAINLIB_HOME", str(undisturbed.home))
        path = new_run(undisturbed.data)
        run_training(
            path,
            pixel_score=False,
            should_stop=lambda: read_run(path).status.epoch >= 2,
        )
    assert len(checkpoint.epochs_saved(path / CHECKPOINTS)) == 2
    return path


@pytest.fixture
def stopped(stopped_once: Path) -> Path:
    """Return a run that was stopped when two epochs were over."""
    target = stopped_once.with_name(f"{stopped_once.name}-{uuid4().hex}")
    return Path(shutil.copytree(stopped_once, target))


@pytest.mark.parametrize("share", [0.6, *more(0.0, 0.3, 1.0)])
def test_a_read_that_fails_once_harms_no_file(
    undisturbed: Undisturbed, share: float
) -> None:
    path = new_run(undisturbed.data)
    first = max(1, round(share * undisturbed.reads))
    with FailingDisk(first, many=1, number=errno.EIO, operations=READS):
        train(path)

    assert read_run(path).state in ("starting", "failed", "finished")
    require_whole(path)
    require_it_goes_on(path, undisturbed)


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(
    undisturbed: Undisturbed, stopped: Path
) -> None:
    newest = checkpoint.epochs_saved(stopped / CHECKPOINTS)[-1]
    newest.write_bytes(newest.read_bytes()[:-10])

    mark_starting(read_run(stopped))
    run_training(stopped, resume=True, pixel_score=False)

    assert read_run(stopped).state == "finished"
    require_equal(saved_weights(stopped), undisturbed.weights)
    assert read_run(stopped).metrics["epoch"].tolist() == [1, 2, 3]


def test_a_row_lost_between_checkpoint_and_table_is_back_before_the_next_one(
    stopped: Path,
) -> None:
    table = stopped / METRICS_FILE
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join(lines[:-1]))  # killed after the checkpoint of epoch 2
    rows: list[list[int]] = []

    def watch(_status: RunStatus) -> None:
        rows.append([*read_run(stopped).metrics["epoch"]])

    mark_starting(read_run(stopped))
    run_training(stopped, resume=True, pixel_score=False, on_progress=watch)

    assert all(epochs == list(range(1, len(epochs) + 1)) for epochs in rows)
    assert rows[-1] == [1, 2, 3]


def test_with_all_checkpoints_torn_a_resume_is_refused_and_deletes_nothing(
    stopped: Path,
) -> None:
    saved = checkpoint.epochs_saved(stopped / CHECKPOINTS)
    for path in saved:
        path.write_bytes(b"torn")

    mark_starting(read_run(stopped))
    with pytest.raises(TerrainError, match="all checkpoints of this run are damaged"):
        run_training(stopped, resume=True, pixel_score=False)

    assert read_run(stopped).state == "failed"
    assert checkpoint.epochs_saved(stopped / CHECKPOINTS) == saved
    assert read_run(stopped).model is not None
