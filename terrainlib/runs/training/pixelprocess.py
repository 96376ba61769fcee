"""The child of a worker that scores the pixel classifier while the training runs.

It has the lowest priority and one thread, so that it takes next to nothing from the
training; whatever becomes of it, the training goes on.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from terrainlib.errors import StorageError
from terrainlib.runs.folder import Run
from terrainlib.runs.process import child_environment
from terrainlib.runs.status import RUN
from terrainlib.runs.training.pixelscore import keep, read_pixel_score, remembered

if TYPE_CHECKING:
    from terrainlib.runs.training.material import Material

MIN_TRAINING_PAIRS: Final = 24  # fewer tell nothing, and are over in no time
_END_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.2
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PixelScoreProcess:
    """A measurement on its way, or none.

    Attributes:
        process: The child; None where none is needed or wanted.
    """

    process: "subprocess.Popen[bytes] | None" = None

    @property
    def running(self) -> bool:
        """Whether the measurement is not over yet."""
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds: float, should_stop: Callable[[], bool]) -> None:
        """Wait until it is over, for `seconds` at most, or until asked to stop.

        It gets this process' own priority meanwhile, where the system allows that.
        """
        if self.process is not None:
            with suppress(psutil.Error):
                psutil.Process(self.process.pid).nice(psutil.Process().nice())
        end = time.monotonic() + seconds
        while self.running and time.monotonic() < end and not should_stop():
            time.sleep(_LOOK_SECONDS)

    def end(self) -> None:
        """End it, whatever it has got to; it is over when this returns."""
        if self.process is None:
            return
        if self.running:
            self.process.terminate()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def pixel_score_beside(
    run: Run, material: "Material", *, wanted: bool
) -> Iterator[PixelScoreProcess]:
    """Score the pixel classifier on a run's split while the block lasts.

    Nothing is started where it is known already or too few pairs train.

    Args:
        run: The run, its division written.
        material: What it learns from.
        wanted: Whether to measure at all.
    """
    child = PixelScoreProcess()
    if wanted and len(material.train.ids) >= MIN_TRAINING_PAIRS:
        child = _begin(run, material)
    try:
        yield child
    finally:
        child.end()


def _begin(run: Run, material: "Material") -> PixelScoreProcess:
    """Use what is remembered, else start the child; a failure is logged."""
    found = read_pixel_score(run.path)
    if found is not None and found.split == material.split.hash:
        return PixelScoreProcess()
    try:
        network = run.config.training.network
        known = remembered(material.dataset, material.split, network)
        if known is None:
            return PixelScoreProcess(_spawn(run.path))
        keep(run.path, known)
    except (OSError, StorageError) as error:
        _logger.warning("no score of the pixel classifier: %s", error)
    return PixelScoreProcess()


def _spawn(path: Path) -> "subprocess.Popen[bytes]":
    """Start the child; a Ctrl-C meant for the training does not reach it."""
    command = [sys.executable, "-m", "terrainlib.runs.training.pixelscore", str(path)]
    with (path / RUN.log).open("ab") as log:
        return subprocess.Popen(
            [*command, "--with-worker"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**child_environment(), **dict.fromkeys(_THREADS, "1")},
            start_new_session=True,
        )
