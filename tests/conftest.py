"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

from tests.synthetic import write_kaggle_dataset

ROOT = Path(__file__).resolve().parent.parent
PAGE_TIMEOUT_S = 60


@pytest.fixture(autouse=True)
def terrainlib_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test runs, models and caches of its own, all of them empty."""
    monkeypatch.setenv("TERRAINLIB_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Path:
    """Return a folder with six 32 px pairs in the Kaggle layout, with heights."""
    return write_kaggle_dataset(tmp_path / "tiny")
