"""The work of a prediction in the process that calls it: every end, and every clash."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from terrainlib import files
from terrainlib.errors import ConfigError, RunError, StorageError, TerrainError
from terrainlib.mask.products.records import Made, Wanted
from terrainlib.runs.folder import Job, create_job, read_job
from terrainlib.runs.jobs import delivery, predict
from terrainlib.runs.jobs.config import JobConfig, input_images
from terrainlib.runs.slot import JOB_SLOT
from tests.imagefiles import encode, naming_overviews, pattern, write
from tests.models import KERAS_COPY_WARNING, write_model

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def job(model: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a prediction of small pictures."""

    def make(*names: str, **options: Any) -> Path:
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        for name in names:
            write(folder, name, encode(pattern()))
        images = input_images([folder / name for name in names])
        return create_job(JobConfig(str(model), images, **options))

    return make


def run(path: Path, **options: Any) -> Job:
    return predict.run_job(path, **options)


def made_by(change: Callable[[Path], None]) -> Callable[..., Made]:
    """Return what predicts as usual, and changes something before it returns."""
    usual = predict.predict_file

    def changed(model: Any, image: Path, folder: Path, *rest: Any, **more: Any) -> Made:
        made = usual(model, image, folder, *rest, **more)
        change(folder)
        return made

    return changed


def test_a_file_that_is_there_already_is_never_replaced(
    job: Callable[..., Path], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "b_soft.png").write_text("mine")
    ended = run(job("a.png", "b.png", folder=str(target), wanted=Wanted(soft=True)))
    assert ended.state == "finished"
    assert ended.failures == {
        "b.png": "b_soft.png: exists in target already, and nothing is overwritten. "
        "Move it away, or choose another folder."
    }
    assert (target / "b_soft.png").read_text() == "mine"
    assert {path.name for path in target.iterdir()} == {
        "a_mask.png",
        "a_soft.png",
        "b_soft.png",
        "class_shares.csv",
    }


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_comes_meanwhile_is_not_replaced_either(
    job: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    links: bool,
) -> None:
    target = tmp_path / "target"
    usual = delivery.require_untaken

    def late(names: Any, folder: Path) -> None:
        usual(names, folder)
        (target / "a_soft.png").write_text("mine")

    def without_links(*_: object) -> None:
        raise PermissionError(1, "not on this disk")

    monkeypatch.setattr(delivery, "require_untaken", late)  # within `deliver`
    if not links:
        monkeypatch.setattr(delivery.os, "link", without_links)
    path = job("a.png", folder=str(target), wanted=Wanted(soft=True))
    with pytest.raises(TerrainError, match=r"a_soft\.png: exists in target already"):
        run(path)
    assert read_job(path).state == "failed"
    assert {item.name for item in target.iterdir()} == {"a_soft.png"}
    assert (target / "a_soft.png").read_text() == "mine"


def test_an_image_whose_results_would_go_onto_it_is_left_alone(
    job: Callable[..., Path], tmp_path: Path
) -> None:
    path = job("a.png", "a_mask.png", folder=str(tmp_path / "images"))
    before = (tmp_path / "images" / "a_mask.png").read_bytes()
    ended = run(path)
    assert list(ended.failures) == ["a.png"]
    assert (tmp_path / "images" / "a_mask.png").read_bytes() == before
    assert (tmp_path / "images" / "a_mask_mask.png").is_file()


def test_a_prediction_of_bad_images_alone_has_failed(
    job: Callable[..., Path], tmp_path: Path
) -> None:
    path = job("a.png", "b.png")
    for name in ("a.png", "b.png"):
        write(tmp_path / "images", name, b"nothing")
    with pytest.raises(
        TerrainError, match=r"^none of the 2 images .* first of them: a"
    ):
        run(path)
    ended = read_job(path)
    assert ended.state == "failed"
    assert list(ended.failures) == ["a.png", "b.png"]
    assert ended.files == ()


def test_what_nobody_foresaw_in_one_image_does_not_stop_the_others(
    job: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [ZeroDivisionError("so  what"), MemoryError(), StorageError("Full.")]

    def fail_thrice(_: Path) -> None:
        if errors:
            raise errors.pop(0)

    monkeypatch.setattr(predict, "predict_file", made_by(fail_thrice))
    path = job("a.png", "b.png", "c.png", "d.png")
    ended = run(path)
    assert ended.failures == {
        "a.png": "unexpected error: ZeroDivisionError: so what; see worker.log",
        "b.png": "There is not enough memory. Use a smaller scale, or cut the image.",
        "c.png": "Full.",
    }
    assert [item.name for item in ended.made] == ["d.png"]
    left = [item.name for item in ended.folder.iterdir()]
    assert sorted(left) == ["class_shares.csv", "d_mask.png"]


def test_neither_the_size_nor_the_speed_of_an_image_stops_a_prediction(
    job: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(predict, "read_size", fail)
    monkeypatch.setattr(predict, "remember", fail)
    ended = run(job("a.png", "b.png"))
    assert (ended.state, ended.failures) == ("finished", {})
    assert [item.name for item in ended.made] == ["a.png", "b.png"]


def test_an_image_that_names_files_fails_alone(
    job: Callable[..., Path], tmp_path: Path
) -> None:
    path = job("a.png", "b.png")
    write(tmp_path / "images", "a.png", naming_overviews("/nowhere"))
    ended = run(path)
    assert [item.name for item in ended.made] == ["b.png"]
    assert list(ended.failures) == ["a.png"]
    assert "names another file for its overviews" in ended.failures["a.png"]


def test_a_table_that_cannot_be_written_loses_no_mask(
    job: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"

    def take_its_name(_: Path) -> None:
        (target / "class_shares.csv").write_text("mine")

    monkeypatch.setattr(predict, "predict_file", made_by(take_its_name))
    ended = run(job("a.png", "b.png", folder=str(target)))
    assert ended.state == "finished"
    assert ended.message.startswith("2 of 2 images predicted. class_shares.csv: exists")
    assert (target / "class_shares.csv").read_text() == "mine"


def test_asked_to_stop_before_it_begins_it_makes_nothing(
    job: Callable[..., Path],
) -> None:
    ended = run(job("a.png"), should_stop=lambda: True)
    assert (ended.state, ended.made, ended.failures) == ("stopped", (), {})
    assert ended.message == "0 of 1 image predicted."


def test_results_that_cannot_be_noted_fail_the_prediction(
    job: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("No space left on the disk.", file="results.json")

    monkeypatch.setattr(predict, "write_results", full)
    path = job("a.png")
    with pytest.raises(StorageError):
        run(path)
    ended = read_job(path)
    assert (ended.state, ended.message) == (
        "failed",
        "results.json: No space left on the disk.",
    )


def test_a_prediction_is_done_once(job: Callable[..., Path]) -> None:
    path = job("a.png")
    run(path)
    with pytest.raises(RunError, match="was at work before"):
        run(path)
    assert read_job(path).state == "finished"


def test_a_worker_that_finds_the_slot_taken_has_failed(
    job: Callable[..., Path], tmp_path: Path
) -> None:
    path = job("a.png")
    with (
        JOB_SLOT.held(tmp_path / "other"),
        pytest.raises(RunError, match="A prediction is already running"),
    ):
        run(path)
    assert read_job(path).state == "failed"


def test_files_go_into_a_folder_all_or_none(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    paths = [write(source, name, name.encode()) for name in ("one", "two")]
    assert delivery.deliver(paths, target) == (target / "one", target / "two")
    assert list(source.iterdir()) == []
    assert (target / "two").read_bytes() == b"two"


def test_a_zip_of_results_that_are_gone_is_refused(job: Callable[..., Path]) -> None:
    ended = run(job("a.png"))
    ended.files[0].unlink()
    with pytest.raises(RunError, match=r"^a_mask\.png: is no longer where it was"):
        delivery.zip_results(ended.path)
    assert not (ended.path / delivery.ZIP_FILE).exists()


def test_a_zip_is_made_anew_when_there_is_more(job: Callable[..., Path]) -> None:
    ended = run(job("a.png"))
    first = delivery.zip_results(ended.path).read_bytes()
    files.write_bytes(ended.files[0], b"another")
    assert delivery.zip_results(ended.path).read_bytes() != first


def test_what_is_not_for_such_images_is_a_sentence(job: Callable[..., Path]) -> None:
    path = job("a.png", wanted=Wanted(probabilities=True))
    with pytest.raises(ConfigError, match="has no place on the Earth"):
        run(path)
    assert read_job(path).state == "failed"
