"""The pixel classifier's score: measured, remembered, read, and never in the way."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from terrainlib import files
from terrainlib.data.cache import build_cache
from terrainlib.data.dataset import open_dataset
from terrainlib.data.splits import random_split
from terrainlib.errors import RunError
from terrainlib.model.config import TrainingConfig
from terrainlib.model.modelfile import read_record
from terrainlib.runs.folder import Run, create_run, log_tail, read_run
from terrainlib.runs.process import write_process
from terrainlib.runs.training import pixelprocess
from terrainlib.runs.training import pixelscore as module
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.material import Material
from terrainlib.runs.training.pixelprocess import PixelScoreProcess, pixel_score_beside
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
WAIT_SECONDS = 60.0


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


def sleeper(seconds: float = 300) -> PixelScoreProcess:
    code = f"import time; time.sleep({seconds})"
    return PixelScoreProcess(subprocess.Popen([sys.executable, "-c", code]))


def test_it_is_measured_on_the_validation_part_at_the_masks_own_size(
    tiny_dataset: Path,
) -> None:
    run, material = divided(tiny_dataset)
    found = measure(run.path)
    assert found.split == material.split.hash
    assert found.scores["images"] == len(material.split.validation) == 3
    assert list(found.scores["recall"]) == [
        entry.name for entry in material.dataset.classes
    ]
    assert 0.2 < found.miou < found.scores["pixel_accuracy"] <= 1
    assert found.scores["boundary_f1"] is not None
    assert found.scores["seconds"] > 0


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
        run, _ = divided(tiny_dataset, height=height)
        measure(run.path)
    assert asked == [False, True]


def test_what_was_measured_is_remembered_for_the_same_data_and_split(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure(divided(tiny_dataset)[0].path)
    run, material = divided(tiny_dataset, name="Second")

    def refuse(*_arguments, **_options):
        raise AssertionError

    monkeypatch.setattr(module, "fit_pixel_classifier", refuse)
    monkeypatch.setattr(pixelprocess, "MIN_TRAINING_PAIRS", 1)
    monkeypatch.setattr(pixelprocess, "_spawn", refuse)
    assert measure(run.path) == first
    with pixel_score_beside(run, material, wanted=True) as beside:
        assert not beside.running
    assert read_pixel_score(run.path) == first
    other = random_split(material.dataset.ids, share=0.3, seed=5)
    network = run.config.training.network
    assert module.remembered(material.dataset, other, network) is None
    taller = replace(network, height=True)
    assert module.remembered(material.dataset, material.split, taller) is None


def test_a_run_of_other_data_is_refused(tiny_dataset: Path) -> None:
    run, _ = divided(tiny_dataset)
    files.write_bytes(tiny_dataset / "0001_t.png", b"changed")
    with pytest.raises(RunError, match="no division of these data"):
        measure(run.path)


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

    def in_this_process(path: Path) -> None:
        module.keep(path, measure(path))

    monkeypatch.setattr(pixelprocess, "MIN_TRAINING_PAIRS", 1)
    monkeypatch.setattr(pixelprocess, "_spawn", in_this_process)
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
    def broken(_path: Path):
        raise OSError("no more processes")

    monkeypatch.setattr(pixelprocess, "MIN_TRAINING_PAIRS", 1)
    monkeypatch.setattr(pixelprocess, "_spawn", broken)
    path = new_run(tiny_dataset)
    assert run_training(path).state == "finished"
    assert read_pixel_score(path) is None
    record = read_record(path / "model.keras")
    assert record is not None
    assert record.pixel_classifier is None
    assert "no score of the pixel classifier: no more processes" in caplog.text


@pytest.mark.parametrize("wanted", [True, False])
def test_few_pairs_or_nobody_asking_start_nothing(
    tiny_dataset: Path, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, material = divided(tiny_dataset)
    if not wanted:
        monkeypatch.setattr(pixelprocess, "MIN_TRAINING_PAIRS", 1)
    with pixel_score_beside(run, material, wanted=wanted) as beside:
        assert beside.process is None


def test_the_child_is_over_when_the_block_is_left(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = sleeper()
    monkeypatch.setattr(pixelprocess, "MIN_TRAINING_PAIRS", 1)
    monkeypatch.setattr(pixelprocess, "_spawn", lambda _path: child.process)
    run, material = divided(tiny_dataset)
    with pixel_score_beside(run, material, wanted=True) as beside:
        assert beside.running
    assert not child.running


def test_waiting_ends_with_the_time_or_the_request_to_stop() -> None:
    child = sleeper()
    try:
        child.wait(0.3, lambda: False)
        child.wait(WAIT_SECONDS, lambda: True)
        assert child.running
    finally:
        child.end()
    assert not child.running


def test_the_child_ends_itself_when_the_worker_is_gone(tiny_dataset: Path) -> None:
    worker = sleeper()
    run, _ = divided(tiny_dataset)
    assert worker.process is not None
    write_process(run.path, worker.process.pid)
    code = (
        "import sys, time\n"
        "from terrainlib.runs.training import pixelscore\n"
        "pixelscore.measure = lambda _path: time.sleep(300)\n"
        "sys.exit(pixelscore.main([sys.argv[1], '--with-worker']))"
    )
    command = [sys.executable, "-c", code, str(run.path)]
    child = PixelScoreProcess(subprocess.Popen(command))
    try:
        child.wait(2, lambda: False)
        assert child.running
        worker.end()
        child.wait(WAIT_SECONDS, lambda: False)
        assert not child.running
    finally:
        worker.end()
        child.end()
    assert read_pixel_score(run.path) is None


def test_the_child_has_the_lowest_priority(tiny_dataset: Path) -> None:
    run, _ = divided(tiny_dataset)
    write_process(run.path)
    child = PixelScoreProcess(pixelprocess._spawn(run.path))
    try:
        assert child.process is not None
        seen = psutil.Process(child.process.pid)
        end = time.monotonic() + WAIT_SECONDS
        while (nice := seen.nice()) != 19 and child.running and time.monotonic() < end:
            time.sleep(0.05)
        assert nice == 19, log_tail(run.path)
    finally:
        child.end()


def test_by_hand_it_scores_a_run_that_is_over(tiny_dataset: Path) -> None:
    run, _ = divided(tiny_dataset)
    command = [
        sys.executable,
        "-m",
        "terrainlib.runs.training.pixelscore",
        str(run.path),
    ]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = read_pixel_score(run.path)
    assert found is not None
    assert found.scores["seconds"] < time.perf_counter() - start


def test_by_hand_a_folder_without_a_run_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert module.main([str(tmp_path / "none")]) == 2
    assert "no score of the pixel classifier: none: does not exist" in caplog.text
