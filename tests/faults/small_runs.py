"""Small trainings to disturb, and the undisturbed one that they are compared with."""

from dataclasses import dataclass
from pathlib import Path

from terrainlib.errors import TerrainError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import create_run, read_run
from terrainlib.runs.launcher import mark_starting
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.train import run_training
from tests.faults.oracle import Weights, require_equal, require_whole, saved_weights


@dataclass(frozen=True)
class Undisturbed:
    """What a training on a good disk asked of it, and what it gave."""

    home: Path
    data: Path
    writes: int
    reads: int
    weights: Weights


def new_run(data: Path) -> Path:
    """Make a run of three epochs on six pairs."""
    network = {"image_size": 32, "filters": (4, 8), "classes": 7}
    training = TrainingConfig.preset(
        "fast", network=network, epochs=3, batch_size=2, validation_share=0.5
    )
    return create_run(RunConfig("Faults", str(data), training))


def train(path: Path, *, resume: bool = False) -> str:
    """Train, and return the sentence that it ended with; none for a good end."""
    try:
        run_training(path, resume=resume, pixel_score=False)
    except TerrainError as error:
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
