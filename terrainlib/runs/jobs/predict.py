"""One prediction from its images to its files, in the process that calls it.

`worker` calls it in a process of its own. All that it does can be read in
the prediction's folder while it does it.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from terrainlib import files
from terrainlib.data.imagery import read_size
from terrainlib.errors import (
    FailureError,
    InputError,
    RunError,
    StoppedError,
    TerrainError,
)
from terrainlib.mask.products.making import file_names, predict_file
from terrainlib.mask.products.records import SHARES_FILE, Made, shares_csv
from terrainlib.runs.folder import Job, read_job
from terrainlib.runs.jobs.config import InputImage, write_results
from terrainlib.runs.jobs.delivery import deliver, require_untaken
from terrainlib.runs.jobs.estimate import remember, remember_start
from terrainlib.runs.report import (
    StatusReport,
    ending_in_words,
    memory_in_words,
    unexpected,
)
from terrainlib.runs.slot import JOB_SLOT
from terrainlib.runs.status import JOB, UNBEGUN, JobStatus, StoredState

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel
    from terrainlib.runs.jobs.cluster import ClusterState, Outcome
    from terrainlib.runs.jobs.orders import Order

_logger = logging.getLogger(__name__)
_NAMED: Final = 5
_WRITTEN_EVERY_SECONDS: Final = 2.0  # thousands of images make a long file
_UNKNOWN_PX: Final = 1  # for an image whose header cannot be read


def run_job(
    path: Path, *, wait: bool = False, should_stop: Callable[[], bool] = lambda: False
) -> Job:
    """Predict as the configuration in a prediction's folder says.

    Args:
        path: A folder made by `create_job`.
        wait: Wait in the queue while another prediction is at work.
        should_stop: Asked before each batch of tiles, beside the file `stop` in the
            folder.

    Returns:
        The prediction as it ended: `finished` or `stopped`.

    Raises:
        TerrainError: As the folder's status then says.
    """
    job = read_job(path)
    if job.status.state not in UNBEGUN:
        raise RunError("was at work before. Start a new one.", file=job.path.name)
    begin = replace(job.status, state="starting", message="Starting")
    with (
        suppress(StoppedError),  # while it waited
        JOB_SLOT.working(job, wait=wait, should_stop=should_stop),
        StatusReport(job.path, begin) as report,
        ending_in_words(report, JOB),
    ):
        _Batch(job, report, should_stop).work()
    return read_job(path)


class _Batch:
    """The work itself, image by image."""

    def __init__(
        self,
        job: Job,
        report: StatusReport[JobStatus],
        should_stop: Callable[[], bool],
    ) -> None:
        self._job = job
        self._report = report
        self._asked = should_stop
        self._made: list[Made] = []
        self._failures: dict[str, str] = {}
        self._errors: list[TerrainError] = []
        self._pixels = [_pixels(image) for image in job.config.images]
        self._pixels_done = 0
        self._begun = 0.0
        self._without_table = ""

    def work(self) -> None:
        """Load the model, predict all images, and say how it ended."""
        config = self._job.config
        files.sweep(self._job.folder, below=False)
        if config.cluster:
            self._share_out()
        else:
            self._predict_here()
        self._write_shares()
        self._end()

    def _predict_here(self) -> None:
        config = self._job.config
        self._report.update(message="Loading the model")
        from terrainlib.model.instant import load_any  # TensorFlow, at last

        model = load_any(config.model)
        if self._job.status.state != "waiting":
            remember_start(time.time() - psutil.Process().create_time())
        self._begun = time.monotonic()
        for number, image in enumerate(config.images, start=1):
            if self._should_stop():
                break
            self._report.update(
                state="running", image=number, tile=0, tiles=0, message=image.name
            )
            made = self._keep(image, partial(self._make, model, image))
            if made is not None and not made.stopped:
                self._remember(model, made)
            self._write_results()
            self._pixels_done += self._pixels[number - 1]

    def _share_out(self) -> None:
        """Let a cluster predict the images."""
        from terrainlib.runs.jobs.cluster import connected, predict_on

        images, folder = self._job.config.images, self._job.folder.absolute()
        self._report.update(message="Looking for the cluster")
        with (
            connected(self._job.config.cluster) as client,
            files.scratch_folder(folder) as shared,
        ):
            self._begun = written = time.monotonic()
            self._report.update(state="running", message="Waiting for workers")
            for outcome in predict_on(
                client,
                [self._order(image, shared) for image in images],
                should_stop=self._should_stop,
                watch=self._on_cluster,
            ):
                if outcome.begun:
                    self._keep(images[outcome.number], partial(self._bring, outcome))
                if time.monotonic() - written > _WRITTEN_EVERY_SECONDS:
                    self._write_results()
                    written = time.monotonic()
        order = {image.name: number for number, image in enumerate(images)}
        self._made.sort(key=lambda made: order[made.name])
        self._write_results()

    def _order(self, image: InputImage, shared: Path) -> "Order":
        from terrainlib.runs.jobs.orders import Order

        config = self._job.config
        return Order(
            config.model,
            image.path,
            image.name,
            image.stem,
            str(shared),
            config.wanted,
            config.heights,
        )

    def _bring(self, outcome: "Outcome") -> Made:
        """Give the files of an image that a cluster has made their names."""
        made = outcome.result()
        return replace(made, files=deliver(made.files, self._job.folder))

    def _on_cluster(self, state: "ClusterState") -> None:
        share = state.pixels / state.of_pixels
        seconds = time.monotonic() - self._begun
        self._report.update(
            done=state.done,
            failed=state.failed,
            workers=state.workers,
            memory_bytes=state.memory_bytes,
            share=round(share, 4),
            seconds=round(seconds, 1),
            seconds_left=round(seconds / share - seconds, 1) if share else None,
            message="" if state.workers else "Waiting for workers",
        )

    def _keep(self, image: InputImage, make: Callable[[], Made]) -> Made | None:
        """Make an image; whatever is wrong with it does not stop the others."""
        try:
            with memory_in_words(JOB):
                made = make()
        except StoppedError:
            pass
        except TerrainError as error:
            self._note_failure(image, error)
        except Exception as error:
            _logger.exception("%s: unexpected error", image.name)
            self._note_failure(image, FailureError(unexpected(error, JOB)))
        else:
            if made.rows:
                self._made.append(made)
            _logger.info("%s: %d rows, %.1f s", image.name, made.rows, made.seconds)
            return made
        return None

    def _write_results(self) -> None:
        write_results(self._job.path, self._made, self._failures)

    def _make(self, model: "TerrainModel", image: InputImage) -> Made:
        """Make the files of an image out of sight, then give them their names."""
        config, folder = self._job.config, self._job.folder
        for placed in (False, True):
            names = file_names(image.stem, config.wanted, placed=placed, system=False)
            require_untaken(names, folder)
        with files.scratch_folder(folder) as scratch:
            made = predict_file(
                model,
                Path(image.path),
                scratch,
                image.stem,
                config.wanted,
                name=image.name,
                heights=None if config.heights is None else Path(config.heights),
                progress=self._on_tiles,
                should_stop=self._should_stop,
            )
            given = deliver(made.files, folder)
            return replace(made, name=image.name, files=given)

    def _remember(self, model: "TerrainModel", made: Made) -> None:
        """Keep how fast it was; nobody misses it where that cannot be done."""
        try:
            remember(model, made, self._job.config.wanted)
        except Exception:
            _logger.exception("%s: its speed is not kept", made.name)

    def _note_failure(self, image: InputImage, error: TerrainError) -> None:
        """Keep what is wrong with an image, in a sentence that names it once."""
        sentence = error.message if error.file == image.name else str(error)
        _logger.error("%s: %s", image.name, sentence)
        self._failures[image.name] = sentence
        self._errors.append(type(error)(sentence, file=image.name))

    def _on_tiles(self, done: int, total: int) -> None:
        number = self._report.status.image
        pixels = self._pixels[number - 1]
        passed = self._pixels_done + pixels * done / max(1, total)
        share = passed / sum(self._pixels)
        seconds = time.monotonic() - self._begun
        left = round(seconds / share - seconds, 1) if done else None
        name = self._job.config.images[number - 1].name
        self._report.update(
            tile=done,
            tiles=total,
            share=round(share, 4),
            seconds=round(seconds, 1),
            seconds_left=left,
            message=f"Finishing {name}" if done == total else name,
        )

    def _should_stop(self) -> bool:
        return self._report.stop_asked(self._asked)

    def _write_shares(self) -> None:
        """Write the table of the shares of all images, where there are several."""
        if len(self._job.config.images) < 2 or not self._made:
            return
        try:
            with files.scratch_folder(self._job.folder) as scratch:
                table = scratch / SHARES_FILE
                files.write_bytes(table, shares_csv(self._made, self._failures))
                deliver((table,), self._job.folder)
        except TerrainError as error:  # the masks are there all the same
            _logger.error("%s", error)
            self._without_table = f" {error}"

    def _end(self) -> None:
        stopped = self._report.status.state == "stopping"
        total = len(self._job.config.images)
        if not stopped and not self._made:
            if total == 1:
                raise self._errors[0]
            raise InputError(
                f"none of the {total} images could be predicted. The first of them: "
                f"{self._errors[0]}"
            )
        state: StoredState = "stopped" if stopped else "finished"
        seconds = round(time.monotonic() - self._begun, 1)
        share = self._report.status.share if stopped else 1.0
        self._report.update(
            state=state,
            share=share,
            seconds=seconds,
            seconds_left=None,
            message=_last_words(self._made, self._failures, total)
            + self._without_table,
        )


def _last_words(made: list[Made], failures: dict[str, str], total: int) -> str:
    complete = sum(not item.stopped for item in made)
    images = "image" if total == 1 else "images"
    words = f"{complete} of {total} {images} predicted."
    for item in made:
        if item.stopped:
            words += f" Of {item.name} the upper {item.rows} of {item.height} rows are."
    if failures:
        named, more = list(failures)[:_NAMED], len(failures) - _NAMED
        rest = f" and {more} more" if more > 0 else ""
        words += f" {len(failures)} failed: {', '.join(named)}{rest}."
    return words


def _pixels(image: InputImage) -> int:
    try:
        height, width = read_size(Path(image.path), in_parts=True)
    except Exception:  # noqa: BLE001 - its prediction will tell
        return _UNKNOWN_PX
    return height * width
