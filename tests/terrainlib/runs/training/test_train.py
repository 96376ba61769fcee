"""A training in this process: its end is in the folder, whatever the end is."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrainlib import files
from terrainlib.data.dataset import open_dataset
from terrainlib.errors import FailureError, ImageError, RunError, TrainingError
from terrainlib.mask.products.making import predict_file
from terrainlib.mask.products.records import Wanted
from terrainlib.mask.scores.evaluation import evaluate
from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning import checkpoint
from terrainlib.model.modelfile import load_model, read_record
from terrainlib.model.network import build_unet
from terrainlib.runs.folder import Run, create_run, read_run
from terrainlib.runs.launcher import mark_starting
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.status import RunStatus, write_status
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.material import read_split, require_resumable
from terrainlib.runs.training.pixelscore import measure
from terrainlib.runs.training.previews import preview_inputs, previews
from terrainlib.runs.training.train import run_training
from tests.imagefiles import encode, tiff
from tests.leftovers import dead_process, left_behind
from tests.models import KERAS_COPY_WARNING
from tests.synthetic import terrain, write_kaggle_dataset, write_sized_dataset

EPOCHS = 3

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)


def new_run(data: Path, *, epochs: int = EPOCHS, name: str = "Test run") -> Path:
    network = {"image_size": 32, "filters": (4, 8), "classes": 7}
    training = TrainingConfig.preset(
        "fast", network=network, epochs=epochs, batch_size=2, validation_share=0.5
    )
    return create_run(RunConfig(name, str(data), training))


@dataclass(frozen=True)
class Ended:
    """A run that was stopped after its first epoch and then taken up again."""

    stopped: Run
    stopped_epochs: list[int]
    stopped_model: bool
    finished: Run
    seen: list[RunStatus]
    left: Path


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAINLIB_HOME", str(home))
        path = new_run(write_kaggle_dataset(home / "tiny", pairs=8))
        seen: list[RunStatus] = []

        def watch(status: RunStatus) -> None:
            seen.append(status)
            if status.epoch == 1:
                (path / "stop").touch()

        stopped = run_training(path, on_progress=watch)
        epochs = stopped.metrics["epoch"].tolist()
        saved = stopped.model is not None
        require_resumable(stopped)
        mark_starting(stopped)
        left = left_behind(path / "checkpoints", "other.npz", dead_process())
        finished = run_training(path, resume=True)
    return Ended(stopped, epochs, saved, finished, seen, left)


def test_a_stopped_training_keeps_its_model_and_says_so(ended: Ended) -> None:
    assert ended.stopped.state == "stopped"
    assert ended.stopped_model
    assert ended.stopped.status.epoch == 1
    assert ended.stopped_epochs == [1]
    assert ended.stopped.message == "The saved model is the one after epoch 1."


def test_what_a_killed_worker_left_is_swept_when_the_run_goes_on(ended: Ended) -> None:
    assert not ended.left.exists()
    assert (ended.left.parent / "other.npz").exists()


def test_the_states_come_in_order(ended: Ended) -> None:
    states = list(dict.fromkeys(status.state for status in ended.seen))
    assert states == ["starting", "running", "stopping", "stopped"]


def test_a_resumed_training_goes_on_to_its_budget(ended: Ended) -> None:
    run = ended.finished
    assert run.state == "finished"
    assert run.status.epoch == run.status.epochs == EPOCHS
    assert run.metrics["epoch"].tolist() == [1, 2, 3]
    assert run.status.share == 1
    with pytest.raises(RunError, match="nothing to continue"):
        require_resumable(run)


def test_the_table_has_the_columns_of_the_contract(ended: Ended) -> None:
    names = ["Water", "Grassland", "Forest", "Hills", "Desert", "Mountain", "Tundra"]
    assert list(ended.finished.metrics.columns) == [
        *("epoch", "seconds", "learning_rate", "loss", "accuracy"),
        *("val_loss", "val_accuracy", "val_miou"),
        *(f"{key}_{name}" for key in ("iou", "precision", "recall") for name in names),
    ]


def test_four_validation_images_are_previewed_after_every_epoch(ended: Ended) -> None:
    path = ended.finished.path
    shown = [entry.id for entry in preview_inputs(path)]
    assert len(shown) == 4
    assert set(shown) <= set(_record(path).split["validation"])  # type: ignore[index]
    found = previews(path)
    assert list(found) == [1, 2, 3]
    assert all(list(masks) == shown for masks in found.values())


def test_the_model_carries_what_prediction_and_people_need(ended: Ended) -> None:
    path = ended.finished.path
    record = _record(path)
    assert record.name == "Test run"
    assert record.scale == 1
    assert record.receptive_field > 0
    assert record.split is not None
    assert record.split["method"] == "leak-free"
    assert record.split["leak"] == "leak-free: no shared ground found"
    assert record.split["left_out"] == []
    assert len(record.split["validation"]) == 4
    assert record.scores is not None
    assert record.scores["images"] == 4
    assert 0 <= record.scores["boundary_f1"] <= 1
    counted = np.array(record.confusion)
    assert counted.shape == (7, 7)
    assert counted.sum() == 4 * 32 * 32
    assert record.dataset["pairs"] == 8
    assert record.training["epochs_done"] == EPOCHS
    assert set(record.versions) >= {"terrainlib", "keras", "tensorflow"}
    assert 0 < record.statistics["contrast"] < 1


def test_the_saved_model_is_calibrated_and_judged_as_it_is(ended: Ended) -> None:
    path = ended.finished.path
    record = _record(path)
    assert 0.25 <= record.temperature <= 4
    assert record.temperature != 1
    best = checkpoint.load_best(path / "checkpoints")
    assert best is not None
    network = build_unet(record.unet_config())
    network.set_weights(list(best.arrays))
    image = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    logits = np.log(np.asarray(network(image)).astype(np.float64))
    powers = np.exp(logits / record.temperature)
    saved = np.asarray(load_model(path).network(image))
    expected = powers / powers.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(saved, expected, atol=1e-5)
    assert record.scores is not None
    judged = evaluate(
        load_model(path),
        open_dataset(Path(ended.finished.config.data)),
        split="validation",
    )
    error = judged.scores.overall["ece"]
    assert record.scores["ece"] == pytest.approx(error, abs=1e-4)
    assert "ece" not in judged.to_json()


def test_both_model_files_load_and_agree(ended: Ended) -> None:
    path = ended.finished.path
    image = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    first = load_model(path)
    second = load_model(path / "TerrainMaskGenerator.h5")
    assert first.name == second.name == "Test run"
    np.testing.assert_allclose(
        np.asarray(first.network(image)), np.asarray(second.network(image)), atol=1e-6
    )


def test_what_was_trained_before_is_not_begun_again(ended: Ended) -> None:
    before = (ended.finished.path / "status.json").read_bytes()
    with pytest.raises(RunError, match="was trained before"):
        run_training(ended.finished.path)
    assert (ended.finished.path / "status.json").read_bytes() == before


def _raiser(error: Exception) -> Callable[..., None]:
    def train(*_args: object, **_options: object) -> None:
        raise error

    return train


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (
            TrainingError("the loss is not a number in epoch 2. Start again."),
            TrainingError,
            "the loss is not a number in epoch 2. Start again.",
        ),
        (
            ZeroDivisionError("division\nby zero"),
            ZeroDivisionError,
            "unexpected error: ZeroDivisionError: division by zero; see train.log",
        ),
        (
            MemoryError(),
            FailureError,
            "There is not enough memory. Lower the batch size or the image size.",
        ),
        (
            ResourceExhaustedError("OOM when allocating tensor"),
            FailureError,
            "There is not enough memory. Lower the batch size or the image size.",
        ),
    ],
)
def test_a_training_that_fails_says_why_in_its_status(
    tiny_dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    raised: type[Exception],
    message: str,
) -> None:
    monkeypatch.setattr("terrainlib.model.learning.epochs.train", _raiser(error))
    path = new_run(tiny_dataset)
    with caplog.at_level(logging.CRITICAL), pytest.raises(raised):
        run_training(path)
    run = read_run(path)
    assert (run.state, run.message) == ("failed", message)
    assert RUN_SLOT.is_free()


def test_a_stop_before_the_first_step_ends_the_run_without_a_model(
    tiny_dataset: Path,
) -> None:
    path = new_run(tiny_dataset)
    run = run_training(path, should_stop=lambda: True)
    assert (run.state, run.message) == ("stopped", "Stopped before the first step.")
    assert run.model is None
    assert run.metrics.empty


def test_data_that_changed_since_the_start_are_not_trained_on(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_run(tiny_dataset)
    monkeypatch.setattr(
        "terrainlib.model.learning.epochs.train",
        _raiser(TrainingError("the power is off.")),
    )
    with pytest.raises(TrainingError):
        run_training(path)
    rgb, _, _ = terrain(32, seed=99)
    files.write_bytes(tiny_dataset / "0001_t.png", rgb.tobytes())
    mark_starting(read_run(path))
    with pytest.raises(RunError, match=r"began with: 0001_h\.png is not usable any"):
        run_training(path, resume=True)
    assert read_run(path).state == "failed"


def test_data_that_vanished_fail_the_run_with_their_name(tmp_path: Path) -> None:
    path = new_run(tmp_path / "vanished")
    with pytest.raises(Exception, match="vanished"):
        run_training(path)
    run = read_run(path)
    assert run.state == "failed"
    assert run.message.startswith("vanished: ")
    assert str(tmp_path) not in run.message


def test_a_run_that_does_not_get_the_slot_fails_and_harms_nobody(
    tiny_dataset: Path,
) -> None:
    first = new_run(tiny_dataset, name="First")
    second = new_run(tiny_dataset, name="Second")
    write_status(first, RunStatus("running", 1, 3, heartbeat=_now(), progressed=_now()))
    with (
        RUN_SLOT.held(first),
        pytest.raises(RunError, match="already running"),
    ):
        run_training(second)
    assert read_run(second).state == "failed"
    assert read_run(second).message.startswith("A training is already running")


def test_a_run_that_waits_for_another_can_be_stopped(tiny_dataset: Path) -> None:
    second = new_run(tiny_dataset, name="Second")
    with RUN_SLOT.held(new_run(tiny_dataset, name="First")):
        run = run_training(second, wait=True, should_stop=lambda: True)
    assert run.state == "stopped"
    assert run.message == "Stopped before the first step."


SIZES = [(32, 32), (16, 64), (64, 16), (48, 48), (24, 40), (70, 64), (32, 32), (21, 47)]


def test_images_of_any_shape_are_judged_as_they_were_validated(tmp_path: Path) -> None:
    path = new_run(write_sized_dataset(tmp_path / "sized", SIZES), epochs=1)

    run_training(path)

    record, best = _record(path), checkpoint.load_best(path / "checkpoints")
    assert record.scale == 1
    assert best is not None
    validated, judged = np.array(best.facts["confusion"]), np.array(record.confusion)
    assert judged.sum() == validated.sum()
    assert np.abs(judged - validated).sum() <= 4  # nearly equal classes
    shapes = [_shape(entry.image) for entry in preview_inputs(path)]
    assert [_shape(mask) for mask in previews(path)[1].values()] == shapes
    assert len(set(shapes)) > 1


def test_the_notebook_squeezes_images_and_says_so(tmp_path: Path) -> None:
    data = write_sized_dataset(tmp_path / "wide", [(16, 64)] * 4)
    network = {"image_size": 32, "filters": (4, 8), "classes": 7}
    training = TrainingConfig.preset(
        "notebook", network=network, epochs=1, batch_size=2, validation_share=0.5
    )
    path = create_run(RunConfig("Notebook", str(data), training))

    run_training(path)

    record, model = _record(path), load_model(path)
    assert (record.scale, record.config["resize"]) == (None, "whole")
    shapes = [_shape(entry.image) for entry in preview_inputs(path)]
    assert shapes == [(32, 32)] * 2
    again = evaluate(model, open_dataset(data), split="validation")
    assert again.confusion.tolist() == record.confusion
    assert again.confusion.sum() == 2 * 16 * 64


def _shape(path: Path) -> tuple[int, ...]:
    return np.asarray(Image.open(path)).shape[:2]


def _now() -> str:
    from terrainlib.runs.process import utc_now

    return utc_now()


def _record(path: Path):
    record = read_record(path / "model.keras")
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("descriptions", "chosen"),
    [
        pytest.param(["VV"], None, marks=pytest.mark.exhaustive),
        (["a", "b", "c", "nir", "swir"], ("swir", "nir", "a", "b")),
    ],
)
def test_other_bands_are_trained_on_saved_and_found_again_by_name(
    tmp_path: Path, descriptions: list[str], chosen: tuple[str, ...] | None
) -> None:
    mask = np.kron(np.eye(4, dtype=np.uint8), np.ones((8, 8), np.uint8))
    tiles = tmp_path / "tiles"
    for number in range(6):
        rng = np.random.default_rng(number)
        stack = rng.integers(200, 300, (32, 32, len(descriptions))).astype(np.uint16)
        stack[..., -1] += 900 * mask.astype(np.uint16)
        files.write_bytes(
            tiles / f"images/{number}.tif", tiff(stack, descriptions=descriptions)
        )
        files.write_bytes(tiles / f"masks/{number}.png", encode(mask))
    bands = open_dataset(tiles, bands=chosen).bands
    network = {"image_size": 32, "filters": (4, 8), "classes": 2, "bands": bands.count}
    training = TrainingConfig.preset(
        "fast", network=network, epochs=1, batch_size=2, validation_share=0.5
    )

    run = run_training(create_run(RunConfig("b", str(tiles), training, bands=chosen)))

    assert run.model is not None
    split = read_split(run.path)
    assert split is not None
    dataset = open_dataset(tiles, bands=chosen)
    assert measure(dataset, split, training.network).miou > 0.9
    model = load_model(run.model)
    assert model.record.band_set() == dataset.band_set
    assert model.record.statistics["images"] == 3
    reverse = [*range(len(descriptions))][::-1]
    turned = tiff(stack[..., reverse], descriptions=[descriptions[i] for i in reverse])
    masks = []
    for source in (tiles / "images/5.tif", turned):
        made = predict_file(model, source, tmp_path / "out", "m", Wanted(), name="m")
        assert made.gap["level"] == "unknown"
        masks.append((tmp_path / "out" / "m_mask.png").read_bytes())
    assert masks[0] == masks[1]
    assert evaluate(model, open_dataset(tiles)).ids == open_dataset(tiles).ids
    with pytest.raises(ImageError, match=f"the model uses {bands.count} band"):
        predict_file(model, encode(np.zeros((9, 9, 3), "u1")), tmp_path, "x", Wanted())
