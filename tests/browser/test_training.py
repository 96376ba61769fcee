"""A training in a real browser: it grows, outlives what is killed, and is stopped."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from terrainlib.runs.folder import list_runs
from terrainlib.runs.training.metrics import MetricsTable, read_rows
from tests.browser.conftest import (
    ROOT,
    Server,
    end_workers,
    free_port,
    own_button,
    serve,
    wait_for_run,
)
from tests.crafted_runs import craft_run, worker_pid
from tests.synthetic import write_kaggle_dataset

pytestmark = pytest.mark.browser

EPOCH_MS = 240_000  # the worker loads TensorFlow first, and machines can be busy


@pytest.fixture
def app_of_its_own(tmp_path: Path) -> Iterator[Server]:
    """An app that may be killed, and no worker left behind."""
    home = tmp_path / "home"
    with serve(ROOT / "streamlit_app.py", home, free_port()) as server:
        yield server
    end_workers(home)


def epochs_done(page: Page) -> int:
    """Return the number on the card `Epochs done`."""
    card = page.get_by_test_id("stMetric").filter(has_text="Epochs done").last
    found = re.search(r"([\d,]+) / ", card.inner_text(timeout=EPOCH_MS))
    return int(found[1].replace(",", "")) if found else 0


def wait_for_epoch(page: Page, number: int) -> None:
    """Wait until an epoch is complete, without touching the page."""
    see(page.get_by_test_id("stMetric").first)
    deadline = time.monotonic() + EPOCH_MS / 1000
    while epochs_done(page) < number:
        assert time.monotonic() < deadline, page.locator("main").inner_text()
        page.wait_for_timeout(250)


def see(locator: Locator) -> None:
    """Wait until something is there; machines can be busy."""
    expect(locator).to_be_visible(timeout=EPOCH_MS)


def fill(page: Page, label: str, value: str) -> None:
    """Type a number and leave the field."""
    box = page.get_by_label(label, exact=True)
    box.fill(value)
    box.press("Tab")


def start_small_training(page: Page) -> None:
    """Fill in the form for a training of many very short epochs and press Start."""
    page.get_by_role("radio", name="epochs").click()
    fill(page, "Epochs", "9999")
    fill(page, "Image size in px", "16")
    fill(page, "Batch size", "64")
    page.get_by_text("More", exact=True).click()
    fill(page, "Filters of each level", "4, 8")
    start = page.get_by_role("button", name="Start training")
    start.click()  # at once: the last field counts all the same


def test_a_training_is_resumed_where_its_worker_was_killed_and_outlives_its_server(
    tmp_path: Path, page: Page, app_of_its_own: Server
):
    server, tiles = app_of_its_own, write_kaggle_dataset(tmp_path / "tiles", pairs=8)
    page.goto(f"{server.url}/Training?data=folder&at={tiles}")
    start_small_training(page)
    wait_for_epoch(page, 2)  # it grows without a click

    (run,) = list_runs(server.home / "runs")
    os.kill(worker_pid(run.path), signal.SIGKILL)
    see(page.get_by_text("The training ended suddenly"))
    see(page.get_by_text("stopped by the system, probably out of memory"))
    log = page.get_by_test_id("stExpander").filter(has_text="Log")
    expect(log.get_by_test_id("stCode")).to_contain_text(re.compile(r"epoch \d+:"))
    crashed_at = epochs_done(page)

    resume = page.get_by_role("button", name="Resume")
    resume.click()
    wait_for_epoch(page, crashed_at + 1)
    # A browser that was cut off while it fetched the chart's code never asks again.
    see(page.get_by_test_id("stVegaLiteChart").first)
    before = epochs_done(page)

    os.kill(server.pid, signal.SIGKILL)
    page.wait_for_selector(
        "[data-testid='stApp']:not([data-test-connection-state='CONNECTED'])"
    )
    port = int(server.url.rpartition(":")[2])
    with serve(ROOT / "streamlit_app.py", server.home, port):
        wait_for_epoch(page, before + 1)
        now = epochs_done(page)
        wait_for_epoch(page, now + 1)  # it is live again

        own_button(page, "Stop").click()
        see(resume)  # the buttons change by themselves
        see(page.get_by_text("The model is saved."))

        (run,) = list_runs(server.home / "runs")
        assert run.state == "stopped"
        network = run.config.training.network
        assert (network.image_size, network.filters) == (16, (4, 8))
        assert run.config.training.batch_size == 64
        assert list(run.metrics["epoch"]) == list(range(1, run.status.epoch + 1))
        page.get_by_role("link", name="See its card").click()
        see(page.get_by_role("heading", name="fast-tiles"))


def test_a_zoom_stays_while_the_training_goes_on_and_a_double_click_ends_it(
    app: Server, page: Page, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERRAINLIB_HOME", str(app.home))
    run = craft_run(app.home, state="running", epochs=9)
    page.goto(f"{app.url}/Training?run={run.name}")
    wait_for_run(page)
    loss = page.get_by_test_id("stVegaLiteChart").first
    ticks = loss.locator(".role-axis-label text")
    expect(ticks.filter(has_text=re.compile("^9$"))).to_have_count(1)

    expect(loss).to_be_in_viewport(ratio=1)  # without scrolling
    box = loss.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    expect(page.locator("#vg-tooltip-element")).to_contain_text("validation")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -600)
    page.keyboard.up("Control")
    expect(ticks.filter(has_text=re.compile("^9$"))).to_have_count(0)

    ninth = read_rows(run / "metrics.csv")[-1]
    MetricsTable(run / "metrics.csv").append(ninth | {"epoch": "10", "loss": "0.123"})
    others = page.get_by_test_id("stVegaLiteChart").nth(1)
    tenth = re.compile("^10$")
    expect(
        others.locator(".role-axis-label text").filter(has_text=tenth)
    ).to_have_count(1)
    expect(ticks.filter(has_text=tenth)).to_have_count(0)
    page.mouse.dblclick(*middle)
    expect(ticks.filter(has_text=tenth)).to_have_count(1)
    shutil.rmtree(run)
