"""One training from the data set to the saved model, in the process that calls it.

`worker` calls it in a process of its own, the command line in the foreground. All that
it does can be read in the run folder while it does it: after each epoch a row of
`metrics.csv`, previews and the status, within it rows of `steps.csv`. What is learnt
stands in `model.learning`.
"""

import importlib
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from terrainlib.errors import RunError, StoppedError, TrainingError
from terrainlib.model.learning.reports import (
    EpochLog,
    Predict,
    StepProgress,
    TrainingHooks,
)
from terrainlib.model.machine import free_share, gpu_memory
from terrainlib.runs.folder import CHECKPOINTS, METRICS_FILE, STEPS_FILE, Run, read_run
from terrainlib.runs.report import Report, ending_in_words, last_words
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.status import UNBEGUN, RunStatus, StoredState
from terrainlib.runs.training.budget import minutes_given
from terrainlib.runs.training.material import Material, read_material, require_memory
from terrainlib.runs.training.metrics import MetricsTable, StepsTable
from terrainlib.runs.training.pixelscore import score_pixel_classifier, seconds_needed
from terrainlib.runs.training.previews import PreviewWriter
from terrainlib.runs.training.stages import FIRST_EPOCH, PIXELS, TENSORFLOW, Stages
from terrainlib.runs.training.start import load_start

if TYPE_CHECKING:
    from terrainlib.model.learning.reports import TrainingResult

PIXEL_SCORE_SHARE = 0.1  # of a budget in minutes, that its score may take before it
_logger = logging.getLogger(__name__)
Names = tuple[str, ...]  # of the classes


def run_training(
    run_dir: Path,
    *,
    resume: bool = False,
    wait: bool = False,
    on_progress: Callable[[RunStatus], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    pixel_score: bool = True,
) -> Run:
    """Train as the run folder's configuration says, and save the model there.

    Args:
        run_dir: A run folder made by `create_run`.
        resume: Go on from the last checkpoint, if there is one.
        wait: Wait in the queue while another training is at work.
        on_progress: Called with the status when it changes, at most ten times a second.
        should_stop: Asked before each step, beside the file `stop` in the folder.
        pixel_score: Measure the pixel classifier on the same split, before or after.

    Returns:
        The run as it ended: `finished` or `stopped`.

    Raises:
        TerrainError: As the folder's status then says.
    """
    run = read_run(run_dir)
    if not resume and (run.status.state not in UNBEGUN or run.status.epoch):
        raise RunError(
            "was trained before. Resume it, or start a new run.", file=run.path.name
        )
    begin = replace(run.status, state="starting", message="Starting")
    with (
        suppress(StoppedError),  # while it waited
        RUN_SLOT.working(run, wait=wait, should_stop=should_stop, watcher=on_progress),
        Report(run.path, begin, on_progress) as report,
        ending_in_words(report),
    ):
        training = _Training(run, report, should_stop, resume)
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
    ) -> None:
        self._run = run
        self._report = report
        self._stages = Stages(report)
        self._asked = should_stop
        self._resume = resume
        self._table = MetricsTable(run.path / METRICS_FILE)
        self._steps = StepsTable(run.path / STEPS_FILE)
        self._training = run.config.training

    def work(self, *, pixel_score: bool) -> None:
        """Read, measure, train, judge and save: one after the other."""
        require_memory(self._training)
        material = read_material(
            self._run, self._stages, self._should_stop, resume=self._resume
        )
        if self._training.minutes is not None and gpu_memory() is None:
            self._report.update(free_share=round(free_share(), 3))
        tensorflow = threading.Thread(target=_load_tensorflow)
        tensorflow.start()
        late = pixel_score and self._takes_long(material)
        if pixel_score and not late:
            self._score_pixels(material)
        writer = PreviewWriter(
            self._run.path,
            material.validation,
            material.dataset.classes,
            self._training.network.output,
        )
        writer.write_inputs()
        self._stages.begin(TENSORFLOW)
        tensorflow.join()
        result = self._train(material, writer)
        self._save(material, result, score_pixels=late)

    def _takes_long(self, material: Material) -> bool:
        """Whether scoring the pixel classifier keeps people from what they wait for."""
        minutes, free = self._training.minutes, self._report.status.free_share or 1.0
        seconds = seconds_needed(self._run, material) / free
        return minutes is not None and seconds > PIXEL_SCORE_SHARE * 60 * minutes

    def _score_pixels(self, material: Material) -> None:
        show = self._stages.begin(PIXELS)
        score_pixel_classifier(self._run, material, show, self._should_stop)
        self._stages.end()

    def _train(self, material: Material, writer: PreviewWriter) -> "TrainingResult":
        from terrainlib.model.learning.epochs import train  # TensorFlow, at last

        names = tuple(entry.name for entry in material.dataset.classes)

        def on_epoch(log: EpochLog, predict: Predict) -> None:
            self._stages.end()
            if not self._table.append(log.row(names)):
                _logger.warning("metrics.csv cannot be written now; it is tried again")
            self._note_epoch(log)
            writer.write_epoch(log.epoch, predict)

        def on_restore(history: Sequence[EpochLog]) -> None:
            self._repair_table(history, names)
            self._steps = StepsTable(self._run.path / STEPS_FILE, len(history))

        start = load_start(self._run)
        self._stages.begin(FIRST_EPOCH)
        result = train(
            self._training,
            material.train,
            material.validation,
            classes=material.dataset.classes,
            checkpoints=self._run.path / CHECKPOINTS,
            hooks=TrainingHooks(
                on_step=self._on_step,
                on_epoch=on_epoch,
                should_stop=self._should_stop,
                on_restore=on_restore,
                minutes=partial(minutes_given, self._run.path),
            ),
            start=start,
            resume=self._resume,
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
        self, material: Material, result: "TrainingResult", *, score_pixels: bool
    ) -> None:
        """Judge the model on the validation part, and save it with what is known."""
        from terrainlib.runs.training.outcome import save_outcome  # TensorFlow

        self._stages.end()
        state: StoredState = "stopping" if result.stopped else "running"
        self._report.update(state=state, message="Saving the model")

        def before_last_save() -> None:
            if score_pixels and not result.hurried:
                with suppress(StoppedError):  # the model is there all the same
                    self._score_pixels(material)

        judged = self._report.counter("Judging the model")
        save_outcome(self._run, material, result, judged, before_last_save)
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

    def _should_stop(self) -> bool:
        return self._report.stop_asked(self._asked, message="Stopping")


def _load_tensorflow() -> None:
    """Load it while the pixel classifier is scored; what goes wrong comes up later."""
    with suppress(Exception):
        importlib.import_module("terrainlib.model.learning.epochs")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
