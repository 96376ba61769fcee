"""Fixtures shared by all tests."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.synthetic import write_kaggle_dataset

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

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


@pytest.fixture
def run_page() -> Callable[[str], "AppTest"]:
    """Return a function that runs a page by its file, as seen on the first visit."""

    def run(page_file: str) -> "AppTest":
        from streamlit.testing.v1 import AppTest  # slow to import, pages only

        page = AppTest.from_file(str(ROOT / page_file), default_timeout=PAGE_TIMEOUT_S)
        return page.run()

    return run
