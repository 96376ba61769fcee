"""A budget in minutes on a busy machine: what it will reach, and minutes more.

Minutes that are given later stand in a file of their own in the run folder, which the
worker looks at; what the run was asked at first stays as it was.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from terrainlib import files, places, rights
from terrainlib.errors import RunError
from terrainlib.model.config import MAX_MINUTES
from terrainlib.runs.folder import Run, read_run
from terrainlib.runs.status import RunStatus
from terrainlib.types import known_record

MINUTES_FILE: Final = "minutes.json"
BUSY_SHARE: Final = 0.75  # of the processor; with less the budget reaches clearly less
LEAST_SHARE: Final = 0.1  # so that nobody is offered hours for minutes


@dataclass(frozen=True, slots=True)
class Given:
    """The contents of `minutes.json`.

    Attributes:
        minutes: The budget by now.
    """

    minutes: Annotated[float, Field(gt=0, le=MAX_MINUTES, allow_inf_nan=False)]


def minutes_given(run_dir: Path) -> float | None:
    """Return the budget in minutes where it was changed since the start, else None."""
    given = known_record(run_dir / MINUTES_FILE, Given)
    return None if given is None else given.minutes


def minutes_of(run: Run) -> float | None:
    """Return the budget of a run in minutes by now; None where it is in epochs."""
    first = run.config.training.minutes
    return None if first is None else minutes_given(run.path) or first


def give_minutes(run_dir: Path, more: int) -> None:
    """Let a training that goes on have more minutes.

    Raises:
        RightsError: If whoever acts now may not change it.
        RunError: If it does not learn any more, or has no budget in minutes.
        StorageError: If its folder cannot be written.
    """
    rights.require("train")
    places.require_changeable(run_dir)
    run = read_run(run_dir)
    minutes = minutes_of(run)
    if minutes is None or run.state not in ("starting", "running"):
        raise RunError(
            f"is {run.state}, so that more minutes come too late. Start it again.",
            file=run.path.name,
        )
    given = Given(min(_most_minutes(), minutes + more))
    files.write_json(run.path / MINUTES_FILE, asdict(given))


def _most_minutes() -> float:
    return rights.limits().training_minutes or MAX_MINUTES


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a busy machine means for a training with a budget in minutes.

    Attributes:
        words: What other programs take, and what the budget reaches, as sentences.
        more: Whole minutes that would make up for it, as far as they may be given.
    """

    words: str
    more: int


def shortage(status: RunStatus, minutes: float | None) -> Shortage | None:
    """Return what other programs cost a training that goes on; None where it is little.

    None too before its first steps have told how many epochs there will be.

    Args:
        status: Of the training.
        minutes: Its budget; None where it is in epochs.
    """
    free, epochs = status.free_share, status.epochs
    if status.state != "running" or not (minutes and epochs):
        return None
    if free is None or free >= BUSY_SHARE:
        return None
    words = (
        f"Other programs take about {1 - free:.0%} of this machine. In {minutes:g} "
        f"{'minute' if minutes == 1 else 'minutes'} this training reaches about "
        f"{epochs} {'epoch' if epochs == 1 else 'epochs'}, about {free:.0%} of what "
        "it would do alone."
    )
    more = math.ceil(minutes / max(free, LEAST_SHARE) - minutes)
    return Shortage(words, min(more, int(_most_minutes() - minutes)))
