"""One training from the data set to the saved model, in the process that calls it.

`worker` calls it in a process of its own, the command line in the foreground. All that
it does can be read in the run folder while it does it.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from terrainlib import files
from terrainlib.errors import (
    FailureError,
    RunError,
    StoppedError,
    StorageError,
    TerrainError,
)
from terrainlib.model.reports import EpochLog, Predict, StepProgress, TrainingHooks
from terrainlib.runs.folder import CHECKPOINTS, METRICS_FILE, Run, read_run
from terrainlib.runs.material import Material, read_material
from terrainlib.runs.metrics import MetricsTable
from terrainlib.runs.preview_writer import PreviewWriter
from terrainlib.runs.report import Report
from terrainlib.runs.slot import last_holder, training_slot
from terrainlib.runs.status import (
    STOP_FILE,
    Status,
    StoredState,
    write_process,
    write_status,
)
from terrainlib.runs.yardstick_process import YardstickProcess, yardstick_beside

if TYPE_CHECKING:
    from terrainlib.model.reports import TrainingResult

MAX_ERROR_LETTERS = 300
YARDSTICK_WAIT_SECONDS = 60.0
_logger = logging.getLogger(__name__)


def run_training(
    run_dir: Path,
    *,
    resume: bool = False,
    on_progress: Callable[[Status], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    yardstick: bool = True,
) -> Run:
    """Train as the run folder's configuration says, and save the model there.

    Args:
        run_dir: A run folder made by `create_run`.
        resume: Go on from the last checkpoint, if there is one.
        on_progress: Called with the status when it changes, at most ten times a second.
        should_stop: Asked before each step, beside the file `stop` in the folder.
        yardstick: Measure the pixel classifier on the same split meanwhile, in a
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
    begin = replace(run.status, state="starting", message="Starting")
    with _slot(run):
        files.sweep(run.path)
        write_process(run.path)
        with Report(run.path, begin, on_progress) as report, _ending_in_words(report):
            _Job(run, report, should_stop, resume).work(yardstick=yardstick)
    return read_run(run_dir)


@contextmanager
def _slot(run: Run) -> Iterator[None]:
    """Hold the training slot; a run that does not get it has failed and says why."""
    with ExitStack() as stack:
        try:
            stack.enter_context(training_slot(run.path))
        except RunError as error:
            other = last_holder()
            if other is None or other.path.resolve() != run.path.resolve():
                write_status(
                    run.path, replace(run.status, state="failed", message=str(error))
                )
            raise
        yield


@contextmanager
def _ending_in_words(report: Report) -> Iterator[None]:
    """Make the status say how the block ended, whatever happens in it."""
    try:
        with _memory_in_words():
            yield
    except StoppedError:
        _end(report, "stopped", "Stopped before the first step.")
    except TerrainError as error:
        _logger.error("%s", error)
        _end(report, "failed", str(error))
        raise
    except KeyboardInterrupt:
        _end(report, "stopped", "Interrupted. Resume continues from the last epoch.")
        raise
    except Exception as error:
        _logger.exception("unexpected error")
        text = " ".join(str(error).split())[:MAX_ERROR_LETTERS]
        kind = type(error).__name__
        _end(report, "failed", f"unexpected error: {kind}: {text}; see train.log")
        raise


@contextmanager
def _memory_in_words() -> Iterator[None]:
    """Turn the two ways of running out of memory into one sentence."""
    try:
        yield
    except Exception as error:
        full = isinstance(error, MemoryError)
        if full or type(error).__name__ == "ResourceExhaustedError":
            raise FailureError(
                "The memory is not enough. Lower the batch size or the image size."
            ) from error
        raise


def _end(report: Report, state: StoredState, message: str) -> None:
    """Write a last state; on a full disk the log alone has to say it."""
    with suppress(StorageError):
        report.update(state=state, message=message, seconds_left=None)


class _Job:
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
        self._asked = should_stop
        self._resume = resume
        self._table = MetricsTable(run.path / METRICS_FILE)
        self._training = run.config.training

    def work(self, *, yardstick: bool) -> None:
        """Read, train, judge and save."""
        material = read_material(
            self._run, self._report, self._should_stop, resume=self._resume
        )
        with yardstick_beside(self._run, material, wanted=yardstick) as beside:
            self._work_with(material, beside)

    def _work_with(self, material: Material, beside: YardstickProcess) -> None:
        """Train, judge and save, with the yardstick measured meanwhile."""
        writer = PreviewWriter(
            self._run.path,
            material.validation,
            material.dataset.classes,
            self._training.network.output,
        )
        writer.write_inputs()
        result = self._train(material, writer)
        self._repair_table(result, material)
        self._save(material, result, beside)

    def _train(self, material: Material, writer: PreviewWriter) -> "TrainingResult":
        """Train, with everything that happens written to the run folder."""
        self._report.update(message="Loading TensorFlow")
        from terrainlib.model.training import train  # TensorFlow, at last

        names = tuple(entry.name for entry in material.dataset.classes)

        def on_epoch(log: EpochLog, predict: Predict) -> None:
            if not self._table.append(log.row(names)):
                _logger.warning("metrics.csv cannot be written now; it is tried again")
            self._note_epoch(log)
            writer.write_epoch(log.epoch, predict)

        self._report.update(message="Building the network")
        return train(
            self._training,
            material.train,
            material.validation,
            classes=material.dataset.classes,
            checkpoints=self._run.path / CHECKPOINTS,
            hooks=TrainingHooks(self._on_step, on_epoch, self._should_stop),
            resume=self._resume,
        )

    def _on_step(self, progress: StepProgress) -> None:
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
        """Say in the log and the status what an epoch gave."""
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

    def _repair_table(self, result: "TrainingResult", material: Material) -> None:
        """Write the whole table again where a crash left a gap in it."""
        names = tuple(entry.name for entry in material.dataset.classes)
        if [*self._run.metrics.get("epoch", ())] != [e.epoch for e in result.history]:
            self._table.rewrite([log.row(names) for log in result.history])

    def _save(
        self, material: Material, result: "TrainingResult", beside: YardstickProcess
    ) -> None:
        """Judge the model on the validation part, and save it with what is known."""
        from terrainlib.runs.outcome import save_outcome  # TensorFlow

        state: StoredState = "stopping" if result.stopped else "running"
        self._report.update(state=state, message="Saving the model")

        def wait_for_yardstick() -> None:
            if beside.running and not result.stopped:
                self._report.update(message="Scoring the pixel classifier")
                beside.wait(YARDSTICK_WAIT_SECONDS, self._should_stop)

        judged = self._counter("Judging the model")
        save_outcome(self._run, material, result, judged, wait_for_yardstick)
        self._report.update(
            state="stopped" if result.stopped else "finished",
            epoch=result.epochs_done,
            epochs=(
                self._report.status.epochs if result.stopped else result.epochs_done
            ),
            step=0,
            seconds_left=None,
            message=_last_words(result),
        )

    def _counter(self, message: str) -> Callable[[int, int], None]:
        return self._report.counter(message)

    def _should_stop(self) -> bool:
        """Return whether anybody asked to stop, and say so in the status."""
        asked = self._asked() or (self._run.path / STOP_FILE).exists()
        if asked and self._report.status.state != "stopping":
            _logger.info("asked to stop")
            self._report.update(state="stopping", message="Stopping")
        return asked


def _last_words(result: "TrainingResult") -> str:
    """Return the sentence that a run ends with."""
    if not result.best_epoch:
        return "Stopped within the first epoch; the model has hardly learnt anything."
    return f"The model is that of epoch {result.best_epoch}."


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
