"""The pixel classifier's score: measured, remembered, read."""

from dataclasses import replace
from pathlib import Path

import pytest

from terrainlib import files
from terrainlib.data.cache import build_cache
from terrainlib.data.dataset import open_dataset
from terrainlib.data.splits import random_split
from terrainlib.errors import DatasetError
from terrainlib.model.config import TrainingConfig, UNetConfig
from terrainlib.model.modelfile import read_record
from terrainlib.model.record import ModelRecord
from terrainlib.runs.folder import Run, create_run, read_run
from terrainlib.runs.training import pixelscore as module
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.material import Material
from terrainlib.runs.training.pixelscore import PixelScore, measure, read_pixel_score
from terrainlib.runs.training.train import run_training
from tests.models import KERAS_COPY_WARNING

FOUND = PixelScore(
    {
        "images": 3,
        "pixel_accuracy": 0.75,
        "miou": 0.5,
        "iou": {"Water": 1.0, "Forest": None},
        "boundary_f1": None,
        "seconds": 4.5,
        "split": "0123456789abcdef",
    }
)


def new_run(data: Path, *, height: bool = False, name: str = "Test run") -> Path:
    network = {"image_size": 32, "filters": (4, 8), "classes": 7, "height": height}
    training = TrainingConfig.preset(
        "fast", network=network, epochs=1, batch_size=2, validation_share=0.5
    )
    return create_run(RunConfig(name, str(data), training))


def divided(data: Path, **options) -> tuple[Run, Material]:
    """Return a new run whose division is made, and what it learns from."""
    path = new_run(data, **options)
    dataset = open_dataset(data)
    split = random_split(dataset.ids, share=0.5)
    record = {"fingerprint": dataset.fingerprint, "split": split.to_dict()}
    files.write_json(path / "split.json", record)
    cache = build_cache(dataset, 32)
    parts = (cache.subset(split.train), cache.subset(split.validation))
    return read_run(path), Material(dataset, split, *parts)


def score(run: Run, material: Material) -> PixelScore | None:
    module.score_pixel_classifier(run, material, lambda _done, _of: None, lambda: False)
    return read_pixel_score(run.path)


def refuse(*_arguments, **_options):
    raise AssertionError


def test_it_is_measured_on_the_validation_part_at_the_masks_own_size(
    tiny_dataset: Path,
) -> None:
    run, material = divided(tiny_dataset)
    seen: list[tuple[int, int]] = []
    found = measure(
        material.dataset,
        material.split,
        run.config.training.network,
        lambda done, of: seen.append((done, of)),
    )
    assert found.split == material.split.hash
    assert found.scores["images"] == len(material.split.validation) == 3
    assert list(found.scores["recall"]) == [
        entry.name for entry in material.dataset.classes
    ]
    assert 0.2 < found.miou < found.scores["pixel_accuracy"] <= 1
    assert found.scores["boundary_f1"] is not None
    assert found.scores["seconds"] > 0
    assert seen[-1] == (3, 3)


def test_of_very_many_validation_pairs_some_are_judged(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, material = divided(tiny_dataset)
    monkeypatch.setattr(module, "MAX_JUDGED", 2 * 7 * 32 * 32)
    network = run.config.training.network
    found = measure(material.dataset, material.split, network)
    assert found.scores["images"] == 2
    assert found.split == material.split.hash


def test_it_uses_the_heights_where_the_run_does(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    fit = module.fit_pixel_classifier

    def watched(*arguments, **options):
        asked.append(options["height"])
        return fit(*arguments, **options)

    monkeypatch.setattr(module, "fit_pixel_classifier", watched)
    for height in (False, True):
        run, material = divided(tiny_dataset, height=height)
        measure(material.dataset, material.split, run.config.training.network)
    assert asked == [False, True]


def test_what_was_measured_is_remembered_for_the_same_data_and_split(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIN_TRAINING_PAIRS", 1)
    first = score(*divided(tiny_dataset))
    assert first is not None
    run, material = divided(tiny_dataset, name="Second")
    monkeypatch.setattr(module, "measure", refuse)
    assert score(run, material) == first
    assert module.seconds_needed(run, material) == 0
    other = random_split(material.dataset.ids, share=0.3, seed=5)
    network = run.config.training.network
    assert module.remembered(material.dataset, other, network) is None
    taller = replace(network, height=True)
    assert module.remembered(material.dataset, material.split, taller) is None


def test_a_model_judged_on_the_same_images_is_ahead_with_an_interval() -> None:
    right, wrong = [[9, 0], [0, 9]], [[5, 4], [4, 5]]
    scores = {"miou": 0.4, "split": "x", "confusion_groups": [wrong] * 8}
    found = PixelScore(scores).beside([right] * 8)
    assert str(found.ahead) == "clearly ahead by 0.62 (0.62 to 0.62)"
    config = UNetConfig.preset("fast", classes=2).to_dict()
    classes = [{"name": n, "color": [0, 0, ord(n)]} for n in "ab"]
    stored = {"pixel_classifier": found.scores, "format": 1}
    record = ModelRecord.from_dict({"config": config, "classes": classes} | stored)
    assert record.ahead == found.ahead
    for others in ([right] * 7, None):  # of other images; not judged
        assert found.beside(others).ahead is None


def test_too_few_pairs_are_not_measured(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "measure", refuse)
    assert score(*divided(tiny_dataset)) is None


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    assert read_pixel_score(tmp_path) is None
    module.keep(tmp_path, FOUND)
    assert read_pixel_score(tmp_path) == FOUND
    assert files.read_json(tmp_path / "pixelclassifier.json") == FOUND.scores


def test_the_file_of_an_older_run_is_read(tmp_path: Path) -> None:
    files.write_json(tmp_path / "yardstick.json", FOUND.scores)
    assert read_pixel_score(tmp_path) == FOUND
    newer = PixelScore(FOUND.scores | {"miou": 0.75})
    module.keep(tmp_path, newer)
    assert read_pixel_score(tmp_path) == newer


@pytest.mark.parametrize(
    "damage",
    [
        {"miou": None},
        {"miou": 1.5},
        {"pixel_accuracy": "high"},
        {"boundary_f1": -1},
        {"iou": [0.5]},
        {"iou": {"Water": "wet"}},
        {"images": None},
        {"seconds": []},
    ],
)
def test_a_damaged_file_is_no_pixel_score(tmp_path: Path, damage: dict) -> None:
    files.write_json(tmp_path / "pixelclassifier.json", {**FOUND.scores, **damage})
    assert read_pixel_score(tmp_path) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"miou": NaN}', b"\xff"])
def test_a_torn_file_is_no_pixel_score(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "pixelclassifier.json").write_bytes(text)
    assert read_pixel_score(tmp_path) is None


@pytest.mark.filterwarnings(KERAS_COPY_WARNING)
def test_a_training_has_it_in_its_folder_and_in_its_model(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIN_TRAINING_PAIRS", 1)
    path = new_run(tiny_dataset)
    run = run_training(path)
    assert run.state == "finished"
    found = read_pixel_score(path)
    assert found is not None
    record = read_record(path / "model.keras")
    assert record is not None
    assert record.pixel_classifier == found.scores
    assert record.split is not None
    assert found.split == record.split["hash"]


@pytest.mark.filterwarnings(KERAS_COPY_WARNING)
def test_a_failure_of_it_ends_no_training(
    tiny_dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_arguments, **_options):
        raise DatasetError("there is one class only.")

    monkeypatch.setattr(module, "MIN_TRAINING_PAIRS", 1)
    monkeypatch.setattr(module, "measure", broken)
    path = new_run(tiny_dataset)
    assert run_training(path).state == "finished"
    assert read_pixel_score(path) is None
    record = read_record(path / "model.keras")
    assert record is not None
    assert record.pixel_classifier is None
    assert "no score of the pixel classifier: there is one class only." in caplog.text


def test_a_stop_while_it_is_measured_ends_the_run(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIN_TRAINING_PAIRS", 1)
    path = new_run(tiny_dataset)
    fit = module.fit_pixel_classifier

    def stopped(*arguments, **options):
        (path / "stop").touch()
        return fit(*arguments, **options)

    monkeypatch.setattr(module, "fit_pixel_classifier", stopped)
    run = run_training(path)
    assert (run.state, run.message) == ("stopped", "Stopped before the first step.")
    assert read_pixel_score(path) is None
