"""What the people of a team have made: listed for an administrator, and deleted."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from terrainlib import files, rights
from terrainlib.runs import launcher
from terrainlib.runs.folder import Damaged, damaged_folders, list_jobs, list_runs
from terrainlib.runs.models import delete_model, list_models
from terrainlib.runs.status import JOB, RUN, Work


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that somebody has made.

    Attributes:
        owner: The name of their folder, which begins as their own name does.
        work: What made it; None for a model that was added or kept.
        name: What it is called.
        path: Its folder or file.
        active: Whether a worker is at it.
        modified: When something in it last changed.
        size_bytes: What it takes on the disk.
    """

    owner: str
    work: Work | None
    name: str
    path: Path
    active: bool
    modified: datetime
    size_bytes: int

    @property
    def kind(self) -> str:
        """What it is: training, prediction or model."""
        return self.work.name if self.work else "model"


def list_others() -> list[Thing]:
    """Return what people have made, without whoever acts now, by owner.

    Raises:
        RightsError: If whoever acts now may not see it.
    """
    rights.require("other people")
    home = files.shared_dir() / rights.PEOPLE
    found: list[Thing] = []
    for folder in home.iterdir() if home.is_dir() else ():
        who = rights.in_place_of(folder.name)
        if who is not None and who.folder != rights.actor().folder:
            with rights.acting(who):
                found += _things(folder.name)
    return sorted(found, key=lambda one: (one.owner, one.kind, one.path.name))


def delete_of_other(thing: Thing) -> None:
    """Delete something that `list_others` found.

    Raises:
        RightsError: If whoever acts now may not.
        RunError: If a worker is at it.
        ModelFileError: If it is gone.
        StorageError: If it cannot be deleted.
    """
    who = rights.in_place_of(thing.owner)
    with rights.acting(who or rights.NOBODY):
        if thing.work is None:
            delete_model(f"added/{thing.path.name}")
        else:
            launcher.delete(thing.path, thing.work)


def _things(owner: str) -> Iterator[Thing]:
    """Yield what lies in the folder of whoever acts now."""
    for work, read in ((RUN, list_runs), (JOB, list_jobs)):
        damaged = [d for d in damaged_folders(work) if d.path.parent == work.home()]
        for one in (*read(work.home()), *damaged):
            name = one.path.name if isinstance(one, Damaged) else one.name
            yield _thing(owner, work, name, one.path, active=one.active)
    for entry in list_models():
        if entry.path.parent == files.models_dir():
            yield _thing(owner, None, entry.title, entry.path, active=False)


def _thing(
    owner: str, work: Work | None, name: str, path: Path, *, active: bool
) -> Thing:
    inside = (Path(above) / name for above, _, names in os.walk(path) for name in names)
    size, last = 0, 0.0
    for one in (path, *inside):
        with suppress(OSError):  # it was removed meanwhile
            facts = one.lstat()
            size, last = size + facts.st_size, max(last, facts.st_mtime)
    modified = datetime.fromtimestamp(last, UTC)
    return Thing(owner, work, name, path, active, modified, size)
