"""One training from the data set to the saved model, in the process that calls it.

`worker` calls it in a process of its own, the command line in the foreground. All that
it does can be read in the run folder while it does it: after each epoch a row of
`metrics.csv`, previews and the status, within it rows of
`steps.csv`. What is learnt stands in `model.learning`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from terrainlib.errors import RunError, TrainingError
from terrainlib.model.learning.reports import (
    EpochLog,
    Predict,
    StepProgress,
    TrainingHooks,
)
from terrainlib.runs.folder import CHECKPOINTS, METRICS_FILE, STEPS_FILE, Run, read_run
from terrainlib.runs.report import Report, ending_in_words, last_words
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.status import RunStatus, StoredState
from terrainlib.runs.training.material import Material, read_material, require_memory
from terrainlib.runs.training.metrics import MetricsTable, StepsTable
from terrainlib.runs.training.pixelprocess import PixelScoreProcess, pixel_score_beside
from terrainlib.runs.training.previews import PreviewWriter
from terrainlib.runs.training.start import load_start

if TYPE_CHECKING:
    from terrainlib.model.learning.reports import TrainingResult

PIXEL_SCORE_WAIT_SECONDS = 60.0
WAITED_SHARE = 0.02  # of a budget in minutes, beyond its end
_logger = logging.getLogger(__name__)
Names = tuple[str, ...]  # of the classes


def run_training(
    run_dir: Path,
    *,
    resume: bool = False,
    on_progress: Callable[[RunStatus], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    pixel_score: bool = True,
) -> Run:
    """Train as the run folder's configuration says, and save the model there.

    Args:
        run_dir: A run folder made by `create_run`.
        resume: Go on from the last checkpoint, if there is one.
        on_progress: Called with the status when it changes, at most ten times a second.
        should_stop: Asked before each step, beside the file `stop` in the folder.
        pixel_score: Measure the pixel classifier on the same split meanwhile, in a
            process of its own.

    Returns:
        The run as it ended: `finished` or `stopped`.

    Raises:
        TerrainError: As the folder's status then says.
    """
    run = read_run(run_dir)
    if not resume and (run.status.state != "starting" or run.status.epoch):
        raise RunError(
            "was trained before. Resume it, or start a new run.", file=run.path.name
        )
    begun = time.monotonic()
    begin = replace(run.status, state="starting", message="Starting")
    with (
        RUN_SLOT.working(run),
        Report(run.path, begin, on_progress) as report,
        ending_in_words(report),
    ):
        training = _Training(run, report, should_stop, resume, begun)
        training.work(pixel_score=pixel_score)
    return read_run(run_dir)


class _Training:
    """The work itself, and the hooks that training calls."""

    def __init__(
        self,
        run: Run,
        report: Report,
        should_stop: Callable[[], bool],
        resume: bool,
        begun: float,
    ) -> None:
        self._run = run
        self._report = report
        self._asked = should_stop
        self._resume = resume
        self._begun = begun
        self._table = MetricsTable(run.path / METRICS_FILE)
        self._steps = StepsTable(run.path / STEPS_FILE)
        self._training = run.config.training

    def work(self, *, pixel_score: bool) -> None:
        """Read, train, judge and save."""
        require_memory(self._training)
        material = read_material(
            self._run, self._report, self._should_stop, resume=self._resume
        )
        with pixel_score_beside(self._run, material, wanted=pixel_score) as beside:
            self._work_with(material, beside)

    def _work_with(self, material: Material, beside: PixelScoreProcess) -> None:
        writer = PreviewWriter(
            self._run.path,
            material.validation,
            material.dataset.classes,
            self._training.network.output,
        )
        writer.write_inputs()
        result = self._train(material, writer)
        self._save(material, result, beside)

    def _train(self, material: Material, writer: PreviewWriter) -> "TrainingResult":
        self._report.update(message="Loading TensorFlow")
        from terrainlib.model.learning.epochs import train  # TensorFlow, at last

        names = tuple(entry.name for entry in material.dataset.classes)

        def on_epoch(log: EpochLog, predict: Predict) -> None:
            if not self._table.append(log.row(names)):
                _logger.warning("metrics.csv cannot be written now; it is tried again")
            self._note_epoch(log)
            writer.write_epoch(log.epoch, predict)

        def on_restore(history: Sequence[EpochLog]) -> None:
            self._repair_table(history, names)
            self._steps = StepsTable(self._run.path / STEPS_FILE, len(history))

        self._report.update(message="Building the network")
        result = train(
            self._training,
            material.train,
            material.validation,
            classes=material.dataset.classes,
            checkpoints=self._run.path / CHECKPOINTS,
            hooks=TrainingHooks(self._on_step, on_epoch, self._should_stop, on_restore),
            start=load_start(self._run),
            resume=self._resume,
            begun=self._begun,
        )
        self._repair_table(result.history, names)
        self._steps.write()
        return result

    def _on_step(self, progress: StepProgress) -> None:
        self._steps.add(progress)
        before = self._report.status
        self._report.update(
            state="stopping" if before.state == "stopping" else "running",
            epoch=progress.epoch - 1,
            epochs=progress.epochs,
            step=progress.step,
            steps=progress.steps,
            seconds=round(progress.seconds, 1),
            seconds_left=_rounded(progress.seconds_left),
            message="",
        )

    def _note_epoch(self, log: EpochLog) -> None:
        _logger.info(
            "epoch %d: loss %.4f, validation loss %.4f, validation mIoU %.4f, %.1f s",
            log.epoch,
            log.loss,
            log.val_loss,
            log.val_miou,
            log.seconds,
        )
        self._report.update(epoch=log.epoch, step=0)
        best = self._report.status.best_miou
        if best is None or log.val_miou > best:
            self._report.update(best_epoch=log.epoch, best_miou=round(log.val_miou, 5))

    def _repair_table(self, history: Sequence[EpochLog], names: Names) -> None:
        """Write the whole table again where a row is missing.

        A crash between the checkpoint of an epoch and its row leaves it out, and so
        does a disk that refused it.
        """
        epochs = [log.epoch for log in history]
        if epochs and [*self._run.metrics.get("epoch", ())] != epochs:
            self._table.rewrite([log.row(names) for log in history])

    def _save(
        self, material: Material, result: "TrainingResult", beside: PixelScoreProcess
    ) -> None:
        """Judge the model on the validation part, and save it with what is known."""
        from terrainlib.runs.training.outcome import save_outcome  # TensorFlow

        state: StoredState = "stopping" if result.stopped else "running"
        self._report.update(state=state, message="Saving the model")
        over = time.monotonic() + self._seconds_to_wait(result)

        def wait_for_pixel_score() -> None:
            if beside.running and not result.hurried:
                self._report.update(message="Scoring the pixel classifier")
                beside.wait(over - time.monotonic(), self._should_stop)

        judged = self._report.counter("Judging the model")
        save_outcome(self._run, material, result, judged, wait_for_pixel_score)
        if result.failure is not None:
            raise TrainingError(result.failure)
        self._report.update(
            state="stopped" if result.stopped else "finished",
            epoch=result.epochs_done,
            epochs=(
                self._report.status.epochs if result.stopped else result.epochs_done
            ),
            step=0,
            seconds_left=None,
            message=last_words(result, len(material.left_out)),
        )

    def _seconds_to_wait(self, result: "TrainingResult") -> float:
        """Return how long the end may wait for the pixel classifier's score.

        A budget in minutes is kept, so the score may be missing after a short one.
        """
        if self._training.minutes is None:
            return PIXEL_SCORE_WAIT_SECONDS
        budget = 60 * self._training.minutes * (1 + WAITED_SHARE)
        return min(PIXEL_SCORE_WAIT_SECONDS, budget - result.seconds)

    def _should_stop(self) -> bool:
        return self._report.stop_asked(self._asked, message="Stopping")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
