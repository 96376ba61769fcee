"""Typed paths: what may be opened, and what is said of all else."""

import os
from pathlib import Path

import pytest

from terrainlib.errors import InputError
from terrainlib.ui.paths import find_file, find_images, results_folder
from tests.imagefiles import encode, pattern


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not among the allowed ones."""
    return tmp_path_factory.mktemp("outside")


def image(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(encode(pattern()))
    return path


def test_a_file_is_found_by_its_path_with_quotes_and_spaces(terrainlib_home: Path):
    path = image(terrainlib_home, "my land.png")

    found = find_images(f'  "{path}" ')

    assert found.images == (path,)
    assert found.folder is None


def test_a_tilde_stands_for_the_home_folder(
    outside: Path, monkeypatch: pytest.MonkeyPatch
):
    path = image(outside, "land.png")
    monkeypatch.setenv("HOME", str(outside))

    assert find_images("~/land.png").images == (path,)


def test_the_images_of_a_folder_are_sorted_and_links_are_counted(terrainlib_home: Path):
    folder = terrainlib_home / "scenes"
    second, first = image(folder, "b.TIF"), image(folder, "a.png")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "inner.png").mkdir()
    (folder / "c.png").symlink_to(first)

    found = find_images(str(folder))

    assert found.images == (first, second)
    assert found.folder == folder
    assert found.links == 1


@pytest.mark.parametrize("way", ["absolute", "dots", "link"])
def test_nothing_outside_of_the_allowed_folders_is_opened(
    terrainlib_home: Path, outside: Path, way: str
):
    path = image(outside, "land.png")
    link = terrainlib_home / "link.png"
    link.symlink_to(path)
    dots = terrainlib_home / os.path.relpath(path, terrainlib_home)
    typed = {"absolute": path, "dots": dots, "link": link}[way]

    with pytest.raises(
        InputError, match=r"outside the folders that may be opened \(.*Ask "
    ):
        find_images(str(typed))


@pytest.mark.parametrize(
    "typed",
    ["missing.png", "x" * 300, "a\0b", "~nobody-here/a.png"],
)
def test_what_is_not_there_is_one_short_sentence(typed: str):
    with pytest.raises(InputError, match="does not exist") as caught:
        find_images(typed)

    assert len(str(caught.value)) < 150


def test_an_empty_path_asks_for_one():
    with pytest.raises(InputError, match="No path was given"):
        find_images("  ")


def test_a_folder_without_images_says_so(terrainlib_home: Path):
    (terrainlib_home / "empty").mkdir()

    with pytest.raises(InputError, match="has no PNG, JPEG or TIFF file"):
        find_images(str(terrainlib_home / "empty"))


def test_a_pipe_is_not_opened(terrainlib_home: Path):
    os.mkfifo(terrainlib_home / "pipe.png")

    with pytest.raises(InputError, match="neither a file nor a folder"):
        find_images(str(terrainlib_home / "pipe.png"))


def test_a_folder_is_no_file_of_heights(terrainlib_home: Path):
    with pytest.raises(InputError, match="is not a file"):
        find_file(str(terrainlib_home))


def test_results_may_go_to_a_folder_that_is_not_there_yet(terrainlib_home: Path):
    wanted = terrainlib_home / "new" / "masks"

    assert results_folder(str(wanted)) == wanted
    assert not wanted.exists()


def test_results_go_neither_outside_nor_into_a_file(
    terrainlib_home: Path, outside: Path
):
    path = image(terrainlib_home, "land.png")

    with pytest.raises(InputError, match="outside the folders that may be opened"):
        results_folder(str(outside / "masks"))
    with pytest.raises(InputError, match="is a file"):
        results_folder(str(path))
    with pytest.raises(InputError, match="Check the path"):
        results_folder("a\0b")
    with pytest.raises(InputError, match="cannot be made"):
        results_folder("x" * 300)
