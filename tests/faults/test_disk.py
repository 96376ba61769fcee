"""A training on a disk that fails: old files stay whole, and it can go on later."""

import errno
from dataclasses import dataclass
from pathlib import Path

import pytest

from terrainlib.errors import StorageError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import RunConfig, create_run, read_run
from terrainlib.runs.job import run_training
from terrainlib.runs.launcher import mark_starting
from tests.faults.disk import FailingDisk
from tests.faults.oracle import Weights, require_equal, require_whole, saved_weights
from tests.models import KERAS_COPY_WARNING
from tests.synthetic import write_kaggle_dataset

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of all operations

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)


@dataclass(frozen=True)
class Undisturbed:
    """What a training on a good disk asked of it, and what it gave."""

    home: Path
    data: Path
    operations: int
    weights: Weights


def new_run(data: Path) -> Path:
    network = {"image_size": 32, "filters": (4, 8), "classes": 7}
    training = TrainingConfig.preset(
        "fast", network=network, epochs=3, batch_size=2, validation_share=0.5
    )
    return create_run(RunConfig("Faults", str(data), training))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAINLIB_HOME", str(home))
        data = write_kaggle_dataset(home / "tiny", pairs=6)
        run_training(new_run(data), yardstick=False)  # fills the caches
        path = new_run(data)
        with FailingDisk() as disk:
            run_training(path, yardstick=False)
        return Undisturbed(home, data, disk.count, saved_weights(path))


@pytest.fixture(autouse=True)
def same_home(undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAINLIB_HOME", str(undisturbed.home))


def test_the_disk_is_asked_often_enough_to_be_tested(undisturbed: Undisturbed) -> None:
    assert undisturbed.operations > 40


@pytest.mark.parametrize("share", SHARES)
def test_a_full_disk_ends_a_training_in_words_and_it_goes_on_later(
    undisturbed: Undisturbed, share: float
) -> None:
    path = new_run(undisturbed.data)
    with FailingDisk(operation_at(share, undisturbed)) as disk:
        sentence = train(path)

    assert disk.failed
    assert "No space left on the disk" in sentence or not sentence
    require_whole(path)
    require_it_goes_on(path, undisturbed)


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
@pytest.mark.parametrize("share", [0.15, 0.45, 0.85])
def test_one_failure_harms_no_file(
    undisturbed: Undisturbed, share: float, number: int
) -> None:
    path = new_run(undisturbed.data)
    first = operation_at(share, undisturbed)
    with FailingDisk(first, many=1, number=number) as disk:
        sentence = train(path)

    assert disk.failed == 1
    assert read_run(path).state == ("failed" if sentence else "finished")
    require_whole(path)
    require_it_goes_on(path, undisturbed)


def operation_at(share: float, undisturbed: Undisturbed) -> int:
    """Return the number of the operation at a share of a whole training."""
    return max(1, round(share * undisturbed.operations))


def train(path: Path, *, resume: bool = False) -> str:
    """Train, and return the sentence that it ended with; none for a good end."""
    try:
        run_training(path, resume=resume, yardstick=False)
    except StorageError as error:
        return str(error)
    return ""


def require_it_goes_on(path: Path, undisturbed: Undisturbed) -> None:
    """Fail unless a run ends with the weights of an undisturbed one."""
    run = read_run(path)
    if run.state != "finished":
        mark_starting(run)
        assert train(path, resume=True) == ""
    require_whole(path)
    assert read_run(path).state == "finished"
    require_equal(saved_weights(path), undisturbed.weights)
