"""A judged recipe trained once more: on all pairs, with the clean run's scores."""

from dataclasses import replace
from pathlib import Path

import pytest

from terrainlib.errors import RunError
from terrainlib.model.config import TrainingConfig
from terrainlib.model.modelfile import load_model, read_record
from terrainlib.runs.folder import create_run, read_run
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.lasttraining import main, train_on_all
from terrainlib.runs.training.train import run_training
from tests.models import KERAS_COPY_WARNING
from tests.synthetic import write_kaggle_dataset

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def finished(home: Path) -> Path:
    data = write_kaggle_dataset(home / "tiny", pairs=8)
    network = {"image_size": 32, "filters": (4, 8), "classes": 7}
    training = TrainingConfig.preset(
        "fast", network=network, epochs=2, batch_size=2, validation_share=0.5
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAINLIB_HOME", str(home))
        path = create_run(RunConfig("Clean", str(data), training))
        return run_training(path, resume=False, pixel_score=False).path


def test_the_model_has_seen_all_pairs_and_keeps_the_clean_scores(
    finished: Path, tmp_path: Path
) -> None:
    clean = read_record(finished / "model.keras")
    model = tmp_path / "last.keras"
    arguments = [str(finished), str(model), "--name", "last", "--note", "A note."]

    assert main(arguments) == 0

    record = load_model(model).record
    assert clean is not None
    assert record.final is not None
    assert (record.final["pairs"], record.final["epochs"]) == (8, 2)
    assert record.name == "last"
    assert "A note." in record.notes
    assert record.statistics["images"] == 8  # all, as it trained on all
    kept = ("scores", "confusion", "split", "temperature", "classes", "config")
    for field in kept:
        assert getattr(record, field) == getattr(clean, field)
    before = load_model(finished).network.get_weights()
    after = load_model(model).network.get_weights()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_a_run_that_has_not_finished_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAINLIB_HOME", str(home))
        training = TrainingConfig.preset("fast", epochs=1)
        path = create_run(RunConfig("Idle", str(home / "tiny"), training))

    with pytest.raises(RunError, match="has not finished with a model"):
        train_on_all(path, tmp_path / "last.keras", name="last")

    assert not list(tmp_path.iterdir())


def test_changed_data_are_refused(finished: Path, home: Path, tmp_path: Path) -> None:
    extra = home / "tiny" / "9999_t.png"
    extra.write_bytes(next((home / "tiny").glob("*_t.png")).read_bytes())
    mask = next((home / "tiny").glob("*_i2.png")).read_bytes()
    (home / "tiny" / "9999_i2.png").write_bytes(mask)

    with pytest.raises(RunError, match="trained on other files"):
        train_on_all(finished, tmp_path / "last.keras", name="last")

    assert replace(read_run(finished).status, message="").state == "finished"
