"""The atomic writer: the old file or the new one, never a torn one."""

import errno
import os
from pathlib import Path

import pytest

from terrainlib import files
from terrainlib.errors import StorageError, TerrainError
from tests.leftovers import dead_process, left_behind


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_into_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "status.json"

    files.write_json(path, {"state": "running", "name": "Böhmen"})

    assert files.read_json(path) == {"state": "running", "name": "Böhmen"}
    assert names_in(path.parent) == ["status.json"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"old")

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"model.keras: No space left on the disk"):
        files.write_bytes(path, b"new")

    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["model.keras"]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half() -> None:
        with files.atomic_path(path) as new:
            new.write_text("ne")
            raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        write_half()

    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "No space left on the disk. Free some space and try again."),
        (errno.EROFS, "The disk is read-only. Choose another folder."),
        (errno.EACCES, "No permission to write here. Choose another folder."),
        (errno.EIO, "Cannot be written (Input/output error)."),
    ],
)
def test_each_failure_of_the_disk_has_its_sentence(number: int, sentence: str) -> None:
    error = files.storage_error(Path("x/run.csv"), OSError(number, os.strerror(number)))

    assert str(error) == f"run.csv: {sentence}"
    assert error.exit_status == 1


@pytest.mark.parametrize("content", [None, b"", b'{"half": ', b"\xff\xfe"])
def test_json_that_is_missing_or_torn_reads_as_none(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "status.json"
    if content is not None:
        path.write_bytes(content)

    assert files.read_json(path) is None


def test_free_space_is_asked_for_before_writing(tmp_path: Path) -> None:
    files.require_free_space(tmp_path / "not" / "there" / "yet", 1000)

    with pytest.raises(StorageError, match=r"No space left: 1000000\d* MB needed"):
        files.require_free_space(tmp_path, 10**18)


def test_the_home_is_the_named_folder_or_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files.runs_dir() == tmp_path / "runs"
    monkeypatch.delenv("TERRAINLIB_HOME")
    monkeypatch.chdir(tmp_path.parent)
    assert files.models_dir() == tmp_path.parent / "models"


def test_an_error_puts_the_file_in_front() -> None:
    assert str(TerrainError("is empty.", file="a.png")) == "a.png: is empty."
    assert str(TerrainError("give a budget.")) == "give a budget."


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    below = tmp_path / "run" / "checkpoints"
    dead = dead_process()
    left = [left_behind(folder, "a.npz", dead) for folder in (tmp_path, below)]
    folder = tmp_path / left_behind(tmp_path, "cache", dead).name.replace("cache", "c")
    folder.mkdir()
    (folder / "images.npy").write_text("half")
    alive = left_behind(tmp_path, "b.npz", os.getpid())
    foreign = left_behind(tmp_path, "c.npz", dead, "0123abcd")
    strange = tmp_path / ".notes.tmp"
    strange.write_text("mine")

    assert files.sweep(tmp_path) == 4

    assert not any(path.exists() for path in (*left, folder))
    assert alive.exists()
    assert foreign.exists()
    assert strange.exists()
    assert (below / "a.npz").read_text() == "new"


def test_files_of_another_machine_are_swept_after_a_day(tmp_path: Path) -> None:
    path = left_behind(tmp_path, "a.npz", 1, "0123abcd")
    day = 3600 * (files.STALE_HOURS + 1)
    os.utime(path, (path.stat().st_atime - day, path.stat().st_mtime - day))

    assert files.sweep(tmp_path) == 1
    assert not path.exists()


def test_sweeping_a_missing_folder_is_nothing(tmp_path: Path) -> None:
    assert files.sweep(tmp_path / "missing") == 0


def test_a_scratch_folder_goes_with_its_block(tmp_path: Path) -> None:
    with files.scratch_folder(tmp_path / "new") as folder:
        (folder / "half").write_text("x")
        assert folder.parent == tmp_path / "new"

    assert not folder.exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_read_in_every_form_of_unicode(encoding: str) -> None:
    assert files.parse_json('["Gewässer"]'.encode(encoding)) == ["Gewässer"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('["Gewässer"]'.encode("latin-1"), "in Latin-1 or Windows-1252; save it as"),
        (b'["\x81\xff"]', "in no encoding known here; save it as UTF-8"),
    ],
)
def test_json_in_another_encoding_is_told_as_that(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        files.parse_json(data)


def test_names_are_sorted_as_people_sort_them() -> None:
    names = ["b/2", "area_10", "area_2", "Area_1", "area_02", "10", "9", "area_", ""]
    assert sorted(names, key=files.natural_key) == [
        "",
        "9",
        "10",
        "area_",
        "Area_1",
        "area_02",
        "area_2",
        "area_10",
        "b/2",
    ]
