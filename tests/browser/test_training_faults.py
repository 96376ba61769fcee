"""What a person sees when the server or the worker of a training is killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from terrainlib.runs.folder import list_runs
from terrainlib.runs.process import find_process, read_process
from tests.browser.conftest import (
    ROOT,
    Server,
    end_workers,
    free_port,
    own_button,
    serve,
)
from tests.browser.test_training import (
    epochs_done,
    see,
    start_small_training,
    wait_for_epoch,
)

pytestmark = pytest.mark.browser


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Server]:
    """An app of its own, and no worker left behind."""
    home = tmp_path / "home"
    with serve(ROOT / "streamlit_app.py", home, free_port()) as server:
        yield server
    end_workers(home)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_the_same_tab_goes_on_showing_the_curve_when_the_server_is_killed(
    studio: Server, page: Page
):
    page.goto(f"{studio.url}/Training")
    start_small_training(page, epochs=400)
    wait_for_epoch(page, 2)
    # A browser that was cut off while it fetched the chart's code never asks again.
    see(page.get_by_test_id("stVegaLiteChart").first)
    before = epochs_done(page)

    kill(studio.pid)
    page.wait_for_selector(
        "[data-testid='stApp']:not([data-test-connection-state='CONNECTED'])"
    )
    port = int(studio.url.rpartition(":")[2])
    with serve(ROOT / "streamlit_app.py", studio.home, port):
        wait_for_epoch(page, before + 1)
        see(page.get_by_test_id("stVegaLiteChart").first)
        now = epochs_done(page)
        wait_for_epoch(page, now + 1)  # it is live again

        own_button(page, "Stop").click()
        see(page.get_by_role("button", name="Resume"))

    (run,) = list_runs(studio.home / "runs")
    assert run.state == "stopped"
    assert list(run.metrics["epoch"]) == list(range(1, run.status.epoch + 1))


def test_a_killed_worker_shows_as_crashed_with_the_reason_and_resume_finishes_it(
    studio: Server, page: Page
):
    page.goto(f"{studio.url}/Training")
    start_small_training(page, epochs=60)
    wait_for_epoch(page, 2)
    (run,) = list_runs(studio.home / "runs")
    process = find_process(read_process(run.path))
    assert process is not None

    kill(process.pid)
    see(page.get_by_text("The training ended suddenly"))
    see(page.get_by_text("stopped by the system, probably out of memory"))
    log = page.get_by_test_id("stExpander").filter(has_text="Log")
    expect(log.get_by_test_id("stCode")).to_contain_text("epoch 2:")

    page.get_by_role("button", name="Resume").click()
    see(page.get_by_text("The model is saved."))

    (run,) = list_runs(studio.home / "runs")
    assert run.state == "finished"
    assert run.status.epoch == 60
    assert list(run.metrics["epoch"]) == list(range(1, 61))
    see(page.get_by_text("The training is done"))
