"""The undisturbed training, made once for all faults."""

import pytest

from terrainlib.runs.training.train import run_training
from tests.faults.disk import READS, FailingDisk
from tests.faults.oracle import saved_weights
from tests.faults.small_runs import Undisturbed, new_run
from tests.synthetic import write_kaggle_dataset


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAINLIB_HOME", str(home))
        data = write_kaggle_dataset(home / "tiny", pairs=6)
        run_training(new_run(data), pixel_score=False)  # fills the caches
        path = new_run(data)
        with FailingDisk() as writes, FailingDisk(operations=READS) as reads:
            run_training(path, pixel_score=False)
        return Undisturbed(home, data, writes.count, reads.count, saved_weights(path))


@pytest.fixture
def same_home(undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAINLIB_HOME", str(undisturbed.home))
