"""What happens before the first epoch: one stage after the other, each told.

None of it counts towards a budget in minutes but the first epoch itself, and nothing
of it goes on while the network learns.
"""

import logging
from dataclasses import dataclass, replace
from typing import Final

from terrainlib.runs.process import seconds_since, utc_now
from terrainlib.runs.report import Report
from terrainlib.runs.status import Stage
from terrainlib.types import Progress

FILES: Final = "files"
OVERLAPS: Final = "overlaps"
PAIRS: Final = "pairs"
PIXELS: Final = "pixels"
TENSORFLOW: Final = "tensorflow"
FIRST_EPOCH: Final = "first epoch"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageText:
    """The words for a stage.

    Attributes:
        title: What is done.
        why: What for, and how long it takes on two cores.
    """

    title: str
    why: str


STAGES: Final[dict[str, StageText]] = {  # in their order
    FILES: StageText("Looking at files", "which pairs can be used; seconds"),
    OVERLAPS: StageText(
        "Looking for shared ground",
        "so that nothing is judged on ground it was trained on; about 10 s for 100 "
        "patches, once for a data set",
    ),
    PAIRS: StageText(
        "Reading pairs", "at the size that the network sees; once for a data set"
    ),
    PIXELS: StageText(
        "Scoring the pixel classifier",
        "the score to beat; a few seconds, once for a data set and seed",
    ),
    TENSORFLOW: StageText("Starting TensorFlow", "what networks run on; 5 to 10 s"),
    FIRST_EPOCH: StageText(
        "First epoch",
        "the time you gave begins; it takes longer than the others, as the network "
        "is built first",
    ),
}


class Stages:
    """The worker's side: begins and ends stages in the status of a training."""

    def __init__(self, report: Report) -> None:
        self._report = report
        report.update(stages=())

    def begin(self, name: str) -> Progress:
        """End the stage before, if there is one, and begin the next.

        Returns:
            A function that tells how far it is.
        """
        self.end()
        title = STAGES[name].title
        stage = Stage(name, utc_now())
        self._report.update(stages=(*self._done, stage), message=title)

        def show(done: int, total: int) -> None:
            share = min(1.0, done / total) if total else None
            last = replace(self._report.status.stages[-1], share=share)
            text = f"{title}: {done:,} of {total:,}"
            self._report.update(stages=(*self._done[:-1], last), message=text)

        return show

    def end(self) -> None:
        """End the stage under way, if there is one."""
        if not self._done or self._done[-1].seconds is not None:
            return
        last = self._done[-1]
        seconds = round(max(0.0, seconds_since(last.begun)), 1)
        _logger.info("%s: %.1f s", STAGES[last.name].title, seconds)
        ended = replace(last, seconds=seconds, share=None)
        self._report.update(stages=(*self._done[:-1], ended))

    @property
    def _done(self) -> tuple[Stage, ...]:
        return self._report.status.stages
