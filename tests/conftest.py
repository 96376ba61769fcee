"""Fixtures shared by all tests."""

import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrainlib import rights
from tests.synthetic import write_kaggle_dataset

# The tests share the cores: one thread of TensorFlow each, said before it is loaded.
for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

ROOT = Path(__file__).resolve().parent.parent
PAGE_TIMEOUT_S = 60


def more(*values: object) -> list[object]:
    """Return parameters that only an exhaustive run takes."""
    return [pytest.param(value, marks=pytest.mark.exhaustive) for value in values]


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Do once, or not at all, what takes time and shows nothing.

    After every page, Streamlit looks for garbage among all there is, and before it
    among the packages that are installed for components. Nothing that a test writes has
    to outlive the power.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        if "streamlit" in sys.modules:
            from streamlit import config
            from streamlit.components.v2 import manifest_scanner as scanner

            config.set_option("runner.postScriptGC", False)
            once = functools.cache(scanner.scan_component_manifests)
            patch.setattr(scanner, "scan_component_manifests", once)
        yield


@pytest.fixture(autouse=True)
def terrainlib_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test runs, models and caches of its own, all of them empty."""
    monkeypatch.setenv("TERRAINLIB_HOME", str(tmp_path))
    monkeypatch.setattr(rights, "_process", [])  # commands say for whom they work
    return tmp_path


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Path:
    """Return a folder with six 32 px pairs in the Kaggle layout, with heights."""
    return write_kaggle_dataset(tmp_path / "tiny")
