"""The process for TensorFlow: what it does and says; TensorFlow is not loaded here."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from terrainlib import rights
from terrainlib.errors import InputError
from terrainlib.model import beside
from terrainlib.model.beside import end_beside, run_beside, work_beside
from terrainlib.model.modelfile import load_model


@pytest.fixture(scope="module")
def _process() -> Iterator[None]:
    work_beside()
    yield
    work_beside(wanted=False)


def test_without_a_process_work_is_done_here() -> None:
    assert run_beside(os.getpid) == os.getpid()


@pytest.mark.usefixtures("_process")
def test_a_process_works_for_whoever_acts_and_tells_what_is_wrong() -> None:
    first = run_beside(os.getpid)
    assert first != os.getpid()
    visitor = rights.visitor("one")
    with rights.acting(visitor):
        assert run_beside(rights.actor) == visitor
    with pytest.raises(InputError, match="no such model file"):
        run_beside(load_model, "nowhere.keras")
    with pytest.raises(RuntimeError, match="ValueError: invalid literal"):
        run_beside(int, "no number")
    with pytest.raises(MemoryError):
        run_beside(int, "what a library says: std::bad_alloc")
    assert run_beside(os.getpid) == first


@pytest.mark.usefixtures("_process")
def test_a_process_that_dies_is_told_and_another_one_comes() -> None:
    first = run_beside(os.getpid)
    with pytest.raises(MemoryError):
        run_beside(os.kill, first, signal.SIGKILL)
    second = run_beside(os.getpid)
    end_beside()
    assert len({first, second, run_beside(os.getpid)}) == 3


def test_whoever_stops_the_app_does_not_wait_for_what_it_does() -> None:
    work_beside()
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(run_beside, time.sleep, 600)
        while beside._BESIDE.process is None:
            time.sleep(0.01)
        work_beside(wanted=False)
        with pytest.raises(MemoryError):
            long.result()
