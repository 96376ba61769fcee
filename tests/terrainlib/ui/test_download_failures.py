"""A file that cannot be made on a click leaves its reason behind."""

import pytest

from terrainlib.errors import FailureError, ImageError, TerrainError
from terrainlib.ui import errors as module
from terrainlib.ui.errors import Failures, explained


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Failures:
    """What is kept for the session."""
    failures: Failures = {}
    monkeypatch.setattr(module, "_failures", lambda: failures)
    return failures


def failing(error: BaseException) -> bytes:
    raise error


def test_a_file_that_is_made_is_handed_on_and_its_old_failure_forgotten(
    kept: Failures,
):
    kept["mask", "Polygons"] = ImageError("too many corners.")

    assert explained(lambda: b"file", "mask", "Polygons")() == b"file"

    assert kept == {}


def test_an_error_of_the_library_is_kept_with_what_failed(kept: Failures):
    error = ImageError("too many corners.")

    with pytest.raises(ImageError, match="corners"):
        explained(lambda: failing(error), "mask", "Polygons")()

    assert kept == {("mask", "Polygons"): error}


def test_a_lack_of_memory_becomes_a_sentence(kept: Failures):
    with pytest.raises(FailureError, match="not enough memory"):
        explained(lambda: failing(MemoryError()), "mask", "Polygons")()

    [error] = kept.values()
    assert isinstance(error, TerrainError)


def test_what_nobody_foresaw_stays_loud(kept: Failures):
    with pytest.raises(ZeroDivisionError):
        explained(lambda: failing(ZeroDivisionError()), "mask", "Polygons")()

    assert kept == {}
