"""The one rule for paths: where they must lie, whatever way they are written."""

import os
from pathlib import Path

import pytest

from terrainlib import places
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.errors import InputError
from terrainlib.ui import cached, paths
from tests.synthetic import write_kaggle_dataset

OUTSIDE = r"outside the folders that may be opened \(.*Ask .*TERRAINLIB_FOLDERS"


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not among the allowed ones."""
    return tmp_path_factory.mktemp("outside")


def test_the_person_who_runs_the_server_can_allow_more_folders(
    outside: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(places.FOLDERS_VARIABLE, f"{outside}{os.pathsep}")

    assert outside.resolve() in places.allowed_folders()
    assert paths.allowed_path(outside / "new") == outside.resolve() / "new"


def test_folders_inside_of_allowed_ones_are_named_once(
    terrainlib_home: Path, monkeypatch: pytest.MonkeyPatch
):
    inner = terrainlib_home / "inner"
    inner.mkdir()
    monkeypatch.setenv(places.FOLDERS_VARIABLE, str(inner))

    assert terrainlib_home.resolve() in places.allowed_folders()
    assert inner.resolve() not in places.allowed_folders()


def test_a_home_or_working_folder_that_is_the_whole_disk_allows_nothing(
    terrainlib_home: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
):
    root = Path(terrainlib_home.anchor)
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.chdir(root)

    assert places.allowed_folders() == (terrainlib_home.resolve(),)
    with pytest.raises(InputError, match=OUTSIDE):
        paths.allowed_path(outside)


def test_whether_something_outside_exists_is_not_told(outside: Path):
    said = []
    for name in ("there", "gone"):
        (outside / "there").touch()
        with pytest.raises(InputError, match=OUTSIDE) as caught:
            paths.existing_path(outside / name)
        said.append(str(caught.value).replace(name, ""))

    assert said[0] == said[1]


def test_a_folder_whose_name_starts_as_an_allowed_one_is_outside(terrainlib_home: Path):
    beside = terrainlib_home.with_name(f"{terrainlib_home.name}-beside")

    with pytest.raises(InputError, match=OUTSIDE):
        paths.allowed_path(beside)


@pytest.mark.parametrize("way", ["absolute", "dots", "link", "quoted"])
def test_a_data_set_outside_is_not_opened(
    terrainlib_home: Path, outside: Path, way: str
):
    folder = write_kaggle_dataset(outside / "tiles", pairs=1)
    (terrainlib_home / "link").symlink_to(outside)
    dots = terrainlib_home / os.path.relpath(folder, terrainlib_home)
    link = terrainlib_home / "link" / "tiles"
    typed = {"absolute": folder, "dots": dots, "link": link, "quoted": f"'{folder}'"}

    with pytest.raises(InputError, match=OUTSIDE):
        cached.dataset(typed[way])


def test_a_tilde_stands_for_the_home_folder(
    outside: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write_kaggle_dataset(outside / "tiles", pairs=1)
    monkeypatch.setenv("HOME", str(outside))

    assert cached.dataset("~/tiles").folder == folder.resolve()


def test_sample_uploads_and_downloads_are_opened_wherever_they_lie(
    outside: Path, terrainlib_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(terrainlib_home))
    monkeypatch.chdir(terrainlib_home)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(outside))
    upload = terrainlib_home / "cache" / "uploads" / "x" / "tiles"

    for folder in (SAMPLE_DIR, outside / "datasets" / "x", upload):
        assert paths.allowed_path(folder) == folder.resolve()
    with pytest.raises(InputError, match=OUTSIDE):
        paths.allowed_path(SAMPLE_DIR.parent.parent)
