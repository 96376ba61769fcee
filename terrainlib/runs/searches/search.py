"""One search for overlaps, in the process that calls it.

What is found lies in the cache, where trainings and the command line find it too.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from terrainlib.data.dataset import open_dataset
from terrainlib.data.overlaps import find_overlaps, known_overlaps, search_key
from terrainlib.errors import DatasetError, FailureError, StoppedError
from terrainlib.runs.folder import Search, read_search
from terrainlib.runs.report import StatusReport, ending_in_words
from terrainlib.runs.slot import SEARCH_SLOT
from terrainlib.runs.status import SEARCH, SearchStatus


def run_search(
    path: Path, *, wait: bool = False, should_stop: Callable[[], bool] = lambda: False
) -> Search:
    """Search as the configuration in a search's folder says.

    Args:
        path: A folder made by `create_search`.
        wait: Wait while another search is at work.
        should_stop: Asked between steps, beside the file `stop` in the folder.

    Returns:
        The search as it ended: `finished` or `stopped`.

    Raises:
        TerrainError: As the folder's status then says.
    """
    search = read_search(path)
    begin = replace(search.status, state="starting")
    with (
        suppress(StoppedError),  # while it waited
        SEARCH_SLOT.working(search, wait=wait, should_stop=should_stop),
        StatusReport(path, begin) as report,
        ending_in_words(report, SEARCH),
    ):
        _search(search, report, should_stop)
    return read_search(path)


def _search(
    search: Search, report: StatusReport[SearchStatus], should_stop: Callable[[], bool]
) -> None:
    dataset = open_dataset(Path(search.config.data), bands=search.config.bands)
    if search_key(dataset) != search.config.key:
        raise DatasetError("was changed meanwhile. Look again.", file=dataset.name)
    begun = time.monotonic()

    def show(done: int, total: int) -> None:
        share = done / max(1, total)
        seconds = time.monotonic() - begun
        left = round(seconds / share - seconds, 1) if share else None
        report.update(share=round(share, 4), seconds_left=left)

    report.update(state="running")
    find_overlaps(
        dataset, progress=show, should_stop=lambda: report.stop_asked(should_stop)
    )
    if known_overlaps(dataset) is None:
        raise FailureError("The result cannot be saved: the disk cannot be written.")
    report.update(state="finished", share=1.0, seconds_left=None)
