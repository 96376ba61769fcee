"""What a run learns from: the division it makes, stores and takes up again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from terrainlib import files
from terrainlib.data.overlaps import find_overlaps
from terrainlib.errors import RunError, StoppedError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import Run, create_run, read_run
from terrainlib.runs.report import Report
from terrainlib.runs.training import material
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.material import (
    FILES_FILE,
    SPLIT_FILE,
    Material,
    read_material,
    read_split,
)
from terrainlib.runs.training.stages import Stages
from tests.relief import relief_map, write_patches

SIDE = 64


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a row of fourteen patches, each over a third of the next."""
    rgb, height = relief_map(640, seed=2)
    patches = {
        f"{number:04d}": (rgb[:SIDE, part], height[:SIDE, part])
        for number in range(14)
        for part in [slice(42 * number, 42 * number + SIDE)]
    }
    return write_patches(tmp_path / "row", patches)


def new_run(data: Path, preset: str = "fast") -> Run:
    network = {"image_size": 32, "classes": 7}
    training = TrainingConfig.preset(preset, network=network, epochs=1)  # type: ignore[arg-type]
    return read_run(create_run(RunConfig("Row", str(data), training)))


def read(
    run: Run, *, resume: bool = False, should_stop: Callable[[], bool] | None = None
) -> tuple[Material, list[str]]:
    """Return the material, and the messages that the status showed."""
    shown: list[str] = []
    watch = lambda status: shown.append(status.message)  # noqa: E731
    with Report(run.path, run.status, watch) as report:
        found = read_material(
            run, Stages(report), should_stop or (lambda: False), resume=resume
        )
    return found, shown


@pytest.mark.parametrize("preset", ["fast", "notebook"])
def test_a_new_run_trains_on_no_ground_that_validates(data: Path, preset: str) -> None:
    run = new_run(data, preset)
    found, _ = read(run)
    overlaps = find_overlaps(found.dataset)
    assert len(overlaps.pairs) == 13
    assert found.split.method == "leak-free"
    assert found.split.left_out
    assert overlaps.leak(found.train.ids, found.validation.ids) == 0
    assert found.train.ids == found.split.train
    assert found.validation.ids == found.split.validation


def test_a_search_of_very_much_memory_is_not_begun_unasked(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(material, "MAX_UNASKED_GB", 0.0)
    with caplog.at_level("WARNING"):
        found, _ = read(new_run(data))
    assert (found.split.method, found.split.leak) == ("random", "random: may leak")
    assert "looked for shared ground, which takes about 3 s on two" in caplog.text

    find_overlaps(found.dataset)  # somebody asks for it
    found, _ = read(new_run(data))
    assert found.split.method == "leak-free"


def test_the_division_is_stored_and_taken_up_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(data)
    first, _ = read(run)
    assert read_split(run.path) == first.split
    monkeypatch.setattr(material, "find_overlaps", None)
    again, _ = read(run, resume=True)
    assert again.split == first.split


def test_a_resumed_run_of_before_keeps_its_random_division(data: Path) -> None:
    run = new_run(data)
    first, _ = read(run)
    stored = files.read_json(run.path / SPLIT_FILE)
    assert stored is not None
    stored["split"] |= {"method": "random", "leak": "random: may leak"}
    del stored["split"]["left_out"]
    files.write_json(run.path / SPLIT_FILE, stored)
    again, _ = read(run, resume=True)
    assert (again.split.leak, again.split.left_out) == ("random: may leak", ())
    assert again.split.validation == first.split.validation


def test_data_that_changed_are_named_and_not_trained_on(data: Path) -> None:
    run = new_run(data)
    read(run)
    other = (data / "0004_t.png").read_bytes()
    (data / "0003_t.png").unlink()
    (data / "0005_t.png").write_bytes(other)
    expected = (
        "4 files are not what this run began with: 0003_h.png is "
        "not usable any more, 0003_i2.png is not usable any more, 0003_t.png is gone, "
        "0005_t.png has changed. Put them back, or start a new run."
    )
    with pytest.raises(RunError, match=expected):
        read(run, resume=True)


def test_files_with_a_new_date_are_still_the_same(data: Path) -> None:
    run = new_run(data)
    first, _ = read(run)
    (data / "0003_t.png").touch()
    again, _ = read(run, resume=True)
    assert again.dataset.fingerprint != first.dataset.fingerprint
    assert again.split == first.split


def test_a_run_of_before_without_a_list_goes_by_the_dates(data: Path) -> None:
    run = new_run(data)
    read(run)
    (run.path / FILES_FILE).unlink()
    read(run, resume=True)
    (data / "0003_t.png").touch()
    with pytest.raises(RunError, match="have changed"):
        read(run, resume=True)


def test_the_search_says_what_it_does_and_can_be_stopped(data: Path) -> None:
    run = new_run(data)
    shown: list[str] = []
    looking = "Looking for shared ground"
    watch = lambda status: shown.append(status.message)  # noqa: E731
    with Report(run.path, run.status, watch) as report, pytest.raises(StoppedError):
        read_material(
            run,
            Stages(report),
            lambda: report.status.message.startswith(looking),
            resume=False,
        )
    assert read_split(run.path) is None


@pytest.mark.parametrize("content", ["", "[]", '{"split": {}}', '{"split": 3}'])
def test_a_damaged_division_is_no_division(tmp_path: Path, content: str) -> None:
    (tmp_path / SPLIT_FILE).write_text(content)
    assert read_split(tmp_path) is None
