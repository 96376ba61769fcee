"""How long a page takes to appear, without and with a training on the same machine.

Run from the project's folder: `python -m benchmarks.page_changes`; about five minutes,
and it needs chromium. A person's clicks are made in a real browser: from each page to
the next by the links at the side, until the page has its heading and its script has
ended. Then the server is killed, and the time is taken until a new one shows the same
training as running in the tab that was open all along.
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from benchmarks._worker import stop_in_order
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.model.config import TrainingConfig
from terrainlib.runs import launcher
from terrainlib.runs.folder import read_run
from terrainlib.runs.training.config import RunConfig
from terrainlib.ui.page import APP_NAME
from tests.browser.conftest import (
    ROOT,
    Server,
    free_port,
    open_browser,
    serve,
    wait_for_run,
)

HOME = "Home"
PAGES = (
    "Dataset preview",
    "Training",
    "Prediction gallery",
    "Mask studio",
    "Models",
    HOME,
)
_WAIT_MS = 120_000


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    stop_in_order()
    with tempfile.TemporaryDirectory(prefix="terrain-pages-") as home:
        os.environ["TERRAINLIB_HOME"] = home
        with (
            serve(ROOT / "streamlit_app.py", Path(home), free_port()) as server,
            _tab(server.url) as page,
        ):
            _visit_all(page)  # what is only slow the first time
            idle = _measure(page, options.rounds)
            with _training() as run:
                busy = _measure(page, options.rounds)
                seconds = _restart(page, server, run)
    _print(idle, busy, seconds)


@contextmanager
def _tab(url: str) -> Iterator[Page]:
    """Open the app in a browser while the block lasts."""
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(_WAIT_MS)
        page.goto(url)
        wait_for_run(page)
        yield page


def _measure(page: Page, rounds: int) -> dict[str, list[float]]:
    """Visit all pages several times; return the seconds of each page."""
    taken: dict[str, list[float]] = {name: [] for name in PAGES}
    for _ in range(rounds):
        for name, seconds in _visit_all(page).items():
            taken[name].append(seconds)
    return taken


def _visit_all(page: Page) -> dict[str, float]:
    taken = {}
    for name in PAGES:
        link = page.get_by_test_id("stSidebar").get_by_role("link", name=name)
        start = time.perf_counter()
        link.click()
        heading = APP_NAME if name == HOME else name
        page.get_by_role("heading", name=heading, exact=True).wait_for()
        page.wait_for_selector(
            "[data-testid='stApp'][data-test-script-state='notRunning']"
        )
        taken[name] = time.perf_counter() - start
    return taken


@contextmanager
def _training() -> Iterator[Path]:
    """Train the default preset while the block lasts, from its first epoch on."""
    training = TrainingConfig.preset("fast", minutes=20)
    path = launcher.start_run(RunConfig("Pages", str(SAMPLE_DIR), training))
    try:
        end = time.monotonic() + _WAIT_MS / 1000
        while read_run(path).status.epoch < 1:
            if time.monotonic() > end or not read_run(path).active:
                message = read_run(path).message
                raise SystemExit(f"the training does not go on: {message}")
            time.sleep(0.2)
        yield path
    finally:
        if read_run(path).active:
            launcher.force_stop(path)


def _restart(page: Page, server: Server, run: Path) -> float:
    """Kill the server; return the seconds from a new one's answer to the live run."""
    page.goto(f"{server.url}/Training?run={run.name}")
    page.get_by_test_id("stMetric").first.wait_for()
    os.kill(server.pid, signal.SIGKILL)
    page.wait_for_selector(
        "[data-testid='stApp']:not([data-test-connection-state='CONNECTED'])"
    )
    port = int(server.url.rpartition(":")[2])
    with serve(ROOT / "streamlit_app.py", server.home, port):
        start = time.perf_counter()
        wait_for_run(page)
        page.get_by_test_id("stMetric").first.wait_for()
        seconds = time.perf_counter() - start
        if not read_run(run).active:
            raise SystemExit(f"the training has ended: {read_run(run).message}")
        return seconds


def _print(
    idle: dict[str, list[float]], busy: dict[str, list[float]], seconds: float
) -> None:
    print(f"{'seconds to a page':<20} {'alone':>14} {'with a training':>18}")
    print(f"{'':<20} {'median':>7}{'most':>7} {'median':>10}{'most':>8}")
    for name in PAGES:
        quiet, loud = idle[name], busy[name]
        print(
            f"{name:<20} {statistics.median(quiet):7.2f}{max(quiet):7.2f} "
            f"{statistics.median(loud):10.2f}{max(loud):8.2f}"
        )
    print(f"\na restarted server shows the training {seconds:.1f} s after it answers")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("stopped; nothing was kept.") from None
