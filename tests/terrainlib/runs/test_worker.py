"""The real worker, end to end, as a process: it is killed, resumes, stops."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from terrainlib.model.config import TrainingConfig
from terrainlib.runs import launcher
from terrainlib.runs.folder import log_tail, read_run
from terrainlib.runs.process import find_process, read_process
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.training.config import RunConfig
from tests.crafted_runs import exit_code, worker_pid

PATIENCE_S = 240  # TensorFlow alone takes 7 s, more on a busy machine


def wait_for(path: Path, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{read_run(path)}\n{log_tail(path)}"
        time.sleep(0.05)


def config(data: Path, epochs: int) -> RunConfig:
    network = {"image_size": 32, "filters": (4, 8), "classes": 7}
    training = TrainingConfig.preset(
        "fast", network=network, epochs=epochs, batch_size=2
    )
    return RunConfig("Worker", str(data), training)


def test_a_worker_survives_kill_by_resume_and_sigterm_by_saving(
    tiny_dataset: Path,
) -> None:
    path = launcher.start_run(config(tiny_dataset, epochs=5000))
    wait_for(path, lambda: read_run(path).status.epoch >= 2)
    assert read_run(path).state == "running"
    assert not RUN_SLOT.is_free()

    os.kill(worker_pid(path), signal.SIGKILL)
    wait_for(path, lambda: exit_code(path) is not None)
    crashed = read_run(path)
    assert crashed.state == "crashed"
    assert "probably out of memory" in crashed.message
    assert RUN_SLOT.is_free()
    trained = int(crashed.metrics["epoch"].max())

    launcher.resume(path)
    wait_for(path, lambda: read_run(path).status.epoch > trained)
    asked = time.monotonic()
    os.kill(worker_pid(path), signal.SIGTERM)
    wait_for(path, lambda: not read_run(path).active)
    assert time.monotonic() - asked < 30
    stopped = read_run(path)
    assert stopped.state == "stopped", stopped.message
    assert stopped.model is not None
    epochs = stopped.metrics["epoch"].tolist()
    assert epochs == list(range(1, stopped.status.epoch + 1))
    assert stopped.status.epoch > trained
    wait_for(path, lambda: find_process(read_process(path)) is None)
    assert exit_code(path) is None
    assert "ends: stopped" in log_tail(path)


def test_a_worker_without_a_run_ends_with_status_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "terrainlib.runs.worker", str(tmp_path / "none")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert not (tmp_path / "none").exists()
