"""The search for shared ground in a thread of its own."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.overlaps import Overlaps
from terrainlib.errors import ImageError, StoppedError
from terrainlib.ui.datasets import overlaps as section
from terrainlib.ui.datasets.overlaps import search_of, start_search
from tests.synthetic import write_kaggle_dataset

WAIT_SECONDS = 30


@pytest.fixture
def dataset(tiny_dataset: Path) -> Dataset:
    return open_dataset(tiny_dataset)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let searches go on until this is set or they are stopped."""
    opened = threading.Event()

    def search(
        _dataset: Dataset,
        *,
        progress: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> Overlaps:
        progress(1, 4)
        while not opened.wait(0.01):
            if should_stop():
                raise StoppedError("stopped, as asked.")
        return Overlaps(())

    monkeypatch.setattr(section, "find_overlaps", search)
    return opened


def test_a_search_goes_on_beside_the_page_and_is_seen_by_all(
    dataset: Dataset, gate: threading.Event
) -> None:
    assert search_of(dataset) is None
    search = start_search(dataset)
    assert search.running
    assert start_search(dataset) is search is search_of(dataset)
    gate.set()
    assert search.ended.wait(WAIT_SECONDS)
    assert search.found == Overlaps(())
    assert search.share == 0.25


def test_a_search_can_be_stopped_and_begun_again(
    dataset: Dataset, gate: threading.Event
) -> None:
    search = start_search(dataset)
    search.stopping.set()
    assert search.ended.wait(WAIT_SECONDS)
    assert (search.found, search.error) == (None, None)
    gate.set()
    again = start_search(dataset)
    assert again is not search
    assert again.ended.wait(WAIT_SECONDS)
    assert again.found == Overlaps(())


def test_one_search_has_the_machine_and_one_that_waits_can_be_stopped(
    dataset: Dataset, gate: threading.Event, tmp_path: Path
) -> None:
    first = start_search(dataset)
    other = open_dataset(write_kaggle_dataset(tmp_path / "other", pairs=2))
    second = start_search(other)
    second.stopping.set()
    assert second.ended.wait(WAIT_SECONDS)
    assert second.found is None
    assert first.running
    gate.set()
    assert first.ended.wait(WAIT_SECONDS)


def test_what_went_wrong_is_kept_for_the_page(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: Any, **_options: Any) -> Overlaps:
        raise ImageError("cannot be read.", file="0001_t.png")

    monkeypatch.setattr(section, "find_overlaps", fail)
    search = start_search(dataset)
    assert search.ended.wait(WAIT_SECONDS)
    assert str(search.error) == "0001_t.png: cannot be read."
