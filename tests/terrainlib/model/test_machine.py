"""What a machine is found to have."""

import shutil
import sys
from pathlib import Path

import psutil
import pytest

from terrainlib.model import machine
from terrainlib.model.machine import Machine, gpu_memory, input_threads


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    gpu_memory.cache_clear()


def test_batches_get_a_thread_for_each_four_cores() -> None:
    assert [input_threads(cores) for cores in (1, 2, 7, 8, 64)] == [1, 1, 1, 2, 8]
    assert input_threads() >= 1


def test_the_limit_of_a_container_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_CONTAINER", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    free = psutil.virtual_memory().total

    assert 0 < Machine.here().memory <= free
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert Machine.here().memory == 2000
    (tmp_path / "memory.max").write_text("max\n")
    assert Machine.here().memory > 2000


@pytest.mark.parametrize(
    ("free", "seen", "expected"),
    [("8000", "1", 8000 * 2**20), ("8000", "0", None), ("no device", "1", None)],
)
def test_a_gpu_counts_where_tensorflow_can_use_it(
    monkeypatch: pytest.MonkeyPatch, free: str, seen: str, expected: int | None
) -> None:
    def answer(command: tuple[str, ...]) -> list[str]:
        return (seen if command[0] == sys.executable else free).split()

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(machine, "_lines", answer)

    assert gpu_memory() == expected


def test_a_tool_that_fails_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: "/nowhere/nvidia-smi")

    def fail(*_command: object, **_options: object) -> None:
        raise OSError

    monkeypatch.setattr(machine.subprocess, "run", fail)

    assert gpu_memory() is None
